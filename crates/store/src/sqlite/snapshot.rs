//! A SQLite database at one moment.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tallystick_app::port::evidence::{Matter, Piece, WrappedKey};
use tallystick_app::port::journal::StoreError;
use tallystick_app::port::limits::PAGE_MAX;
use tallystick_app::port::log::LogState;
use tallystick_app::port::snapshot::{Held, KeptEffect, Snapshot};
use tallystick_app::port::tasks::TaskRow;
use tallystick_core::{Authority, Digest32, Fact, Id, Timestamp};
use tallystick_escrow::Task;

use crate::chain::Kept;
use crate::columns::{self, names_from};
use crate::sqlite::error::{OrStore, Result};
use crate::sqlite::{evidence, facts, log, requests, schema, tasks};

const EFFECTS: &str = "SELECT id, key, stream, body, finished, attempts, due, claim_epoch, claimed_until
    FROM outbox WHERE id > ?1 ORDER BY id LIMIT ?2";
const NAMES: &str = "SELECT space, name, stream FROM reservations WHERE (space, name) >= (?1, ?2)
    ORDER BY space, name LIMIT ?3";

/// A SQLite database as it was when this was opened, also while a node has it open. One read transaction lasts as long as
/// this does, and keeps the write-ahead log from being cut.
#[derive(Clone)]
pub struct SqliteSnapshot {
    conn: Arc<Mutex<Connection>>,
}

impl SqliteSnapshot {
    /// Opens it, without the database's lock and without changing anything. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is no such file, if it is of another program, or if its tables are of another
    /// version than this program's.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let conn = schema::open_checker(path)?;
        schema::identify(&conn, path)?;
        let (version, known) = (schema::pragma(&conn, "user_version")?, schema::migrations());
        if u64::try_from(version) != Ok(known) {
            return Err(crate::error::other_schema(version, known));
        }
        // The transaction begins with the first read.
        conn.execute_batch("BEGIN DEFERRED").or_store()?;
        facts::head(&conn)?;
        Ok(Self { conn: Arc::new(Mutex::new(conn)) })
    }

    async fn read<T: Send + 'static>(&self, work: impl FnOnce(&Connection) -> Result<T> + Send + 'static) -> Result<T> {
        let conn = Arc::clone(&self.conn);
        // A panic leaves a connection that only reads as it was.
        let read = move || work(&conn.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(read).await.map_err(|error| StoreError::Unavailable(error.to_string()))?
    }
}

#[async_trait]
impl Snapshot for SqliteSnapshot {
    async fn check_structure(&self) -> Result<()> {
        self.read(schema::check_structure).await
    }

    async fn head(&self) -> Result<(u64, Digest32)> {
        self.read(|conn| facts::head(conn).map(|head| (head.seq, head.hash))).await
    }

    async fn facts(&self, after_seq: u64, limit: u32) -> Result<Vec<Fact>> {
        self.read(move |conn| facts::after(conn, after_seq, limit)).await
    }

    async fn stream(&self, stream: &str) -> Result<Vec<Fact>> {
        let stream = stream.to_owned();
        self.read(move |conn| facts::of_stream(conn, &stream, 0)).await
    }

    async fn authority(&self, digest: Digest32) -> Result<Option<Authority>> {
        Ok(self.read(move |conn| facts::authority(conn, digest)).await?.and_then(Kept::whole))
    }

    async fn authorities(&self, after: Option<Digest32>, limit: u32) -> Result<Vec<Digest32>> {
        self.read(move |conn| facts::authorities(conn, after, limit).or_store()).await
    }

    async fn names(&self, after: Option<&Held>, limit: u32) -> Result<Vec<Held>> {
        let (space, name) = names_from(after);
        self.read(move |conn| {
            let held = |row: &Row<'_>| Ok(Held { space: row.get(0)?, name: row.get(1)?, stream: row.get(2)? });
            let mut statement = conn.prepare_cached(NAMES).or_store()?;
            let rows = statement.query_map(params![space, name, limit.min(PAGE_MAX)], held).or_store()?;
            rows.collect::<rusqlite::Result<_>>().or_store()
        })
        .await
    }

    async fn remembered(&self, after: Option<Digest32>, limit: u32) -> Result<Vec<(Digest32, Timestamp)>> {
        self.read(move |conn| requests::remembered(conn, after, limit).or_store()).await
    }

    async fn effects(&self, after: Option<u64>, limit: u32) -> Result<Vec<KeptEffect>> {
        self.read(move |conn| {
            let mut statement = conn.prepare_cached(EFFECTS).or_store()?;
            let rows =
                statement.query_map(params![after.map_or(i64::MIN, place), limit.min(PAGE_MAX)], kept).or_store()?;
            rows.map(|row| row.or_store()?).collect()
        })
        .await
    }

    async fn log_state(&self) -> Result<LogState> {
        self.read(log::state).await
    }

    async fn log_tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>> {
        self.read(move |conn| log::tile(conn, level, index)).await
    }

    async fn log_tiles(&self, after: Option<(u8, u64)>, limit: u32) -> Result<Vec<(u8, u64)>> {
        self.read(move |conn| log::tiles(conn, after, limit)).await
    }

    async fn rows_format(&self) -> Result<u32> {
        self.read(tasks::format).await
    }

    async fn rows(&self, after: Option<Id<Task>>, limit: u32) -> Result<Vec<TaskRow>> {
        self.read(move |conn| tasks::rows(conn, after, limit)).await
    }

    async fn evidence(&self, after: Option<(Matter, Digest32)>, limit: u32) -> Result<Vec<Piece>> {
        self.read(move |conn| evidence::all(conn, after, limit)).await
    }

    async fn evidence_content(&self, matter: Matter, hash: Digest32) -> Result<Option<Vec<u8>>> {
        self.read(move |conn| evidence::content(conn, matter, hash)).await
    }

    async fn evidence_keys(&self, matter: Matter, hash: Digest32) -> Result<Vec<WrappedKey>> {
        self.read(move |conn| evidence::checked_keys(conn, matter, hash)).await
    }
}

/// A place as SQL stores it.
fn place(place: u64) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX)
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Result<KeptEffect>> {
    let kept = KeptEffect {
        place: row.get(0)?,
        key: row.get(1)?,
        stream: row.get(2)?,
        body: row.get(3)?,
        finished: row.get(4)?,
    };
    let numbers = [row.get(4)?, row.get(5)?, row.get(6)?, row.get(7)?, row.get(8)?];
    Ok(columns::effect_numbers(&kept.key, numbers).map(|()| kept))
}
