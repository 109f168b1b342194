//! Effects: written with the facts that ask for them, and kept for ever.
//!
//! A bit that turns on the disk keeps no effect from being done, and no other either: what is read is taken for what it may be, and
//! what is written touches no value that it does not have to. `fsck` tells of such damage.

use rusqlite::{Connection, OptionalExtension, Row, params, types::ValueRef};
use tallystick_app::port::journal::{NewEffect, PendingEffect};
use tallystick_app::port::limits::{EFFECT_PAUSE_MAX, PAGE_MAX};
use tallystick_core::Timestamp;

use crate::sqlite::error::{OrStore, Result};
use crate::sqlite::facts::bound;

const ADD: &str = "INSERT INTO outbox (key, stream, body, due) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO NOTHING";
const FINISH: &str = "UPDATE outbox SET finished = 1 WHERE key = ?1 AND finished = 0";
// The count of attempts stops at the largest that the port can say.
const DEFER: &str =
    "UPDATE outbox SET due = ?2, attempts = max(0, min(ifnull(attempts, 0) + 1, 4294967295)), claimed_until = 0
    WHERE key = ?1 AND finished = 0";
// Texts and bytes, which no time is, are greater than all numbers.
const DUE: &str = "SELECT key, stream, body, attempts, due FROM outbox
    WHERE finished = 0 AND (due <= ?1 OR due > ?3 OR due IS NULL) ORDER BY due, id LIMIT ?2";
const CLAIM: &str = "UPDATE outbox SET claim_epoch = ?4, claimed_until = ?5,
        attempts = CASE typeof(attempts) WHEN 'integer' THEN max(0, min(attempts, 4294967295)) ELSE 0 END WHERE id IN (
        SELECT id FROM outbox WHERE finished = 0 AND (due <= ?1 OR due > ?3 OR due IS NULL)
            AND (ifnull(claim_epoch, 0) < ?4 OR ifnull(claimed_until, 0) <= ?1 OR claimed_until > ?3)
        ORDER BY due, id LIMIT ?2)
    RETURNING key, stream, body, attempts, due, id";
const NEXT_DUE: &str = "SELECT due FROM outbox WHERE finished = 0 ORDER BY due LIMIT 1";

/// Adds an effect; one with this key stays as it is, finished or not.
pub(crate) fn add(conn: &Connection, stream: &str, effect: &NewEffect) -> rusqlite::Result<()> {
    execute(conn, ADD, params![effect.key, stream, effect.body, effect.due.as_millis()])
}

/// Ends an effect.
pub(crate) fn finish(conn: &Connection, key: &str) -> rusqlite::Result<()> {
    execute(conn, FINISH, [key])
}

/// Puts an effect off and counts the try.
pub(crate) fn defer(conn: &Connection, key: &str, until: Timestamp) -> rusqlite::Result<()> {
    execute(conn, DEFER, params![key, until.as_millis()])
}

/// Unfinished effects that are due, the longest due first; those that only a clock that was ahead can have put off so
/// far come last.
pub(crate) fn due(conn: &Connection, now: Timestamp, limit: u32) -> Result<Vec<PendingEffect>> {
    let mut statement = conn.prepare_cached(DUE).or_store()?;
    let (now, horizon) = (bound(now.as_millis()), bound(now.after(EFFECT_PAUSE_MAX).as_millis()));
    let rows = statement.query_map(params![now, limit.min(PAGE_MAX), horizon], pending).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Takes what is due for a worker, the longest due first.
pub(crate) fn claim(
    conn: &Connection,
    now: Timestamp,
    until: Timestamp,
    epoch: u64,
    limit: u32,
) -> rusqlite::Result<Vec<PendingEffect>> {
    let mut statement = conn.prepare_cached(CLAIM)?;
    let (now, horizon) = (bound(now.as_millis()), bound(now.after(EFFECT_PAUSE_MAX).as_millis()));
    let rows = statement
        .query_map(params![now, limit.min(PAGE_MAX), horizon, bound(epoch), bound(until.as_millis())], |row| {
            Ok((row.get::<_, i64>(5)?, pending(row)?))
        })?;
    let mut claimed = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    // What an update answers comes in no order.
    claimed.sort_by_key(|(id, effect)| (effect.due, *id));
    Ok(claimed.into_iter().map(|(_, effect)| effect).collect())
}

/// When the next unfinished effect is due.
pub(crate) fn next_due(conn: &Connection) -> Result<Option<Timestamp>> {
    let due = conn
        .prepare_cached(NEXT_DUE)
        .and_then(|mut statement| statement.query_row([], |row| number(row, 0)).optional())
        .or_store()?;
    Ok(due.map(Timestamp::from_millis))
}

fn execute(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute(params)?;
    Ok(())
}

fn pending(row: &Row<'_>) -> rusqlite::Result<PendingEffect> {
    Ok(PendingEffect {
        key: text(row, 0)?,
        stream: text(row, 1)?,
        body: bytes(row, 2)?.to_vec(),
        attempts: u32::try_from(number(row, 3)?).unwrap_or(u32::MAX),
        due: Timestamp::from_millis(number(row, 4)?),
    })
}

/// A count or a time; 0 for what is none.
fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<u64> {
    Ok(match row.get_ref(index)? {
        ValueRef::Integer(number) => u64::try_from(number).unwrap_or_default(),
        _ => 0,
    })
}

fn bytes<'a>(row: &'a Row<'_>, index: usize) -> rusqlite::Result<&'a [u8]> {
    Ok(match row.get_ref(index)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        _ => &[],
    })
}

fn text(row: &Row<'_>, index: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(bytes(row, index)?).into_owned())
}
