//! The vocabulary that every other crate speaks.
//!
//! | module | what it names |
//! | --- | --- |
//! | [`amount`] | millisatoshi and satoshi; overflow is a value, never a wrap |
//! | [`height`] | block heights and spans of blocks: the only clock that money knows |
//! | [`time`] | wall time in milliseconds, always passed in |
//! | [`id`] | UUIDv7 identifiers with a type each |
//! | [`key`] | Nostr public keys (BIP-340 x-only) and BIP-340 signatures |
//! | [`hash`] | 32-byte digests and payment hashes |
//! | [`canonical`] | framed bytes: two different values never share an encoding |
//! | [`claim`] | the signed request, or the node's own signed word, behind a fact |
//! | [`fact`] | what the journal records: entries, commitments and their openings |
//! | [`decider`] | the shape of all rules: state, command and context to a decision |
//! | [`code`] | stable error codes |
//!
//! # Invariants
//! * No IO, no clock, no randomness, no floats in here.
//! * Encodings made by [`canonical`] are stored and signed: they change only on purpose, with a new tag.

#![forbid(unsafe_code)]

pub mod amount;
pub mod canonical;
pub mod claim;
pub mod code;
pub mod decider;
pub mod fact;
pub mod hash;
pub mod height;
pub mod id;
pub mod key;
pub mod time;

pub use amount::{AmountError, BasisPoints, Msat, Sat};
pub use claim::{Authority, NodeKey, NodeWord, SignedRequest};
pub use code::{Code, Coded};
pub use decider::{Ctx, Decider, Decision};
pub use fact::{Body, Fact, Opening};
pub use hash::{Digest32, PaymentHash};
pub use height::{BlockHeight, Blocks};
pub use id::Id;
pub use key::{NostrKey, Signature};
pub use time::{Duration, Timestamp};
