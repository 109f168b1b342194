//! Packages: a child with the parents that it pays for, and lists that are only tried.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use bitcoin::{Amount, OutPoint, Transaction, Txid, Wtxid};

use super::accept::{Accepted, Candidate, PoolView, RELATIVES_MAX, Terms, check_fee, check_scripts};
use super::pool::Mempool;
use super::replace::pays_for_replacement;
use super::{KvbRate, Site, truc};
use crate::chain::{RejectKind, TxReject};

/// The largest number of transactions in a package.
pub(crate) const PACKAGE_COUNT_MAX: usize = 25;
const PACKAGE_WEIGHT_MAX: u64 = 404_000;

/// What became of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PackageTxOutcome {
    /// It is in the mempool now, or would be.
    Accepted(Accepted),
    /// It was there before.
    Known {
        /// Its virtual size.
        vsize: u64,
        /// Its fee.
        fee: Amount,
    },
    /// One with the same id and other signatures is there, and stays.
    OtherWitness(Wtxid),
    /// It is refused.
    Rejected(TxReject),
}

/// What became of a package.
#[derive(Clone, Debug, Default)]
pub struct PackageOutcome {
    /// What is wrong with it as a package; `transaction failed` points at the transactions.
    pub failure: Option<PackageFailure>,
    /// What became of each transaction; those that were not looked at are missing.
    pub txs: BTreeMap<Wtxid, PackageTxOutcome>,
}

/// Why a package is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageFailure {
    /// Its form or the policy on packages is at fault, not one transaction.
    pub is_policy: bool,
    /// What, in Bitcoin Core's words.
    pub message: String,
}

impl PackageOutcome {
    fn policy(message: impl Into<String>) -> Self {
        let failure = PackageFailure { is_policy: true, message: message.into() };
        Self { failure: Some(failure), txs: BTreeMap::new() }
    }

    fn tx(wtxid: Wtxid, reject: TxReject) -> Self {
        Self::tx_as("transaction failed", wtxid, reject)
    }

    fn tx_as(message: &str, wtxid: Wtxid, reject: TxReject) -> Self {
        Self {
            failure: Some(PackageFailure { is_policy: false, message: message.to_owned() }),
            txs: BTreeMap::from([(wtxid, PackageTxOutcome::Rejected(reject))]),
        }
    }
}

/// Checked members of a package.
struct Members {
    candidates: Vec<Candidate>,
    replaced: BTreeSet<Txid>,
    rate: KvbRate,
}

impl Mempool {
    /// Says what would become of a list of transactions; parents come first.
    pub(crate) fn test_list(&self, txs: &[Arc<Transaction>], site: &Site<'_>) -> PackageOutcome {
        if let Err(message) = check_form(txs) {
            return PackageOutcome::policy(message);
        }
        match self.check_members(txs, site, Terms::TEST_LIST) {
            Err(outcome) => outcome,
            Ok(members) => {
                let own_rate =
                    |candidate: &Candidate| (KvbRate::of(candidate.fee, candidate.vsize), vec![candidate.wtxid]);
                PackageOutcome { failure: None, txs: accepted(&members, own_rate) }
            }
        }
    }

    /// Takes a child with its parents, or a single transaction. Whatever is good on its own goes in on its own.
    pub(crate) fn accept_package(
        &mut self,
        txs: &[Arc<Transaction>],
        site: &Site<'_>,
        rate_max: Option<KvbRate>,
    ) -> PackageOutcome {
        if let Err(message) = check_form(txs) {
            return PackageOutcome::policy(message);
        }
        if txs.len() > 1 && !is_child_with_parents(txs) {
            return PackageOutcome::policy("package-not-child-with-parents");
        }
        let mut outcome = PackageOutcome::default();
        let mut together = Vec::new();
        let mut hopeless = false;
        for tx in txs {
            let wtxid = tx.compute_wtxid();
            let result = match self.get(&tx.compute_txid()) {
                Some(entry) if entry.wtxid == wtxid => PackageTxOutcome::Known { vsize: entry.vsize, fee: entry.fee },
                Some(entry) => PackageTxOutcome::OtherWitness(entry.wtxid),
                None => match self.accept(tx, site, Terms { rate_max, ..Terms::SINGLE }, false) {
                    Ok(accepted) => PackageTxOutcome::Accepted(accepted),
                    Err(reject) => {
                        // Only a missing fee, and what follows from it, can be mended by the others.
                        hopeless |= txs.len() == 1 || reject.kind == RejectKind::Final;
                        together.push(Arc::clone(tx));
                        PackageTxOutcome::Rejected(reject)
                    }
                },
            };
            outcome.txs.insert(wtxid, result);
        }
        if hopeless {
            outcome.failure = Some(PackageFailure { is_policy: false, message: "transaction failed".to_owned() });
        } else if !together.is_empty() {
            let rest = self.accept_members(&together, site, rate_max);
            outcome.failure = rest.failure;
            outcome.txs.extend(rest.txs);
        }
        outcome
    }

