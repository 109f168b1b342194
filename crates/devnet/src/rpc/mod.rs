//! Bitcoin Core's JSON-RPC in front of the chain.
//!
//! ```text
//! server    HTTP, login, limits                     blocks, txs, pool, mining, control   the methods
//! protocol  JSON-RPC 1 and 2, batches, status       encode, script                       what answers look like
//! table     the methods and their parameters        error                                the numbers of `rpc/protocol.h`
//! args      parameters checked as Bitcoin Core does
//! ```

mod args;
mod blocks;
mod control;
mod encode;
mod error;
mod mining;
mod pool;
mod protocol;
mod script;
mod server;
mod table;
mod txs;

pub use server::{ChainServer, ServerError};

use crate::chain::Chain;

/// What the methods work on.
pub(crate) struct Node {
    pub(crate) chain: Chain,
    /// When it started, in seconds since 1970.
    pub(crate) started: u64,
    /// It was told to stop.
    pub(crate) stopping: bool,
}
