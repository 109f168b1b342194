//! Recomputing the chain.

use rusqlite::{Connection, OptionalExtension, params};
use std::collections::BTreeSet;
use tallystick_app::port::limits::PAGE_MAX;
use tallystick_core::Fact;

use crate::chain::{self, Head};
use crate::sqlite::error::{OrStore, Result};
use crate::sqlite::facts;

const SEQ_OF: &str = "SELECT seq FROM facts WHERE stream = ?1 AND version = ?2";

/// Where to begin, so that the last `count` facts are checked: the head before them.
pub(crate) fn tail(conn: &Connection, count: u64) -> Result<Head> {
    let Some(last) = facts::last(conn)? else { return Ok(Head::START) };
    let Some(before) = last.seq.saturating_sub(count).checked_sub(1) else { return Ok(Head::START) };
    chain::tail_from(before + 1, facts::after(conn, before, 1)?.pop())
}

/// Checks one page after `head`: answers the head after it, the same if nothing follows.
///
/// The facts never change, so that pages read one after the other make one consistent whole, and no read
/// transaction stays open long enough to keep the write-ahead log from being cut.
pub(crate) fn page(conn: &Connection, mut head: Head) -> Result<Head> {
    let mut checked = BTreeSet::new();
    for fact in facts::after(conn, head.seq, PAGE_MAX)? {
        head = chain::link(head, &fact)?;
        predecessor(conn, &fact)?;
        if checked.insert(fact.authority) {
            chain::check_authority(&fact, facts::authority(conn, fact.authority))?;
        }
    }
    Ok(head)
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
    chain::check_predecessor(fact, seq)
}
