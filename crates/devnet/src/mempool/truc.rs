//! Version 3 transactions: topologically restricted until confirmation (BIP 431).

use std::sync::Arc;

use bitcoin::{Transaction, Txid};

use super::accept::Candidate;
use super::pool::Mempool;

/// The version that asks for these rules.
pub(super) const TRUC_VERSION: i32 = 3;

const ANCESTORS_MAX: usize = 2;
const VSIZE_MAX: u64 = 10_000;
const CHILD_VSIZE_MAX: u64 = 1_000;

/// A broken rule.
pub(super) struct TrucFailure {
    pub(super) details: String,
    /// The one child that would have to make room.
    pub(super) sibling: Option<Txid>,
}

fn failure(details: String) -> TrucFailure {
    TrucFailure { details, sibling: None }
}

/// A transaction against its parents in the mempool.
pub(super) fn check_single(pool: &Mempool, candidate: &Candidate) -> Result<(), TrucFailure> {
    let Candidate { tx, txid, wtxid, vsize, parents, .. } = candidate;
    let restricted = tx.version.0 == TRUC_VERSION;
    for parent in parents {
        let Some(entry) = pool.get(parent) else { continue };
        check_versions(tx, &format!("{txid} (wtxid={wtxid})"), &entry.tx, *parent)?;
    }
    if !restricted {
        return Ok(());
    }
    if *vsize > VSIZE_MAX {
        let details = format!("version=3 tx {txid} (wtxid={wtxid}) is too big: {vsize} > {VSIZE_MAX} virtual bytes");
        return Err(failure(details));
    }
    if candidate.ancestors.len() + 1 > ANCESTORS_MAX {
        return Err(failure(format!("tx {txid} (wtxid={wtxid}) would have too many ancestors")));
    }
    let Some(parent) = parents.first() else { return Ok(()) };
    check_child_size(candidate)?;
    let siblings = pool.descendants(parent);
    let replaced = siblings.iter().any(|sibling| candidate.conflicts.contains(sibling));
    if siblings.is_empty() || replaced {
        return Ok(());
    }
    let evictable = siblings.len() == 1;
    Err(TrucFailure {
        details: format!("tx {} would exceed descendant count limit", name(pool, parent)),
        sibling: siblings.first().copied().filter(|_| evictable),
    })
}

/// The members of a package against each other.
pub(super) fn check_package(pool: &Mempool, candidates: &[Candidate]) -> Result<(), String> {
    for (index, candidate) in candidates.iter().enumerate() {
        check_member(pool, candidate, &candidates[..index], candidates).map_err(|failure| failure.details)?;
    }
    Ok(())
}

fn check_member(
    pool: &Mempool,
    candidate: &Candidate,
    before: &[Candidate],
    all: &[Candidate],
) -> Result<(), TrucFailure> {
    let Candidate { tx, txid, wtxid, .. } = candidate;
    let spends = |tx: &Transaction, id: Txid| tx.input.iter().any(|input| input.previous_output.txid == id);
    let parents: Vec<&Candidate> = before.iter().filter(|parent| spends(tx, parent.txid)).collect();
    for parent in &parents {
        check_versions(tx, &format!("{txid} (wtxid={wtxid})"), &parent.tx, parent.txid)?;
    }
    if tx.version.0 != TRUC_VERSION {
        return Ok(());
    }
    let too_many = |txid: Txid, wtxid| failure(format!("tx {txid} (wtxid={wtxid}) would have too many ancestors"));
    if candidate.ancestors.len() + parents.len() + 1 > ANCESTORS_MAX {
        return Err(too_many(*txid, *wtxid));
    }
    let parent = parents.first().map(|parent| parent.txid).or_else(|| candidate.parents.first().copied());
    let Some(parent) = parent else { return Ok(()) };
    check_child_size(candidate)?;
    let exceeded = || failure(format!("tx {} would exceed descendant count limit", name(pool, &parent)));
    for other in all.iter().filter(|other| other.txid != *txid) {
        if spends(&other.tx, parent) {
            return Err(exceeded());
        }
        if spends(&other.tx, *txid) {
            return Err(too_many(other.txid, other.wtxid));
        }
    }
    if pool.descendants(&parent).is_empty() { Ok(()) } else { Err(exceeded()) }
}

fn check_versions(tx: &Arc<Transaction>, who: &str, parent: &Transaction, parent_id: Txid) -> Result<(), TrucFailure> {
    let parent_name = format!("{parent_id} (wtxid={})", parent.compute_wtxid());
    match (tx.version.0 == TRUC_VERSION, parent.version.0 == TRUC_VERSION) {
        (true, false) => Err(failure(format!("version=3 tx {who} cannot spend from non-version=3 tx {parent_name}"))),
        (false, true) => Err(failure(format!("non-version=3 tx {who} cannot spend from version=3 tx {parent_name}"))),
        _ => Ok(()),
    }
}

fn check_child_size(candidate: &Candidate) -> Result<(), TrucFailure> {
    let Candidate { txid, wtxid, vsize, .. } = candidate;
    if *vsize > CHILD_VSIZE_MAX {
        return Err(failure(format!(
            "version=3 child tx {txid} (wtxid={wtxid}) is too big: {vsize} > {CHILD_VSIZE_MAX} virtual bytes"
        )));
    }
    Ok(())
}

fn name(pool: &Mempool, txid: &Txid) -> String {
    match pool.get(txid) {
        Some(entry) => format!("{txid} (wtxid={})", entry.wtxid),
        None => txid.to_string(),
    }
}