    /// Takes transactions that need each other, all or none.
    fn accept_members(
        &mut self,
        txs: &[Arc<Transaction>],
        site: &Site<'_>,
        rate_max: Option<KvbRate>,
    ) -> PackageOutcome {
        if let [tx] = txs {
            // What is left has lost its parents to the mempool by now: it is judged on its own.
            return match self.accept(tx, site, Terms { rate_max, ..Terms::SINGLE }, false) {
                Ok(accepted) => PackageOutcome {
                    failure: None,
                    txs: BTreeMap::from([(tx.compute_wtxid(), PackageTxOutcome::Accepted(accepted))]),
                },
                Err(reject) => PackageOutcome::tx(tx.compute_wtxid(), reject),
            };
        }
        let members = match self.check_members(txs, site, Terms { rate_max, ..Terms::PACKAGE }) {
            Ok(members) => members,
            Err(outcome) => return outcome,
        };
        let all: Vec<Wtxid> = members.candidates.iter().map(|candidate| candidate.wtxid).collect();
        let txs = accepted(&members, |_| (members.rate, all.clone()));
        for txid in &members.replaced {
            self.remove_with_descendants(txid);
        }
        for candidate in members.candidates {
            self.insert(candidate, site.now, site.tip_height());
        }
        PackageOutcome { failure: None, txs }
    }

    fn check_members(
        &self,
        txs: &[Arc<Transaction>],
        site: &Site<'_>,
        terms: Terms,
    ) -> Result<Members, PackageOutcome> {
        let mut view = PoolView::new(self, site);
        let mut candidates: Vec<Candidate> = Vec::with_capacity(txs.len());
        for tx in txs {
            let candidate =
                self.pre_check(tx, &view, terms).map_err(|reject| PackageOutcome::tx(tx.compute_wtxid(), reject))?;
            if terms.rate_max.is_some_and(|rate_max| KvbRate::of(candidate.fee, candidate.vsize) > rate_max) {
                return Err(PackageOutcome::tx(candidate.wtxid, TxReject::new("max feerate exceeded")));
            }
            view.add(tx, candidate.txid);
            candidates.push(candidate);
        }
        truc::check_package(self, &candidates)
            .map_err(|details| PackageOutcome::policy(format!("TRUC-violation, {details}")))?;
        let fee: Amount = candidates.iter().map(|candidate| candidate.fee).sum();
        let vsize: u64 = candidates.iter().map(|candidate| candidate.vsize).sum();
        if let (true, Err(reject), Some(last)) = (terms.package, check_fee(fee, vsize), candidates.last()) {
            return Err(PackageOutcome::tx(last.wtxid, reject));
        }
        let replaced = self.check_package_replacement(&candidates, fee, vsize).map_err(PackageOutcome::policy)?;
        let ancestors: BTreeSet<Txid> = candidates.iter().flat_map(|candidate| candidate.ancestors.clone()).collect();
        if ancestors.len() + candidates.len() > RELATIVES_MAX {
            return Err(PackageOutcome::policy("package-mempool-limits"));
        }
        for candidate in &candidates {
            self.check_dust_spent(candidate, txs)
                .map_err(|reject| PackageOutcome::tx_as("unspent-dust", candidate.wtxid, reject))?;
        }
        for candidate in &candidates {
            check_scripts(candidate, &view).map_err(|reject| PackageOutcome::tx(candidate.wtxid, reject))?;
        }
        Ok(Members { candidates, replaced, rate: KvbRate::of(fee, vsize) })
    }

