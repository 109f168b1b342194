//! The answers of Bitcoin Core, in the units of the `bitcoin` crate.
//!
//! Only the members that the node reads; unknown members are skipped, so newer versions stay readable.

mod chain;
mod mempool;
mod serde_btc;

pub use chain::{BlockHeaderInfo, BlockchainInfo, TxOutInfo};
pub use mempool::{
    AcceptedFees, EntryFees, FeeEstimate, MempoolAcceptance, MempoolEntry, MempoolInfo, PackageResult, PackageTxResult,
};
