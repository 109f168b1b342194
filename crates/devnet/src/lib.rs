//! A private Bitcoin and Lightning network in this process, for demos and tests.
//!
//! ```text
//! chain    the rules and the state of a regtest chain: pure, no IO, no clock
//! mempool  the transactions that wait, by the policy of Bitcoin Core 29
//! rpc      Bitcoin Core's JSON-RPC in front of them, on loopback
//! miner    blocks, coins and reorganisations on demand, through the JSON-RPC alone
//! bitcoind a real Bitcoin Core in their place, as a process
//! regtest  all of it, started
//! party    Lightning nodes on it: payers, payees, routing nodes
//! ports    where a server that stops and comes back can listen
//! ```
//!
//! # Invariants
//!
//! * Whoever talks to it sees Bitcoin Core 29 with `-regtest -txindex`: the contract suite of the testkit says what
//!   that means and runs against both. One exception: scripts are checked by the rules of blocks alone, not by the
//!   mempool's stricter ones (low S, clean stack), since `bitcoinconsensus` knows no others.
//! * [`Miner`] uses nothing but JSON-RPC, so it drives a real Bitcoin Core as well.
//! * A block or transaction that breaks a rule leaves no trace in the unspent outputs.
//! * It listens on 127.0.0.1 only.

mod bitcoind;
pub mod chain;
pub mod mempool;
mod miner;
mod party;
mod ports;
mod regtest;
mod rpc;

pub use bitcoind::{BITCOIND_ENV, Bitcoind, BitcoindError};
pub use miner::{Branch, Miner, MinerError};
pub use party::{ChannelPlan, Devnet, Party, PartyError, PartyOptions, wait_until};
pub use ports::free_port;
pub use regtest::{REGTEST_BLOCKS_START, RegtestChain, RegtestError};
pub use rpc::{ChainServer, ServerError};
