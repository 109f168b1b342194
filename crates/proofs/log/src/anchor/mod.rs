//! Anchors: checkpoints that Bitcoin vouches for.
//!
//! ```text
//!  genesis outpoint        anchor 1                      anchor 2
//!  (pinned by whoever ──▶ input 0                 ┌──▶ input 0
//!   verifies)             output 0: the next seal ┘    output 0: the next seal ──▶ …
//!                         output 1: OP_RETURN          output 1: OP_RETURN
//!                           SHA-256 of a checkpoint      SHA-256 of a later one
//! ```
//!
//! Bitcoin lets an output be spent once. So there is one anchor at most after each, and one history that the anchors
//! tell, whoever holds the keys: each tree must be proven to begin with the one before.
//!
//! | module | what it holds | standard |
//! | --- | --- | --- |
//! | [`headers`] | a run of block headers and its work | Bitcoin |
//! | [`path`] | from a transaction to a block's Merkle root | Bitcoin |
//! | [`tx`] | the shape of an anchor | |
//! | [`proof`] | one anchor's proof in a few hundred bytes | |
//! | [`chain`] | anchors one after the other | |
//! | [`ots`] | the same proof for others' tools, and their proofs | OpenTimestamps |
//!
//! # Invariants
//! * An anchor has exactly one commitment, at output 1.
//! * Nothing counts before [`CONFIRMATIONS_MIN`] headers.
//! * A proof has one spelling: any other bytes are refused, or prove nothing.

pub mod chain;
pub mod error;
pub mod headers;
pub mod ots;
pub mod path;
pub mod proof;
pub mod tx;

pub use bitcoin::{BlockHash, OutPoint, Target, Txid};
pub use chain::AnchorChain;
pub use error::AnchorError;
pub use headers::{HEADERS_MAX, Headers};
pub use ots::{Attestation, FileDigest, OTS_BYTES_MAX, OtsFile};
pub use path::{MerklePath, PATH_HASHES_MAX};
pub use proof::{AnchorProof, Anchored, PROOF_BYTES_MAX};
pub use tx::{AnchorTx, TX_BYTES_MAX, commitment};

/// How many headers an anchor needs, its own block's counted, before it counts.
pub const CONFIRMATIONS_MIN: u32 = 6;
