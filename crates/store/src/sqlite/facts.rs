//! Reading facts and the authorities behind them.

use rusqlite::{Connection, OptionalExtension, Row, params};
use tallystick_app::port::limits::{PAGE_MAX, TIME_MAX, behind_prefix};
use tallystick_core::{BlockHeight, Digest32, Fact, Timestamp};

use crate::chain::{self, Head, Kept};
use crate::columns;
use crate::sqlite::error::{OrStore, Result};

const AFTER: &str = "SELECT seq, stream, version, kind, body, commitment, salt, authority, recorded_at,
        height, prev, hash FROM facts
    WHERE seq > ?1 ORDER BY seq LIMIT ?2";
const OF_STREAM: &str = "SELECT seq, stream, version, kind, body, commitment, salt, authority, recorded_at,
        height, prev, hash FROM facts
    WHERE stream = ?1 AND version > ?2 ORDER BY version";
const BELOW: &str = "SELECT seq, stream, version, kind, body, commitment, salt, authority, recorded_at,
        height, prev, hash FROM facts
    WHERE stream >= ?1 AND stream < ?2 AND +seq > ?3 ORDER BY +seq LIMIT ?4";
/// Facts without their openings.
const ENTRIES: &str = "SELECT seq, stream, version, kind, CASE WHEN commitment IS NULL THEN body END, commitment, NULL,
        authority, recorded_at, height, prev, hash FROM facts
    WHERE seq > ?1 AND seq <= ?2 ORDER BY seq";
const LAST: &str = "SELECT seq, stream, version, kind, body, commitment, salt, authority, recorded_at,
        height, prev, hash FROM facts
    ORDER BY seq DESC LIMIT 1";
const HEAD: &str = "SELECT seq, hash FROM head";
const VERSION: &str = "SELECT version, body IS NULL FROM facts WHERE stream = ?1 ORDER BY version DESC LIMIT 1";
const AUTHORITY: &str = "SELECT bytes FROM authorities WHERE digest = ?1";
const AUTHORITIES: &str = "SELECT digest FROM authorities WHERE digest > ?1 ORDER BY digest LIMIT ?2";
const HOLDER: &str = "SELECT stream FROM reservations WHERE space = ?1 AND name = ?2";

/// A number for a comparison: beyond the largest stored number, all are alike.
pub(crate) fn bound(number: u64) -> u64 {
    number.min(TIME_MAX.as_millis())
}

/// Facts after `seq`, in order.
pub(crate) fn after(conn: &Connection, seq: u64, limit: u32) -> Result<Vec<Fact>> {
    let mut statement = conn.prepare_cached(AFTER).or_store()?;
    let rows = statement.query_map(params![bound(seq), limit.min(PAGE_MAX)], fact).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// A stream's facts after `version`, in order.
pub(crate) fn of_stream(conn: &Connection, stream: &str, version: u64) -> Result<Vec<Fact>> {
    let mut statement = conn.prepare_cached(OF_STREAM).or_store()?;
    let rows = statement.query_map(params![stream, bound(version)], fact).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// The facts of all streams below a prefix, after `seq`. The `+` keeps SQLite from reading all facts by their number.
pub(crate) fn below(conn: &Connection, prefix: &str, seq: u64, limit: u32) -> Result<Vec<Fact>> {
    let mut statement = conn.prepare_cached(BELOW).or_store()?;
    let values = params![prefix, behind_prefix(prefix), bound(seq), limit.min(PAGE_MAX)];
    let rows = statement.query_map(values, fact).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// The entries of the facts after `from` and up to `to`.
pub(crate) fn entries(conn: &Connection, from: u64, to: u64) -> Result<Vec<Vec<u8>>> {
    let mut statement = conn.prepare_cached(ENTRIES).or_store()?;
    let rows = statement.query_map(params![bound(from), bound(to)], |row| Ok(fact(row)?.entry())).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// The last fact of all.
pub(crate) fn last(conn: &Connection) -> Result<Option<Fact>> {
    conn.prepare_cached(LAST).and_then(|mut statement| statement.query_row([], fact).optional()).or_store()
}

/// The head as the last append wrote it.
pub(crate) fn head(conn: &Connection) -> Result<Head> {
    let read = |row: &Row<'_>| Ok(Head { seq: row.get(0)?, hash: Digest32(row.get(1)?) });
    let head =
        conn.prepare_cached(HEAD).and_then(|mut statement| statement.query_row([], read).optional()).or_store()?;
    head.ok_or_else(chain::no_head)
}

/// A stream's version, 0 for one that is not there, and whether it was erased.
pub(crate) fn version(conn: &Connection, stream: &str) -> rusqlite::Result<(u64, bool)> {
    let read = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    Ok(conn.prepare_cached(VERSION)?.query_row([stream], read).optional()?.unwrap_or_default())
}

/// The authority under a digest.
pub(crate) fn authority(conn: &Connection, digest: Digest32) -> Result<Option<Kept>> {
    let bytes: Option<Option<Vec<u8>>> = conn
        .prepare_cached(AUTHORITY)
        .and_then(|mut statement| statement.query_row([digest.0], |row| row.get(0)).optional())
        .or_store()?;
    bytes.map(|bytes| chain::decode_authority(digest, bytes.as_deref())).transpose()
}

/// The digests of all authorities, in their order.
pub(crate) fn authorities(conn: &Connection, after: Option<Digest32>, limit: u32) -> rusqlite::Result<Vec<Digest32>> {
    let mut statement = conn.prepare_cached(AUTHORITIES)?;
    let after: &[u8] = after.as_ref().map_or(&[], |digest| &digest.0);
    let rows = statement.query_map(params![after, limit.min(PAGE_MAX)], |row| Ok(Digest32(row.get(0)?)))?;
    rows.collect()
}

/// The stream that holds a name.
pub(crate) fn holder(conn: &Connection, space: &str, name: &[u8]) -> rusqlite::Result<Option<String>> {
    conn.prepare_cached(HOLDER)?.query_row(params![space, name], |row| row.get(0)).optional()
}

fn fact(row: &Row<'_>) -> rusqlite::Result<Fact> {
    Ok(Fact {
        seq: row.get(0)?,
        stream: row.get(1)?,
        version: row.get(2)?,
        kind: row.get(3)?,
        body: columns::body(row.get(4)?, row.get(5)?, row.get(6)?).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(4, rusqlite::types::Type::Blob, Box::new(error))
        })?,
        authority: Digest32(row.get(7)?),
        recorded_at: Timestamp::from_millis(row.get(8)?),
        height: BlockHeight(row.get(9)?),
        prev: Digest32(row.get(10)?),
        hash: Digest32(row.get(11)?),
    })
}
