//! Putting a block on top of its parent: everything that needs the unspent outputs.

use bitcoin::Amount;

use super::coins::{BlockUndo, Coin, CoinChanges, CoinView, Overlay, outpoints};
use super::reject::BlockReject;
use super::rules::{BLOCK_SIGOPS_COST_MAX, LockContext, check_inputs, sequence_locks_satisfied, subsidy};
use super::script::verify_inputs;
use super::tree::StoredBlock;

/// Checks a block against the outputs that its parent leaves, and tells what it changes and how to undo that.
/// Nothing is changed here, so a block that fails leaves no trace.
pub(crate) fn connect_block(
    stored: &StoredBlock,
    coins: &dyn CoinView,
    context: &dyn LockContext,
) -> Result<(CoinChanges, BlockUndo), BlockReject> {
    let height = context.height();
    let mut view = Overlay::new(coins);
    let mut undo = BlockUndo::new();
    let mut fees = Amount::ZERO;
    let mut sigops_cost = 0usize;
    for (tx, txid) in stored.block.txdata.iter().zip(&stored.txids) {
        if outpoints(tx, *txid).any(|outpoint| view.coin(&outpoint).is_some()) {
            return Err(BlockReject::new("bad-txns-BIP30", "tried to overwrite transaction"));
        }
        sigops_cost = sigops_cost
            .saturating_add(tx.total_sigop_cost(|outpoint| view.coin(outpoint).map(|coin| coin.output.clone())));
        if sigops_cost > BLOCK_SIGOPS_COST_MAX {
            return Err(BlockReject::new("bad-blk-sigops", "too many sigops"));
        }
        if !tx.is_coinbase() {
            let fee = check_inputs(tx, &view, height).map_err(|reject| {
                BlockReject::new(reject.reason, format!("{} in transaction {txid}", reject.details))
            })?;
            fees = fees.checked_add(fee).filter(|fees| *fees <= Amount::MAX_MONEY).ok_or_else(|| {
                BlockReject::new("bad-txns-accumulated-fee-outofrange", "accumulated fee in the block out of range")
            })?;
            if !sequence_locks_satisfied(tx, &view, context) {
                let details = format!("contains a non-BIP68-final transaction {txid}");
                return Err(BlockReject::new("bad-txns-nonfinal", details));
            }
            verify_inputs(tx, &view).map_err(|input| {
                BlockReject::new(
                    "mandatory-script-verify-flag-failed (script refused)",
                    format!("input {input} of {txid}"),
                )
            })?;
            // Every input is there: `check_inputs` found them all.
            let spent: Vec<Coin> = tx.input.iter().filter_map(|input| view.spend(&input.previous_output)).collect();
            undo.push(spent);
        }
        view.add(tx, *txid, height);
    }
    let paid: Amount = stored.block.txdata[0].output.iter().map(|output| output.value).sum();
    let allowed = subsidy(height) + fees;
    if paid > allowed {
        let details = format!("coinbase pays too much (actual={} vs limit={})", paid.to_sat(), allowed.to_sat());
        return Err(BlockReject::new("bad-cb-amount", details));
    }
    Ok((view.into_changes(), undo))
}
