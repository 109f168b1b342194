//! The chain: a state machine without IO and without a clock.
//!
//! ```text
//! rules, block_rules   what transactions and blocks must keep to      coins    unspent outputs, overlay, undo
//! script               Bitcoin Core's interpreter                     tree     every header, the best chain
//! connect              a block against the unspent outputs            reject   refusals in Bitcoin Core's words
//! state                `Chain`: takes blocks, changes branches        mining   templates and proof of work
//! ```

mod block_rules;
pub(crate) mod coins;
mod connect;
mod mining;
mod reject;
pub(crate) mod rules;
pub(crate) mod script;
mod state;
mod tree;

#[cfg(test)]
mod tests;

pub use block_rules::regtest_bits;
pub use coins::{BlockUndo, Coin, CoinSet, CoinView, MEMPOOL_HEIGHT};
pub use mining::MineError;
pub(crate) use mining::find_work;
pub use reject::{BlockReject, RejectKind, TxReject};
pub use rules::{BLOCK_WEIGHT_MAX, COINBASE_MATURITY, subsidy};
pub use state::{Chain, Submitted};
pub(crate) use tree::Above;
pub use tree::{BlockTree, Node, StoredBlock};
