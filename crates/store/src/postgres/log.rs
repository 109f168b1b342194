//! The tree's tiles and the published checkpoint.
//!
//! They are written in transactions of their own, not by the journal's writer: nothing in them is acknowledged to
//! anybody, a compare-and-swap on the size keeps several processes in order, and what was lost is made again.

use deadpool_postgres::Object;
use tallystick_app::port::journal::StoreError;
use tallystick_app::port::log::{LogState, Published};
use tallystick_log::Tile;
use tallystick_postgres::{Connection, PostgresOptions, connect_with};
use tokio::sync::Mutex;

use crate::error::no_log_state;
use crate::postgres::error::{OrStore, Result, closed, column, signed, unsigned};
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
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
/// Settings of the session. A process that hangs holds nothing up for long.
const SETTINGS: &str =
    "-c statement_timeout=30s -c lock_timeout=15s -c idle_in_transaction_session_timeout=10s -c jit=off";

/// How far the log has come.
pub(crate) async fn state(conn: &Object) -> Result<LogState> {
    let statement = conn.prepare_cached(STATE).await.or_store()?;
    let row = conn.query_opt(&statement, &[]).await.or_store()?.ok_or_else(no_log_state)?;
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
pub(crate) async fn integrate(writer: &LogWriter, from: u64, to: u64, tiles: &[Tile]) -> Result<bool> {
    let levels: Vec<i64> = tiles.iter().map(|tile| i64::from(tile.id.level())).collect();
    let indices: Vec<i64> = tiles.iter().map(|tile| signed(tile.id.index())).collect();
    let hashes: Vec<Vec<u8>> = tiles.iter().map(Tile::to_bytes).collect();
    writer
        .write(async |conn| {
            if conn.execute(GROW, &[&signed(from), &signed(to)]).await.or_store()? != 1 {
                return Ok(false);
            }
            conn.execute(SET_TILES, &[&levels, &indices, &hashes]).await.or_store()?;
            Ok(true)
        })
        .await
}

/// Deletes tiles; false if the size is not `size`.
pub(crate) async fn drop_tiles(writer: &LogWriter, size: u64, tiles: &[(u8, u64)]) -> Result<bool> {
    let levels: Vec<i64> = tiles.iter().map(|(level, _)| i64::from(*level)).collect();
    let indices: Vec<i64> = tiles.iter().map(|(_, index)| signed(*index)).collect();
    writer
        .write(async |conn| {
            if conn.execute(GROW, &[&signed(size), &signed(size)]).await.or_store()? != 1 {
                return Ok(false);
            }
            conn.execute(DROP_TILES, &[&levels, &indices]).await.or_store()?;
            Ok(true)
        })
        .await
}

/// Publishes a checkpoint, unless a newer one is published.
pub(crate) async fn publish(writer: &LogWriter, published: &Published) -> Result<bool> {
    let Published { size, note } = published;
    writer.write(async |conn| Ok(conn.execute(PUBLISH, &[&signed(*size), note]).await.or_store()? == 1)).await
}

/// Whether somebody found the log damaged.
pub(crate) async fn is_damaged(conn: &Object) -> Result<bool> {
    let statement = conn.prepare_cached(IS_DAMAGED).await.or_store()?;
    column(&conn.query_one(&statement, &[]).await.or_store()?, 0)
}

/// Keeps whether the log is damaged.
pub(crate) async fn set_damaged(writer: &LogWriter, damaged: bool) -> Result<()> {
    let change = if damaged { DAMAGED } else { MENDED };
    writer.write(async |conn| Ok(conn.execute(change, &[]).await.or_store()? == 1)).await.map(|_| ())
}

/// The connection that writes, one transaction after the other: a COMMIT is heard out on it.
pub(crate) struct LogWriter {
    options: PostgresOptions,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    closed: bool,
    connection: Option<Connection>,
}

impl LogWriter {
    /// It connects when it is first used, and again when the connection was lost.
    pub(crate) fn new(options: PostgresOptions) -> Self {
        Self { options, kept: Mutex::default() }
    }

    /// One transaction: committed if `work` did something. If anything goes wrong, or this is dropped halfway, the connection
    /// goes with it.
    pub(crate) async fn write(&self, work: impl AsyncFnOnce(&Connection) -> Result<bool>) -> Result<bool> {
        let mut kept = self.kept.lock().await;
        if kept.closed {
            return Err(closed());
        }
        let connection = match kept.connection.take().filter(|connection| !connection.is_closed()) {
            Some(connection) => connection,
            None => {
                let connection = connect_with(&self.options, SETTINGS).await?;
                connection.pin_durability().await?;
                connection
            }
        };
        connection.batch_execute(BEGIN).await.or_store()?;
        let wrote = work(&connection).await?;
        if wrote {
            connection.commit().await?;
        } else {
            connection.batch_execute("ROLLBACK").await.or_store()?;
        }
        kept.connection = Some(connection);
        Ok(wrote)
    }

    /// Ends the connection, once nobody writes on it; nothing is written any more.
    pub(crate) async fn close(&self) {
        *self.kept.lock().await = Kept { closed: true, connection: None };
    }
}
