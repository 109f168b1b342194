//! The mempool, by the policy of Bitcoin Core 29 with its default settings.
//!
//! ```text
//! pool     the transactions and how they depend on each other      policy   what is standard, dust
//! accept   one transaction: checks, then insertion                 truc     version 3 (BIP 431)
//! replace  what a transaction pushes out (full replace-by-fee)     package  a child that pays for its parents
//! fee      fee rates, as Bitcoin Core rounds them                  select   what goes into the next block
//! ```
//!
//! Differences to Bitcoin Core, all on the lenient side: scripts are checked by the consensus rules alone (the further
//! script rules of relaying nodes are not in the `bitcoinconsensus` crate), nothing expires, and a full mempool
//! refuses instead of evicting.

mod accept;
mod fee;
mod package;
mod policy;
mod pool;
mod replace;
mod select;
mod truc;

pub use accept::Accepted;
pub use fee::KvbRate;
pub use package::{PackageOutcome, PackageTxOutcome};
pub use pool::{Entry, Mempool};

pub(crate) use accept::Terms;
pub(crate) use package::{PACKAGE_COUNT_MAX, is_child_with_parents_tree};
pub(crate) use policy::{is_p2pk, multisig_keys};

use crate::chain::{Above, CoinSet};

/// Where the mempool is: on top of which chain, and when.
pub(crate) struct Site<'a> {
    pub(crate) coins: &'a CoinSet,
    pub(crate) above: Above<'a>,
    /// Seconds since 1970.
    pub(crate) now: u64,
}
