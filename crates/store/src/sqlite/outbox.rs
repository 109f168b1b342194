//! Effects: written with the facts that ask for them, and kept for ever.
//!
//! A bit that turns on the disk must not keep effects from being done, neither its own nor, as the table is strict about types
//! whenever a row is written, all those that are written with it. So what is read is taken for what it may be, and what cannot be
//! written is mended first ([`mend`]). `fsck` compares what is left with the facts.

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params, types::ValueRef};
use tallystick_app::port::journal::{NewEffect, PendingEffect};
use tallystick_app::port::limits::{EFFECT_PAUSE_MAX, PAGE_MAX};
use tallystick_core::Timestamp;

use crate::sqlite::error::{OrStore, Result};
use crate::sqlite::facts::bound;

const ADD: &str = "INSERT INTO outbox (key, stream, body, due) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO NOTHING";
const FINISH: &str = "UPDATE outbox SET finished = 1 WHERE key = ?1 AND finished = 0";
// The count of attempts stops at the largest that the port can say.
const DEFER: &str = "UPDATE outbox SET due = ?2, attempts = min(attempts + 1, 4294967295), claimed_until = 0
    WHERE key = ?1 AND finished = 0";
const DUE: &str = "SELECT key, stream, body, attempts, due FROM outbox
    WHERE finished = 0 AND (due <= ?1 OR due > ?3 OR typeof(due) <> 'integer') ORDER BY due, id LIMIT ?2";
const CLAIM: &str = "UPDATE outbox SET claim_epoch = ?4, claimed_until = ?5 WHERE id IN (
        SELECT id FROM outbox WHERE finished = 0 AND (due <= ?1 OR due > ?3 OR typeof(due) <> 'integer')
            AND (ifnull(claim_epoch, 0) < ?4 OR ifnull(claimed_until, 0) <= ?1 OR claimed_until > ?3)
        ORDER BY due, id LIMIT ?2)
    RETURNING key, stream, body, attempts, due, id";
const NEXT_DUE: &str = "SELECT due FROM outbox WHERE finished = 0 ORDER BY due LIMIT 1";
/// What no program writes. (`IS NULL` would be taken for false where a column may not be.)
const DAMAGED: &str = "typeof(key) <> 'text' OR typeof(stream) <> 'text' OR typeof(body) <> 'blob'
    OR typeof(due) <> 'integer' OR due < 0 OR typeof(attempts) <> 'integer' OR attempts NOT BETWEEN 0 AND 4294967295
    OR typeof(finished) <> 'integer' OR finished NOT IN (0, 1) OR typeof(claim_epoch) <> 'integer' OR claim_epoch < 0
    OR typeof(claimed_until) <> 'integer' OR claimed_until < 0";

/// Adds an effect; one with this key stays as it is, finished or not.
pub(crate) fn add(conn: &Connection, stream: &str, effect: &NewEffect) -> rusqlite::Result<()> {
    execute(conn, ADD, params![effect.key, stream, effect.body, effect.due.as_millis()])
}

/// Ends an effect.
pub(crate) fn finish(conn: &Connection, key: &str) -> rusqlite::Result<()> {
    mending(conn, || execute(conn, FINISH, [key]))
}

/// Puts an effect off and counts the try.
pub(crate) fn defer(conn: &Connection, key: &str, until: Timestamp) -> rusqlite::Result<()> {
    mending(conn, || execute(conn, DEFER, params![key, until.as_millis()]))
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
    let (now, horizon) = (bound(now.as_millis()), bound(now.after(EFFECT_PAUSE_MAX).as_millis()));
    let (epoch, until) = (bound(epoch), bound(until.as_millis()));
    let mut claimed = mending(conn, || {
        let mut statement = conn.prepare_cached(CLAIM)?;
        let rows = statement.query_map(params![now, limit.min(PAGE_MAX), horizon, epoch, until], |row| {
            Ok((row.get::<_, i64>(5)?, pending(row)?))
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    })?;
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

/// Whether there is a row that no program writes.
pub(crate) fn is_damaged(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row(&format!("SELECT EXISTS (SELECT 1 FROM outbox WHERE {DAMAGED})"), [], |row| row.get(0))
}

/// Calls an effect unfinished. Answers whether it was called finished.
pub(crate) fn unfinish(conn: &Connection, id: i64) -> rusqlite::Result<bool> {
    Ok(conn.prepare_cached("UPDATE outbox SET finished = 0 WHERE id = ?1 AND finished <> 0")?.execute([id])? > 0)
}

/// Makes of each row that no program writes one that can be worked: what is no count counts nothing, what is no time is due. Answers
/// whether there was one.
pub(crate) fn mend(conn: &Connection) -> rusqlite::Result<bool> {
    if !is_damaged(conn)? {
        return Ok(false);
    }
    tracing::error!("effects in the outbox are damaged: they are mended as far as that goes; run `tally fsck`");
    let number = |name: &str, most: i64| {
        format!("{name} = CASE typeof({name}) WHEN 'integer' THEN max(0, min({name}, {most})) ELSE 0 END")
    };
    let numbers = [
        number("due", i64::MAX),
        number("attempts", u32::MAX.into()),
        // Only what says so is done.
        "finished = CASE finished WHEN 1 THEN 1 ELSE 0 END".to_owned(),
        number("claim_epoch", i64::MAX),
        number("claimed_until", i64::MAX),
    ];
    // The indexes first: a row whose entry is under another value cannot be changed.
    conn.execute_batch(&format!(
        "REINDEX outbox; UPDATE outbox SET {}, key = ifnull(CAST(key AS TEXT), 'lost/' || id),
            stream = ifnull(CAST(stream AS TEXT), ''), body = ifnull(CAST(body AS BLOB), x'') WHERE {DAMAGED}",
        numbers.join(", ")
    ))?;
    Ok(true)
}

/// Writes, and once more if damage was in the way.
fn mending<T>(conn: &Connection, write: impl Fn() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    match write() {
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation) && mend(conn)? => write(),
        written => written,
    }
}

fn execute(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> rusqlite::Result<()> {
    conn.prepare_cached(sql)?.execute(params)?;
    Ok(())
}

fn pending(row: &Row<'_>) -> rusqlite::Result<PendingEffect> {
    Ok(PendingEffect {
        key: String::from_utf8_lossy(bytes(row, 0)?).into_owned(),
        stream: String::from_utf8_lossy(bytes(row, 1)?).into_owned(),
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
