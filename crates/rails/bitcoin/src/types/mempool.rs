//! Answers about transactions that are not in a block yet.

use std::collections::BTreeMap;

use bitcoin::{Amount, FeeRate, Txid, Wtxid};
use serde::Deserialize;

use super::serde_btc::{fee_rate, fee_rate_opt};

/// The answer to `getmempoolinfo`.
#[derive(Clone, Debug, Deserialize)]
pub struct MempoolInfo {
    /// The mempool of the last run is loaded.
    pub loaded: bool,
    /// The number of transactions.
    pub size: u64,
    /// Their virtual size in all.
    pub bytes: u64,
    /// Their fees in all.
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    pub total_fee: Amount,
    /// The lowest rate that is accepted now; rises when the mempool is full.
    #[serde(rename = "mempoolminfee", deserialize_with = "fee_rate")]
    pub mempool_min_fee_rate: FeeRate,
    /// The lowest rate that is ever accepted.
    #[serde(rename = "minrelaytxfee", deserialize_with = "fee_rate")]
    pub min_relay_fee_rate: FeeRate,
}

/// The answer to `getmempoolentry`.
#[derive(Clone, Debug, Deserialize)]
pub struct MempoolEntry {
    /// Virtual size (BIP 141), in vbytes.
    pub vsize: u64,
    /// Weight (BIP 141), in weight units.
    pub weight: u64,
    /// When it came, seconds since 1970.
    pub time: u64,
    /// The height of the tip when it came.
    pub height: u32,
    /// How many transactions of the mempool it depends on, counting itself.
    #[serde(rename = "ancestorcount")]
    pub ancestor_count: u64,
    /// Their virtual size, in vbytes.
    #[serde(rename = "ancestorsize")]
    pub ancestor_size: u64,
    /// How many transactions of the mempool depend on it, counting itself.
    #[serde(rename = "descendantcount")]
    pub descendant_count: u64,
    /// Their virtual size, in vbytes.
    #[serde(rename = "descendantsize")]
    pub descendant_size: u64,
    /// The id with its signatures.
    pub wtxid: Wtxid,
    /// The fees.
    pub fees: EntryFees,
    /// Its direct parents in the mempool.
    pub depends: Vec<Txid>,
    /// Its direct children in the mempool.
    #[serde(rename = "spentby")]
    pub spent_by: Vec<Txid>,
}

/// The fees of a [`MempoolEntry`].
#[derive(Clone, Debug, Deserialize)]
pub struct EntryFees {
    /// Its own.
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    pub base: Amount,
    /// Its own and those of its ancestors.
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    pub ancestor: Amount,
    /// Its own and those of its descendants.
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    pub descendant: Amount,
}

/// The answer to `estimatesmartfee`.
#[derive(Clone, Debug, Deserialize)]
pub struct FeeEstimate {
    /// The estimate; `None` when there is not enough data, as always on a young regtest chain.
    #[serde(rename = "feerate", default, deserialize_with = "fee_rate_opt")]
    pub fee_rate: Option<FeeRate>,
    /// The number of blocks that it is an estimate for.
    pub blocks: u32,
    /// Why there is no estimate.
    #[serde(default)]
    pub errors: Vec<String>,
}

/// One transaction in the answer to `testmempoolaccept`.
#[derive(Clone, Debug, Deserialize)]
pub struct MempoolAcceptance {
    /// Its id.
    pub txid: Txid,
    /// Its id with signatures.
    pub wtxid: Wtxid,
    /// Whether the mempool would take it; `None` when an earlier one of the package failed first.
    pub allowed: Option<bool>,
    /// Its virtual size, if it would be taken.
    pub vsize: Option<u64>,
    /// Its fees, if it would be taken.
    pub fees: Option<AcceptedFees>,
    /// Why it would not be taken.
    #[serde(rename = "reject-reason")]
    pub reject_reason: Option<String>,
    /// What is wrong with the package as such.
    #[serde(rename = "package-error")]
    pub package_error: Option<String>,
}

/// The fees of an accepted transaction.
#[derive(Clone, Debug, Deserialize)]
pub struct AcceptedFees {
    /// Its own.
    #[serde(with = "bitcoin::amount::serde::as_btc")]
    pub base: Amount,
    /// The rate that it was judged by: its own, or that of the package that it came in.
    #[serde(rename = "effective-feerate", default, deserialize_with = "fee_rate_opt")]
    pub effective_fee_rate: Option<FeeRate>,
    /// The transactions whose fees and sizes are in that rate.
    #[serde(rename = "effective-includes", default)]
    pub effective_includes: Vec<Wtxid>,
}

/// The answer to `submitpackage`.
#[derive(Clone, Debug, Deserialize)]
pub struct PackageResult {
    /// `success`, or what is wrong with the package as such.
    pub package_msg: String,
    /// What became of each transaction, by its id with signatures.
    #[serde(rename = "tx-results")]
    pub tx_results: BTreeMap<Wtxid, PackageTxResult>,
    /// The transactions that had to go.
    #[serde(rename = "replaced-transactions", default)]
    pub replaced_transactions: Vec<Txid>,
}

impl PackageResult {
    /// All of its transactions are in the mempool now.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.package_msg == "success"
    }
}

/// What became of one transaction of a package.
#[derive(Clone, Debug, Deserialize)]
pub struct PackageTxResult {
    /// Its id.
    pub txid: Txid,
    /// The one with the same id and other signatures that the mempool has, and keeps.
    #[serde(rename = "other-wtxid")]
    pub other_wtxid: Option<Wtxid>,
    /// Its virtual size, if it is in the mempool.
    pub vsize: Option<u64>,
    /// Its fees, if it is in the mempool.
    pub fees: Option<AcceptedFees>,
    /// Why it is not in the mempool.
    pub error: Option<String>,
}
