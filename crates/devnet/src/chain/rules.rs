//! Consensus rules about single transactions, and the numbers of regtest.

use std::collections::HashSet;

use bitcoin::blockdata::locktime::absolute::LOCK_TIME_THRESHOLD;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, Transaction, Txid};

use super::coins::CoinView;
use super::reject::{RejectKind, TxReject};

/// The largest weight of a block (BIP 141).
pub const BLOCK_WEIGHT_MAX: u64 = 4_000_000;
/// The largest cost of all signature checks of a block (BIP 141).
pub const BLOCK_SIGOPS_COST_MAX: usize = 80_000;
/// Blocks after which a reward can be spent.
pub const COINBASE_MATURITY: u32 = 100;
/// Weight units of one byte outside the witness (BIP 141).
pub const WITNESS_SCALE: u64 = 4;

const HALVING_BLOCKS: u32 = 150;
const SUBSIDY_FIRST: Amount = Amount::from_sat(50 * 100_000_000);

/// The reward for a block of regtest, without fees.
#[must_use]
pub fn subsidy(height: u32) -> Amount {
    Amount::from_sat(SUBSIDY_FIRST.to_sat().checked_shr(height / HALVING_BLOCKS).unwrap_or(0))
}

/// What can be said about a transaction without knowing anything else.
pub(crate) fn check_transaction(tx: &Transaction) -> Result<(), TxReject> {
    if tx.input.is_empty() {
        return Err(TxReject::new("bad-txns-vin-empty"));
    }
    if tx.output.is_empty() {
        return Err(TxReject::new("bad-txns-vout-empty"));
    }
    if tx.base_size() as u64 * WITNESS_SCALE > BLOCK_WEIGHT_MAX {
        return Err(TxReject::new("bad-txns-oversize"));
    }
    let mut total = Amount::ZERO;
    for output in &tx.output {
        // On the wire amounts are signed: the upper half of the numbers is negative.
        if i64::try_from(output.value.to_sat()).is_err() {
            return Err(TxReject::new("bad-txns-vout-negative"));
        }
        if output.value > Amount::MAX_MONEY {
            return Err(TxReject::new("bad-txns-vout-toolarge"));
        }
        total = total
            .checked_add(output.value)
            .filter(|total| *total <= Amount::MAX_MONEY)
            .ok_or_else(|| TxReject::new("bad-txns-txouttotal-toolarge"))?;
    }
    let mut seen = HashSet::with_capacity(tx.input.len());
    if !tx.input.iter().all(|input| seen.insert(input.previous_output)) {
        return Err(TxReject::new("bad-txns-inputs-duplicate"));
    }
    if tx.is_coinbase() {
        if !(2..=100).contains(&tx.input[0].script_sig.len()) {
            return Err(TxReject::new("bad-cb-length"));
        }
    } else if tx.input.iter().any(|input| input.previous_output.is_null()) {
        return Err(TxReject::new("bad-txns-prevout-null"));
    }
    Ok(())
}

/// Whether the absolute lock time allows the transaction in a block at `height` whose parent has the median time
/// `median_time` (BIP 113).
pub(crate) fn is_final(tx: &Transaction, height: u32, median_time: u32) -> bool {
    let lock = tx.lock_time.to_consensus_u32();
    let limit = if lock < LOCK_TIME_THRESHOLD { height } else { median_time };
    lock == 0 || lock < limit || tx.input.iter().all(|input| input.sequence.is_final())
}

/// Where the relative lock times of BIP 68 are measured from.
pub(crate) trait LockContext {
    /// The height of the block that the transaction would be in.
    fn height(&self) -> u32;
    /// The median time (BIP 113) at the parent of that block.
    fn median_time(&self) -> u32;
    /// The median time at an ancestor of that block.
    fn median_time_at(&self, height: u32) -> u32;
}

/// Whether the relative lock times (BIP 68) are satisfied. Missing inputs count as satisfied.
pub(crate) fn sequence_locks_satisfied(tx: &Transaction, coins: &dyn CoinView, context: &dyn LockContext) -> bool {
    const TYPE_TIME: u32 = 1 << 22;
    const MASK: u32 = 0xffff;
    const GRANULARITY: u32 = 9;
    if tx.version.0.cast_unsigned() < 2 {
        return true;
    }
    tx.input.iter().all(|input| {
        let sequence = input.sequence.to_consensus_u32();
        if !input.sequence.is_relative_lock_time() {
            return true;
        }
        let Some(coin) = coins.coin(&input.previous_output) else { return true };
        // An output of the mempool would be in the same block at the earliest.
        let coin_height = coin.height.min(context.height());
        let value = sequence & MASK;
        if sequence & TYPE_TIME == 0 {
            coin_height.saturating_add(value) <= context.height()
        } else {
            let since = context.median_time_at(coin_height.saturating_sub(1));
            since.saturating_add(value << GRANULARITY) <= context.median_time()
        }
    })
}

/// Checks amounts and maturity of the inputs, and computes the fee.
pub(crate) fn check_inputs(tx: &Transaction, coins: &dyn CoinView, height: u32) -> Result<Amount, TxReject> {
    let mut value_in = Amount::ZERO;
    for input in &tx.input {
        let Some(coin) = coins.coin(&input.previous_output) else {
            return Err(TxReject {
                kind: RejectKind::MissingInputs,
                reason: "bad-txns-inputs-missingorspent".into(),
                details: "CheckTxInputs: inputs missing/spent".to_owned(),
            });
        };
        if coin.coinbase {
            let depth = height.saturating_sub(coin.height);
            if depth < COINBASE_MATURITY {
                return Err(TxReject::with(
                    "bad-txns-premature-spend-of-coinbase",
                    format!("tried to spend coinbase at depth {depth}"),
                ));
            }
        }
        value_in = value_in
            .checked_add(coin.output.value)
            .filter(|total| *total <= Amount::MAX_MONEY)
            .ok_or_else(|| TxReject::new("bad-txns-inputvalues-outofrange"))?;
    }
    // Cannot overflow: the amounts were checked with the transaction.
    let value_out: Amount = tx.output.iter().map(|output| output.value).sum();
    value_in.checked_sub(value_out).ok_or_else(|| {
        TxReject::with(
            "bad-txns-in-belowout",
            format!("value in ({}) < value out ({})", format_money(value_in), format_money(value_out)),
        )
    })
}

/// An amount as Bitcoin Core prints it: in BTC with at least two decimals.
pub(crate) fn format_money(amount: Amount) -> String {
    let mut text = format!("{}.{:08}", amount.to_sat() / 100_000_000, amount.to_sat() % 100_000_000);
    let point = text.find('.').unwrap_or(text.len());
    while text.ends_with('0') && text.len() > point + 3 {
        text.pop();
    }
    text
}

/// The Merkle root of a block, and whether the list could be mistaken for a longer one (CVE-2012-2459).
pub(crate) fn merkle_root(txids: &[Txid]) -> (Txid, bool) {
    let mut level: Vec<Txid> = txids.to_vec();
    let mut mutated = false;
    while level.len() > 1 {
        mutated |= level.chunks_exact(2).any(|pair| pair[0] == pair[1]);
        level = level
            .chunks(2)
            .map(|pair| {
                let (left, right) = (pair[0], pair[pair.len() - 1]);
                let mut bytes = [0u8; 64];
                bytes[..32].copy_from_slice(left.as_byte_array());
                bytes[32..].copy_from_slice(right.as_byte_array());
                Txid::hash(&bytes)
            })
            .collect();
    }
    (level.first().copied().unwrap_or_else(Txid::all_zeros), mutated)
}
