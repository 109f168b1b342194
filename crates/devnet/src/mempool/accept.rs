//! One transaction: the checks in Bitcoin Core's order, then insertion.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bitcoin::{Amount, OutPoint, Transaction, Txid, Wtxid};

use super::policy::{check_inputs_standard, check_sigops, check_standard, is_dust, policy_vsize};
use super::pool::{Mempool, POOL_VSIZE_MAX};
use super::truc::{self, TRUC_VERSION, TrucFailure};
use super::{KvbRate, Site};
use crate::chain::coins::outpoints;
use crate::chain::rules::{LockContext, check_inputs, check_transaction, is_final, sequence_locks_satisfied};
use crate::chain::script::verify_inputs;
use crate::chain::{Coin, CoinView, MEMPOOL_HEIGHT, TxReject};

/// The largest number of transactions of the mempool that one may depend on, or that may depend on one, with itself.
pub(super) const RELATIVES_MAX: usize = 25;
/// The largest virtual size of a transaction with its ancestors, or with its descendants.
const RELATIVES_VSIZE_MAX: u64 = 101_000;

/// Which rules apply.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// It may push out others.
    pub(super) replace: bool,
    /// Its fee is judged together with that of its package.
    pub(super) package: bool,
    /// It was accepted before: fees and limits do not matter.
    pub(super) bypass: bool,
    /// The highest rate that the caller wants to pay.
    pub(super) rate_max: Option<KvbRate>,
}

impl Terms {
    /// For a transaction on its own.
    pub(crate) const SINGLE: Self = Self { replace: true, package: false, bypass: false, rate_max: None };
    /// For trying a list of transactions.
    pub(super) const TEST_LIST: Self = Self { replace: false, package: false, bypass: false, rate_max: None };
    /// For the members of a package.
    pub(super) const PACKAGE: Self = Self { replace: true, package: true, bypass: false, rate_max: None };
    /// For what comes back after a change of branches.
    pub(super) const REBUILD: Self = Self { replace: false, package: false, bypass: true, rate_max: None };
}

/// A transaction that passed all checks but the scripts, and what was learned about it.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(super) tx: Arc<Transaction>,
    pub(super) txid: Txid,
    pub(super) wtxid: Wtxid,
    pub(super) fee: Amount,
    pub(super) vsize: u64,
    pub(super) weight: u64,
    /// Its parents in the mempool.
    pub(super) parents: BTreeSet<Txid>,
    /// All that it depends on in the mempool.
    pub(super) ancestors: BTreeSet<Txid>,
    /// Those of the mempool that spend the same outputs, or a version 3 sibling that has to make room.
    pub(super) conflicts: BTreeSet<Txid>,
    pub(super) evicts_sibling: bool,
}

/// A candidate whose scripts are good, and what it pushes out.
pub(crate) struct Checked {
    pub(super) candidate: Candidate,
    pub(super) replaced: BTreeSet<Txid>,
}

/// An accepted transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its virtual size.
    pub vsize: u64,
    /// Its fee.
    pub fee: Amount,
    /// The rate that it was judged by.
    pub effective_rate: KvbRate,
    /// The transactions in that rate.
    pub effective_includes: Vec<Wtxid>,
    /// What it pushed out.
    pub replaced: Vec<Txid>,
}

impl Site<'_> {
    pub(super) fn tip_height(&self) -> u32 {
        self.above.height().saturating_sub(1)
    }
}

/// The unspent outputs of the chain and the outputs of the mempool and of a package, spent or not.
pub(super) struct PoolView<'a> {
    pub(super) site: &'a Site<'a>,
    pub(super) pool: &'a Mempool,
    pub(super) package: HashMap<OutPoint, Coin>,
}

impl CoinView for PoolView<'_> {
    fn coin(&self, outpoint: &OutPoint) -> Option<&Coin> {
        self.package.get(outpoint).or_else(|| self.pool.coin(outpoint)).or_else(|| self.site.coins.coin(outpoint))
    }
}

impl<'a> PoolView<'a> {
    pub(super) fn new(pool: &'a Mempool, site: &'a Site<'a>) -> Self {
        Self { site, pool, package: HashMap::new() }
    }

    /// Lets later members of a package spend from this one.
    pub(super) fn add(&mut self, tx: &Transaction, txid: Txid) {
        for (outpoint, output) in outpoints(tx, txid).zip(&tx.output) {
            let coin = Coin { output: output.clone(), height: MEMPOOL_HEIGHT, coinbase: false };
            self.package.insert(outpoint, coin);
        }
    }
}

