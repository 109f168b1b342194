//! Reading a table of a SQLite file on a thread of its own.

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use tallystick_app::port::journal::StoreError;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::moved::TABLE;
use crate::error::{Result, closed};
use crate::sqlite::or_store;

/// Batches that wait to be written.
const WAITING: usize = 2;

/// A table that is being read.
pub(super) struct Source {
    pub(super) columns: Vec<String>,
    pub(super) count: u64,
    rows: mpsc::Receiver<Result<Vec<Vec<Value>>>>,
}

fn open(path: &Path) -> Result<Connection> {
    or_store(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX))
}

async fn apart<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.map_err(|_| closed())?
}

/// All tables of a file, those that others refer to first.
pub(super) async fn tables(path: &Path, first: &[&str]) -> Result<Vec<String>> {
    let path = path.to_owned();
    let mut names: Vec<String> = apart(move || {
        let conn = open(&path)?;
        let list = "SELECT name FROM sqlite_schema
            WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> ?1 ORDER BY name";
        let mut statement = or_store(conn.prepare(list))?;
        let names = or_store(statement.query_map([TABLE], |row| row.get(0)))?;
        or_store(names.collect())
    })
    .await?;
    names.sort_by_key(|name| first.iter().position(|one| one == name).unwrap_or(first.len()));
    Ok(names)
}

impl Source {
    /// Begins to read a table, so many rows at a time.
    pub(super) async fn open(path: &Path, table: &str, batch: usize) -> Result<Self> {
        let (path, table) = (path.to_owned(), table.to_owned());
        let (describe, name) = (path.clone(), table.clone());
        let (columns, count) = apart(move || {
            let conn = open(&describe)?;
            let statement = or_store(conn.prepare(&format!("SELECT * FROM \"{name}\" LIMIT 0")))?;
            let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
            let count = or_store(conn.query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| row.get(0)))?;
            Ok((columns, count))
        })
        .await?;
        let (sender, rows) = mpsc::channel(WAITING);
        spawn_blocking(move || {
            if let Err(error) = read(&path, &table, batch, &sender) {
                // Whoever reads has given up otherwise.
                drop(sender.blocking_send(Err(error)));
            }
        });
        Ok(Self { columns, count, rows })
    }

    /// The next rows.
    pub(super) async fn rows(&mut self) -> Result<Option<Vec<Vec<Value>>>> {
        self.rows.recv().await.transpose()
    }
}

fn read(path: &Path, table: &str, batch: usize, sender: &mpsc::Sender<Result<Vec<Vec<Value>>>>) -> Result<()> {
    let conn = open(path)?;
    let mut statement = or_store(conn.prepare(&format!("SELECT * FROM \"{table}\"")))?;
    let width = statement.column_count();
    let mut rows = or_store(statement.query([]))?;
    let mut waiting = Vec::with_capacity(batch);
    while let Some(row) = or_store(rows.next())? {
        let values: rusqlite::Result<Vec<Value>> = (0..width).map(|index| row.get(index)).collect();
        waiting.push(or_store(values)?);
        if waiting.len() == batch {
            let full = std::mem::replace(&mut waiting, Vec::with_capacity(batch));
            sender.blocking_send(Ok(full)).map_err(|_| StoreError::Unavailable("the copy was given up".into()))?;
        }
    }
    if !waiting.is_empty() {
        sender.blocking_send(Ok(waiting)).map_err(|_| StoreError::Unavailable("the copy was given up".into()))?;
    }
    Ok(())
}
