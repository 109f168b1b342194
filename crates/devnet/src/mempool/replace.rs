//! Replacement: what a transaction may push out (BIP 125 rules 2 to 5 and Bitcoin Core's sixth, without signalling).

use std::collections::BTreeSet;

use bitcoin::{Amount, Txid};

use super::KvbRate;
use super::accept::Candidate;
use super::fee::INCREMENTAL_RELAY;
use super::pool::Mempool;
use crate::chain::TxReject;
use crate::chain::rules::format_money;

/// How many transactions may be pushed out at once.
const REPLACED_MAX: usize = 100;

impl Mempool {
    /// What would be pushed out.
    pub(super) fn check_replacement(&self, candidate: &Candidate) -> Result<BTreeSet<Txid>, TxReject> {
        let suffix = if candidate.evicts_sibling { " (including sibling eviction)" } else { "" };
        let txid = candidate.txid;
        let rate = KvbRate::of(candidate.fee, candidate.vsize);
        for conflict in candidate.conflicts.iter().filter_map(|conflict| self.get(conflict)) {
            let old = KvbRate::of(conflict.fee, conflict.vsize);
            if rate <= old {
                let details = format!("rejecting replacement {txid}; new feerate {rate} <= old feerate {old}");
                return Err(TxReject::reconsiderable(format!("insufficient fee{suffix}"), details));
            }
        }
        let replaced = self.replaced_by(&candidate.conflicts);
        if replaced.len() > REPLACED_MAX {
            let details = format!(
                "rejecting replacement {txid}; too many potential replacements ({} > {REPLACED_MAX})",
                replaced.len()
            );
            return Err(TxReject::with(format!("too many potential replacements{suffix}"), details));
        }
        self.check_no_new_parents(candidate, suffix)?;
        let old_fees = self.totals(&replaced).fee;
        pays_for_replacement(old_fees, candidate.fee, candidate.vsize, txid)
            .map_err(|details| TxReject::reconsiderable(format!("insufficient fee{suffix}"), details))?;
        Ok(replaced)
    }

    /// Conflicts and all that depends on them.
    pub(super) fn replaced_by(&self, conflicts: &BTreeSet<Txid>) -> BTreeSet<Txid> {
        let mut replaced = conflicts.clone();
        for conflict in conflicts {
            replaced.extend(self.descendants(conflict));
        }
        replaced
    }

    /// A replacement may not depend on more unconfirmed transactions than what it replaces.
    fn check_no_new_parents(&self, candidate: &Candidate, suffix: &str) -> Result<(), TxReject> {
        let known: BTreeSet<Txid> = candidate
            .conflicts
            .iter()
            .filter_map(|conflict| self.get(conflict))
            .flat_map(|entry| entry.tx.input.iter().map(|input| input.previous_output.txid))
            .collect();
        for (index, input) in candidate.tx.input.iter().enumerate() {
            let parent = input.previous_output.txid;
            if self.get(&parent).is_some() && !known.contains(&parent) {
                let details = format!("replacement {} adds unconfirmed input, idx {index}", candidate.txid);
                return Err(TxReject::with(format!("replacement-adds-unconfirmed{suffix}"), details));
            }
        }
        Ok(())
    }
}

/// Rules 3 and 4: it pays as much as all that it replaces, and for its own size on top.
pub(super) fn pays_for_replacement(old: Amount, new: Amount, vsize: u64, txid: Txid) -> Result<(), String> {
    let Some(more) = new.checked_sub(old) else {
        let (new, old) = (format_money(new), format_money(old));
        return Err(format!("rejecting replacement {txid}, less fees than conflicting txs; {new} < {old}"));
    };
    let needed = INCREMENTAL_RELAY.fee(vsize);
    if more < needed {
        let (more, needed) = (format_money(more), format_money(needed));
        return Err(format!("rejecting replacement {txid}, not enough additional fees to relay; {more} < {needed}"));
    }
    Ok(())
}