    /// What a package pushes out; only one parent with one child, both without ancestors, may.
    fn check_package_replacement(
        &self,
        candidates: &[Candidate],
        fee: Amount,
        vsize: u64,
    ) -> Result<BTreeSet<Txid>, String> {
        let conflicts: BTreeSet<Txid> =
            candidates.iter().flat_map(|candidate| candidate.conflicts.iter().copied()).collect();
        if conflicts.is_empty() {
            return Ok(BTreeSet::new());
        }
        let [parent, child] = candidates else {
            return Err("package RBF failed: package must be 1-parent-1-child".to_owned());
        };
        if !parent.ancestors.is_empty() || !child.ancestors.is_empty() {
            return Err("package RBF failed: new transaction cannot have mempool ancestors".to_owned());
        }
        let replaced = self.replaced_by(&conflicts);
        pays_for_replacement(self.totals(&replaced).fee, fee, vsize, child.txid)
            .map_err(|details| format!("package RBF failed: insufficient anti-DoS fees, {details}"))?;
        let (parent_rate, package_rate) = (KvbRate::of(parent.fee, parent.vsize), KvbRate::of(fee, vsize));
        if package_rate <= parent_rate {
            return Err(format!(
                "package RBF failed: package feerate is less than or equal to parent feerate, \
                 package feerate {package_rate} <= parent feerate is {parent_rate}"
            ));
        }
        if conflicts.iter().any(|conflict| self.best_rate(conflict) > package_rate) {
            return Err("package RBF failed: insufficient feerate: does not improve feerate diagram".to_owned());
        }
        Ok(replaced)
    }
}

impl Mempool {
    /// The best rate at which a miner can take a transaction: alone, or with one that pays for both. A package that pays
    /// more than all that it replaces makes blocks better if its rate is no lower than this.
    fn best_rate(&self, txid: &Txid) -> KvbRate {
        let rate_of = |txids: &[Txid]| {
            let totals = self.totals(txids);
            KvbRate::of(totals.fee, totals.vsize)
        };
        let with_child = self.descendants(txid).into_iter().map(|child| rate_of(&[*txid, child]));
        with_child.fold(rate_of(&[*txid]), KvbRate::max)
    }
}

fn accepted(
    members: &Members,
    effective: impl Fn(&Candidate) -> (KvbRate, Vec<Wtxid>),
) -> BTreeMap<Wtxid, PackageTxOutcome> {
    let outcome = |(index, candidate): (usize, &Candidate)| {
        let (effective_rate, effective_includes) = effective(candidate);
        let replaced = if index == 0 { members.replaced.iter().copied().collect() } else { Vec::new() };
        let accepted =
            Accepted { vsize: candidate.vsize, fee: candidate.fee, effective_rate, effective_includes, replaced };
        (candidate.wtxid, PackageTxOutcome::Accepted(accepted))
    };
    members.candidates.iter().enumerate().map(outcome).collect()
}

/// What every package must keep to.
fn check_form(txs: &[Arc<Transaction>]) -> Result<(), &'static str> {
    if txs.len() > PACKAGE_COUNT_MAX {
        return Err("package-too-many-transactions");
    }
    let weight: u64 = txs.iter().map(|tx| tx.weight().to_wu()).sum();
    if txs.len() > 1 && weight > PACKAGE_WEIGHT_MAX {
        return Err("package-too-large");
    }
    let ids: Vec<Txid> = txs.iter().map(|tx| tx.compute_txid()).collect();
    let mut later: HashSet<Txid> = ids.iter().copied().collect();
    if later.len() != txs.len() {
        return Err("package-contains-duplicates");
    }
    for (tx, txid) in txs.iter().zip(&ids) {
        if tx.input.iter().any(|input| later.contains(&input.previous_output.txid)) {
            return Err("package-not-sorted");
        }
        later.remove(txid);
    }
    let mut spent: HashSet<OutPoint> = HashSet::new();
    for tx in txs {
        // One transaction that spends an output twice is refused for that, elsewhere.
        let own: HashSet<OutPoint> = tx.input.iter().map(|input| input.previous_output).collect();
        if own.is_empty() || !own.is_disjoint(&spent) {
            return Err("conflict-in-package");
        }
        spent.extend(own);
    }
    Ok(())
}

/// Whether the last one spends from all the others.
pub(crate) fn is_child_with_parents(txs: &[Arc<Transaction>]) -> bool {
    let Some((child, parents)) = txs.split_last() else { return false };
    let spent: HashSet<Txid> = child.input.iter().map(|input| input.previous_output.txid).collect();
    !parents.is_empty() && parents.iter().all(|parent| spent.contains(&parent.compute_txid()))
}

/// Whether the last one spends from all the others, and those do not spend from each other.
pub(crate) fn is_child_with_parents_tree(txs: &[Arc<Transaction>]) -> bool {
    let ids: HashSet<Txid> = txs.iter().map(|tx| tx.compute_txid()).collect();
    let independent = |tx: &Arc<Transaction>| !tx.input.iter().any(|input| ids.contains(&input.previous_output.txid));
    is_child_with_parents(txs) && txs.split_last().is_some_and(|(_, parents)| parents.iter().all(independent))
}
