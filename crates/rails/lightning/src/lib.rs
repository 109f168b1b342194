//! A Lightning node on LDK: hold invoices, pass-through payouts and its on-chain wallet.
//!
//! [`LightningNode`] implements the app's ports: [`HoldRail`](tallystick_app::port::rail::HoldRail) and
//! [`InvoiceReader`](tallystick_app::port::rail::InvoiceReader) for products,
//! [`NodeOperator`](tallystick_app::port::operator::NodeOperator) for whoever runs it; [`LightningNode::anchors`] is an
//! [`AnchorRail`](tallystick_app::port::anchor::AnchorRail).
//!
//! | module | what it does |
//! | --- | --- |
//! | `node` | starts, stops, and answers calls; `node/holds.rs` and `node/payouts.rs` have the state diagrams |
//! | `events` | what follows from each of LDK's events |
//! | `courier` | tells the listener: at least once, in order per hash |
//! | `store` | a SQLite file, or tables in PostgreSQL; its module has the rule that keeps disk and network in step |
//! | `secret` | seed, derived keys, sealing of preimages |
//! | `chain` | blocks, fee rates, broadcasts |
//! | `wallet` | the on-chain wallet (BIP 86) |
//! | `anchor` | anchors in Bitcoin: signed with their own key, paid by the wallet |
//! | `peers` | connections, kept up |
//! | `ldk` | LDK's types and hooks, filled in; no other crate compiles them |
//!
//! # Invariants
//! * The node claims a hold only with a preimage that it learned by paying the payee.
//! * A hash is paid once and claimed once, for ever; LDK itself keeps no such memory.
//! * A preimage is sealed on the disk in the transaction in which its event counts as handled.
//! * No channel monitor on the disk is newer than the channel manager beside it.
//! * A payment counts as failed only when none of its HTLCs is left and none can be made.
//! * No preimage, seed or key is in a log line, an error, a `Debug` output or an answer.
//! * When the database fails, nothing leaves the node any more.

mod anchor;
mod chain;
mod clock;
mod config;
mod courier;
mod error;
mod events;
mod invoice;
mod ldk;
mod node;
mod peers;
mod secret;
mod store;
mod wallet;

pub use chain::BlockHashes;
pub use config::{Database, LightningConfig};
pub use error::LightningError;
pub use invoice::PlainReader;
pub use node::{LightningNode, OpenedNode, PaidReader};
pub use peers::{INBOUND_MAX, PEERS_MAX};
pub use secret::{BackupKey, PaymentProof, SEED_FILE, payment_proofs};
pub use store::{SQLITE_FILE, StoppedDatabase, prepare_postgres};
