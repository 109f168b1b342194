//! The node's eyes and voice on the chain.
//!
//! ```text
//! source     blocks and headers for LDK            fees       what a transaction should pay
//! follow     every new block to everyone, in order broadcast  transactions, alone or as packages
//! pulse      whether the source still answers      blocks     which block is at a height
//! ```

mod blocks;
mod broadcast;
mod fees;
mod follow;
mod headers;
mod pulse;
mod source;

pub use blocks::BlockHashes;
pub(crate) use broadcast::{Broadcaster, Outgoing};
pub(crate) use fees::Fees;
pub(crate) use follow::{BlockGate, Follower};
pub(crate) use headers::HeaderCache;
pub(crate) use pulse::Pulse;
pub(crate) use source::{ChainSource, Spawner};