impl Mempool {
    /// Takes a transaction, or only says whether it would.
    ///
    /// # Errors
    /// The rule that it breaks.
    pub(crate) fn accept(
        &mut self,
        tx: &Arc<Transaction>,
        site: &Site<'_>,
        terms: Terms,
        test: bool,
    ) -> Result<Accepted, TxReject> {
        let Checked { candidate, replaced } = self.check(tx, site, terms)?;
        let accepted = Accepted {
            vsize: candidate.vsize,
            fee: candidate.fee,
            effective_rate: KvbRate::of(candidate.fee, candidate.vsize),
            effective_includes: vec![candidate.wtxid],
            replaced: replaced.iter().copied().collect(),
        };
        if !test {
            for txid in &replaced {
                self.remove_with_descendants(txid);
            }
            self.insert(candidate, site.now, site.tip_height());
        }
        Ok(accepted)
    }

    /// All checks of a transaction on its own.
    pub(super) fn check(&self, tx: &Arc<Transaction>, site: &Site<'_>, terms: Terms) -> Result<Checked, TxReject> {
        let view = PoolView::new(self, site);
        let candidate = self.pre_check(tx, &view, terms)?;
        let replaced =
            if candidate.conflicts.is_empty() { BTreeSet::new() } else { self.check_replacement(&candidate)? };
        if terms.rate_max.is_some_and(|rate_max| KvbRate::of(candidate.fee, candidate.vsize) > rate_max) {
            return Err(TxReject::new("max feerate exceeded"));
        }
        if !terms.bypass {
            self.check_dust_spent(&candidate, &[])?;
        }
        check_scripts(&candidate, &view)?;
        Ok(Checked { candidate, replaced })
    }

    /// Everything but replacement and scripts.
    pub(super) fn pre_check(
        &self,
        tx: &Arc<Transaction>,
        view: &PoolView<'_>,
        terms: Terms,
    ) -> Result<Candidate, TxReject> {
        let above = &view.site.above;
        check_transaction(tx)?;
        if tx.is_coinbase() {
            return Err(TxReject::new("coinbase"));
        }
        check_standard(tx)?;
        if !is_final(tx, above.height(), above.median_time()) {
            return Err(TxReject::new("non-final"));
        }
        let (txid, wtxid) = (tx.compute_txid(), tx.compute_wtxid());
        let conflicts = self.find_conflicts(tx, txid, wtxid, terms)?;
        check_inputs_known(tx, txid, view)?;
        if !sequence_locks_satisfied(tx, view, above) {
            return Err(TxReject::new("non-BIP68-final"));
        }
        let fee = check_inputs(tx, view, above.height())?;
        check_inputs_standard(tx, view)?;
        let sigops_cost = tx.total_sigop_cost(|outpoint| view.coin(outpoint).map(|coin| coin.output.clone()));
        if fee > Amount::ZERO && tx.output.iter().any(is_dust) {
            return Err(TxReject::with("dust", "tx with dust output must be 0-fee"));
        }
        check_sigops(sigops_cost)?;
        let weight = tx.weight().to_wu();
        let parents: BTreeSet<Txid> =
            tx.input.iter().map(|input| input.previous_output.txid).filter(|id| self.get(id).is_some()).collect();
        let mut candidate = Candidate {
            tx: Arc::clone(tx),
            txid,
            wtxid,
            fee,
            vsize: policy_vsize(weight, sigops_cost),
            weight,
            ancestors: self.with_ancestors(&parents),
            parents,
            conflicts,
            evicts_sibling: false,
        };
        if !terms.bypass {
            self.check_limits(&mut candidate, terms)?;
        }
        if let Some(ancestor) = candidate.ancestors.intersection(&candidate.conflicts).next() {
            let details = format!("{txid} spends conflicting transaction {ancestor}");
            return Err(TxReject::with("bad-txns-spends-conflicting-tx", details));
        }
        Ok(candidate)
    }

    fn find_conflicts(
        &self,
        tx: &Transaction,
        txid: Txid,
        wtxid: Wtxid,
        terms: Terms,
    ) -> Result<BTreeSet<Txid>, TxReject> {
        match self.get(&txid) {
            Some(entry) if entry.wtxid == wtxid => return Err(TxReject::new("txn-already-in-mempool")),
            Some(_) => return Err(TxReject::new("txn-same-nonwitness-data-in-mempool")),
            None => {}
        }
        let conflicts: BTreeSet<Txid> =
            tx.input.iter().filter_map(|input| self.spender(&input.previous_output)).collect();
        if !terms.replace && !conflicts.is_empty() {
            return Err(TxReject::new("bip125-replacement-disallowed"));
        }
        Ok(conflicts)
    }

