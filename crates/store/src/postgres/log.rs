//! The tree's tiles and the published checkpoint.
//!
//! They are written in transactions of their own, not by the journal's writer: nothing in them is acknowledged to
//! anybody, a compare-and-swap on the size keeps several processes in order, and what was lost is made again.

use deadpool_postgres::Object;
use tallystick_app::port::journal::StoreError;
use tallystick_app::port::log::{LogState, Published};
use tallystick_log::Tile;

use crate::postgres::error::{OrStore, Result, column, signed, unsigned};
use crate::postgres::facts::page;

const STATE: &str = "SELECT size, published_size, published FROM log_state WHERE one = 1";
const TILE: &str = "SELECT hashes FROM log_tiles WHERE level = $1 AND idx = $2";
const TILES: &str = "SELECT level, idx FROM log_tiles WHERE (level, idx) > ($1, $2) ORDER BY level, idx LIMIT $3";
const GROW: &str = "UPDATE log_state SET size = $2 WHERE size = $1";
const SET_TILES: &str = "INSERT INTO log_tiles (level, idx, hashes)
    SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[])
    ON CONFLICT (level, idx) DO UPDATE SET hashes = excluded.hashes";
const DROP_TILES: &str = "DELETE FROM log_tiles USING unnest($1::bigint[], $2::bigint[]) AS gone (level, idx)
    WHERE log_tiles.level = gone.level AND log_tiles.idx = gone.idx";
const PUBLISH: &str = "UPDATE log_state SET published_size = $1, published = $2
    WHERE size >= $1 AND (published_size IS NULL OR published_size < $1)";
const IS_DAMAGED: &str = "SELECT EXISTS (SELECT FROM log_damaged)";
const DAMAGED: &str = "INSERT INTO log_damaged (one) VALUES (1) ON CONFLICT DO NOTHING";
const MENDED: &str = "DELETE FROM log_damaged";
// Readers' sessions do not write unless they say so; and this waits for the disk whatever the server's default is.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL synchronous_commit = on";

/// How far the log has come.
pub(crate) async fn state(conn: &Object) -> Result<LogState> {
    let statement = conn.prepare_cached(STATE).await.or_store()?;
    let row = conn.query_one(&statement, &[]).await.or_store()?;
    let note: Option<Vec<u8>> = column(&row, 2)?;
    let published = match note {
        Some(note) => Some(Published { size: unsigned(&row, 1)?, note }),
        None => None,
    };
    Ok(LogState { size: unsigned(&row, 0)?, published })
}

/// A tile's hashes.
pub(crate) async fn tile(conn: &Object, level: u8, index: u64) -> Result<Option<Vec<u8>>> {
    let statement = conn.prepare_cached(TILE).await.or_store()?;
    let row = conn.query_opt(&statement, &[&i64::from(level), &signed(index)]).await.or_store()?;
    row.map(|row| column(&row, 0)).transpose()
}

/// Which tiles there are.
pub(crate) async fn tiles(conn: &Object, after: Option<(u8, u64)>, limit: u32) -> Result<Vec<(u8, u64)>> {
    let (level, index) = after.map_or((i64::MIN, i64::MIN), |(level, index)| (i64::from(level), signed(index)));
    let statement = conn.prepare_cached(TILES).await.or_store()?;
    let rows = conn.query(&statement, &[&level, &index, &page(limit)]).await.or_store()?;
    let place = |row| {
        let level = unsigned(row, 0)?;
        let level = u8::try_from(level).map_err(|_| StoreError::Corrupt(format!("a tile of level {level}")))?;
        Ok((level, unsigned(row, 1)?))
    };
    rows.iter().map(place).collect()
}

/// Writes tiles and the new size; false if the size is not `from`.
pub(crate) async fn integrate(conn: &mut Object, from: u64, to: u64, tiles: &[Tile]) -> Result<bool> {
    let levels: Vec<i64> = tiles.iter().map(|tile| i64::from(tile.id.level())).collect();
    let indices: Vec<i64> = tiles.iter().map(|tile| signed(tile.id.index())).collect();
    let hashes: Vec<Vec<u8>> = tiles.iter().map(Tile::to_bytes).collect();
    writing(conn, async |conn| {
        if conn.execute(GROW, &[&signed(from), &signed(to)]).await.or_store()? != 1 {
            return Ok(false);
        }
        conn.execute(SET_TILES, &[&levels, &indices, &hashes]).await.or_store()?;
        Ok(true)
    })
    .await
}

/// Deletes tiles; false if the size is not `size`.
pub(crate) async fn drop_tiles(conn: &mut Object, size: u64, tiles: &[(u8, u64)]) -> Result<bool> {
    let levels: Vec<i64> = tiles.iter().map(|(level, _)| i64::from(*level)).collect();
    let indices: Vec<i64> = tiles.iter().map(|(_, index)| signed(*index)).collect();
    writing(conn, async |conn| {
        if conn.execute(GROW, &[&signed(size), &signed(size)]).await.or_store()? != 1 {
            return Ok(false);
        }
        conn.execute(DROP_TILES, &[&levels, &indices]).await.or_store()?;
        Ok(true)
    })
    .await
}

/// Publishes a checkpoint, unless a newer one is published.
pub(crate) async fn publish(conn: &mut Object, published: &Published) -> Result<bool> {
    let Published { size, note } = published;
    writing(conn, async |conn| Ok(conn.execute(PUBLISH, &[&signed(*size), note]).await.or_store()? == 1)).await
}

/// Whether somebody found the log damaged.
pub(crate) async fn is_damaged(conn: &Object) -> Result<bool> {
    let statement = conn.prepare_cached(IS_DAMAGED).await.or_store()?;
    column(&conn.query_one(&statement, &[]).await.or_store()?, 0)
}

/// Keeps whether the log is damaged.
pub(crate) async fn set_damaged(conn: &mut Object, damaged: bool) -> Result<()> {
    let change = if damaged { DAMAGED } else { MENDED };
    writing(conn, async |conn| Ok(conn.execute(change, &[]).await.or_store()? == 1)).await.map(|_| ())
}

/// One transaction that writes: committed if `work` did something. Dropped halfway, it takes its connection with it.
pub(crate) async fn writing(conn: &mut Object, work: impl AsyncFnOnce(&Object) -> Result<bool>) -> Result<bool> {
    conn.batch_execute(BEGIN).await.or_store()?;
    let outcome = work(conn).await;
    let end = if matches!(outcome, Ok(true)) { "COMMIT" } else { "ROLLBACK" };
    conn.batch_execute(end).await.or_store()?;
    outcome
}
