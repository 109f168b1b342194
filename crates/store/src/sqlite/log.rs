//! The tree's tiles and the published checkpoint.

use rusqlite::{Connection, OptionalExtension, Row, params};
use tallystick_app::port::limits::PAGE_MAX;
use tallystick_app::port::log::{LogState, Published};
use tallystick_log::Tile;

use crate::error::no_log_state;
use crate::sqlite::error::{OrStore, Result};

const STATE: &str = "SELECT size, published_size, published FROM log_state WHERE one = 1";
const TILE: &str = "SELECT hashes FROM log_tiles WHERE level = ?1 AND idx = ?2";
const TILES: &str = "SELECT level, idx FROM log_tiles WHERE (level, idx) > (?1, ?2) ORDER BY level, idx LIMIT ?3";
const GROW: &str = "UPDATE log_state SET size = ?2 WHERE size = ?1";
const SET_TILE: &str = "INSERT INTO log_tiles (level, idx, hashes) VALUES (?1, ?2, ?3)
    ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes";
const DROP_TILE: &str = "DELETE FROM log_tiles WHERE level = ?1 AND idx = ?2";
const PUBLISH: &str = "UPDATE log_state SET published_size = ?1, published = ?2
    WHERE size >= ?1 AND (published_size IS NULL OR published_size < ?1)";

/// How far the log has come.
pub(crate) fn state(conn: &Connection) -> Result<LogState> {
    let read = |row: &Row<'_>| {
        let published: Option<(u64, Vec<u8>)> = row.get::<_, Option<u64>>(1)?.zip(row.get::<_, Option<Vec<u8>>>(2)?);
        let published = published.map(|(size, note)| Published { size, note });
        Ok(LogState { size: row.get(0)?, published })
    };
    let state = conn.prepare_cached(STATE).and_then(|mut statement| statement.query_row([], read).optional());
    state.or_store()?.ok_or_else(no_log_state)
}

/// A tile's hashes.
pub(crate) fn tile(conn: &Connection, level: u8, index: u64) -> Result<Option<Vec<u8>>> {
    let index = crate::sqlite::facts::bound(index);
    conn.prepare_cached(TILE)
        .and_then(|mut statement| statement.query_row(params![level, index], |row| row.get(0)).optional())
        .or_store()
}

/// Which tiles there are.
pub(crate) fn tiles(conn: &Connection, after: Option<(u8, u64)>, limit: u32) -> Result<Vec<(u8, u64)>> {
    let place = |(level, index)| (i64::from(level), i64::try_from(index).unwrap_or(i64::MAX));
    let (level, index): (i64, i64) = after.map_or((i64::MIN, i64::MIN), place);
    let mut statement = conn.prepare_cached(TILES).or_store()?;
    let rows = statement.query_map(params![level, index, limit.min(PAGE_MAX)], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.or_store()?.collect::<rusqlite::Result<_>>().or_store()
}

/// Writes tiles and the new size; false if the size is not `from`.
pub(crate) fn integrate(conn: &Connection, from: u64, to: u64, tiles: &[Tile]) -> rusqlite::Result<bool> {
    if conn.prepare_cached(GROW)?.execute(params![from, to])? != 1 {
        return Ok(false);
    }
    let mut statement = conn.prepare_cached(SET_TILE)?;
    for tile in tiles {
        statement.execute(params![tile.id.level(), tile.id.index(), tile.to_bytes()])?;
    }
    Ok(true)
}

/// Deletes tiles; false if the size is not `size`.
pub(crate) fn drop_tiles(conn: &Connection, size: u64, tiles: &[(u8, u64)]) -> rusqlite::Result<bool> {
    if conn.prepare_cached(GROW)?.execute(params![size, size])? != 1 {
        return Ok(false);
    }
    let mut statement = conn.prepare_cached(DROP_TILE)?;
    for (level, index) in tiles {
        statement.execute(params![level, index])?;
    }
    Ok(true)
}

/// Publishes a checkpoint, unless a newer one is published.
pub(crate) fn publish(conn: &Connection, published: &Published) -> rusqlite::Result<bool> {
    Ok(conn.prepare_cached(PUBLISH)?.execute(params![published.size, published.note])? == 1)
}