    /// Fees, the number of relatives, version 3.
    fn check_limits(&self, candidate: &mut Candidate, terms: Terms) -> Result<(), TxReject> {
        // Even in a package only version 3 may pay less than the relay fee.
        if !terms.package || candidate.tx.version.0 != TRUC_VERSION {
            check_fee(candidate.fee, candidate.vsize)?;
        }
        if self.vsize().saturating_add(candidate.vsize) > POOL_VSIZE_MAX {
            return Err(TxReject::reconsiderable("mempool full", ""));
        }
        self.check_relatives(candidate)?;
        match truc::check_single(self, candidate) {
            Ok(()) => Ok(()),
            Err(TrucFailure { sibling: Some(sibling), .. }) if terms.replace && !terms.package => {
                candidate.conflicts.insert(sibling);
                candidate.evicts_sibling = true;
                Ok(())
            }
            Err(failure) => Err(TxReject::with("TRUC-violation", failure.details)),
        }
    }

    /// Limits on how long a chain of transactions gets, without those that would be pushed out.
    fn check_relatives(&self, candidate: &Candidate) -> Result<(), TxReject> {
        let too_long = |details: String| Err(TxReject::with("too-long-mempool-chain", details));
        if candidate.ancestors.len() + 1 > RELATIVES_MAX {
            return too_long(format!("too many unconfirmed ancestors [limit: {RELATIVES_MAX}]"));
        }
        if self.totals(&candidate.ancestors).vsize + candidate.vsize > RELATIVES_VSIZE_MAX {
            return too_long(format!("exceeds ancestor size limit [limit: {RELATIVES_VSIZE_MAX}]"));
        }
        let mut leaving = candidate.conflicts.clone();
        for conflict in &candidate.conflicts {
            leaving.extend(self.descendants(conflict));
        }
        for ancestor in &candidate.ancestors {
            let family = self.descendants(ancestor);
            let staying = self.totals(family.difference(&leaving).chain(std::iter::once(ancestor)));
            if staying.count + 1 > RELATIVES_MAX {
                return too_long(format!("too many descendants for tx {ancestor} [limit: {RELATIVES_MAX}]"));
            }
            if staying.vsize + candidate.vsize > RELATIVES_VSIZE_MAX {
                return too_long(format!(
                    "exceeds descendant size limit for tx {ancestor} [limit: {RELATIVES_VSIZE_MAX}]"
                ));
            }
        }
        Ok(())
    }

    /// Who spends from a transaction with dust must spend the dust: it may never stay behind.
    pub(super) fn check_dust_spent(&self, candidate: &Candidate, package: &[Arc<Transaction>]) -> Result<(), TxReject> {
        let tx = &candidate.tx;
        let spent: BTreeSet<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
        let parents: BTreeSet<Txid> = spent.iter().map(|outpoint| outpoint.txid).collect();
        for txid in parents {
            let parent = package
                .iter()
                .find(|parent| parent.compute_txid() == txid)
                .or_else(|| self.get(&txid).map(|entry| &entry.tx));
            let Some(parent) = parent else { continue };
            let left = outpoints(parent, txid)
                .zip(&parent.output)
                .any(|(outpoint, output)| is_dust(output) && !spent.contains(&outpoint));
            if left {
                let details =
                    format!("tx {} (wtxid={}) did not spend parent's ephemeral dust", candidate.txid, candidate.wtxid);
                return Err(TxReject::with("missing-ephemeral-spends", details));
            }
        }
        Ok(())
    }
}

/// Whether a fee suffices for relaying.
pub(super) fn check_fee(fee: Amount, vsize: u64) -> Result<(), TxReject> {
    let needed = super::fee::MIN_RELAY.fee(vsize);
    if fee < needed {
        let details = format!("{} < {}", fee.to_sat(), needed.to_sat());
        return Err(TxReject::reconsiderable("min relay fee not met", details));
    }
    Ok(())
}

pub(super) fn check_scripts(candidate: &Candidate, view: &PoolView<'_>) -> Result<(), TxReject> {
    verify_inputs(&candidate.tx, view).map_err(|input| {
        let details = format!("input {input} of {} (wtxid {})", candidate.txid, candidate.wtxid);
        TxReject::with("mandatory-script-verify-flag-failed (script refused)", details)
    })
}

fn check_inputs_known(tx: &Transaction, txid: Txid, view: &PoolView<'_>) -> Result<(), TxReject> {
    if tx.input.iter().all(|input| view.coin(&input.previous_output).is_some()) {
        return Ok(());
    }
    // The inputs are gone because the transaction itself spent them.
    if outpoints(tx, txid).any(|outpoint| view.site.coins.coin(&outpoint).is_some()) {
        return Err(TxReject::new("txn-already-known"));
    }
    Err(TxReject::missing_inputs())
}
