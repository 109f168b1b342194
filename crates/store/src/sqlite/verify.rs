//! Recomputing the chain.

use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeSet;
use tallystick_app::port::journal::{Fact, StoreError, authority_digest};
use tallystick_app::port::limits::PAGE_MAX;
use tallystick_core::Digest32;

use crate::sqlite::error::{OrStore, Result};
use crate::sqlite::{facts, ledger::Head};

const SEQ_OF: &str = "SELECT seq FROM facts WHERE stream = ?1 AND version = ?2";

/// Where to begin, so that the last `count` facts are checked: the head before them.
pub(crate) fn tail(conn: &Connection, count: u64) -> Result<Head> {
    let Some(last) = facts::last(conn)? else { return Ok(Head::START) };
    let Some(before) = last.seq.saturating_sub(count).checked_sub(1) else { return Ok(Head::START) };
    match facts::after(conn, before, 1)?.pop() {
        Some(fact) if fact.seq == before + 1 => Ok(Head { seq: fact.seq, hash: fact.hash }),
        _ => Err(bad(before + 1, "is missing")),
    }
}

/// Checks one page after `head`: answers the head after it, the same if nothing follows.
///
/// The facts never change, so that pages read one after the other make one consistent whole, and no read
/// transaction stays open long enough to keep the write-ahead log from being cut.
pub(crate) fn page(conn: &Connection, mut head: Head) -> Result<Head> {
    let mut checked = BTreeSet::new();
    for fact in facts::after(conn, head.seq, PAGE_MAX)? {
        head = link(head, &fact)?;
        predecessor(conn, &fact)?;
        if checked.insert(fact.authority) {
            authority(conn, fact.seq, fact.authority)?;
        }
    }
    Ok(head)
}

fn link(head: Head, fact: &Fact) -> Result<Head> {
    if fact.seq != head.seq + 1 {
        return Err(bad(head.seq + 1, "is missing"));
    }
    if fact.prev != head.hash {
        return Err(bad(fact.seq, "does not follow the fact before it"));
    }
    if fact.hash != fact.link() {
        return Err(bad(fact.seq, "does not match its hash"));
    }
    Ok(Head { seq: fact.seq, hash: fact.hash })
}

/// The version before this one must be there, and older.
fn predecessor(conn: &Connection, fact: &Fact) -> Result<()> {
    if fact.version == 1 {
        return Ok(());
    }
    let seq: Option<u64> = conn
        .prepare_cached(SEQ_OF)
        .and_then(|mut statement| {
            statement.query_row(params![fact.stream, fact.version.saturating_sub(1)], |row| row.get(0)).optional()
        })
        .or_store()?;
    if seq.is_some_and(|seq| seq < fact.seq) { Ok(()) } else { Err(bad(fact.seq, "skips a version of its stream")) }
}

fn authority(conn: &Connection, seq: u64, digest: Digest32) -> Result<()> {
    match facts::authority(conn, digest) {
        Ok(Some(authority)) if authority_digest(&authority) == digest => Ok(()),
        Ok(Some(_)) => Err(bad(seq, "has an authority that does not match its digest")),
        Ok(None) => Err(bad(seq, "has no authority")),
        Err(StoreError::Corrupt(_)) => Err(bad(seq, "has an authority that cannot be read")),
        Err(error) => Err(error),
    }
}

fn bad(seq: u64, what: &str) -> StoreError {
    StoreError::Corrupt(format!("fact {seq} {what}"))
}
