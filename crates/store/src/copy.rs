//! Copies whole SQLite databases into a PostgreSQL database.
//!
//! ```text
//! mark the target ──▶ BEGIN, copy, unmark, verify ──▶ mark the source, retire it ──▶ COMMIT
//! ```
//! A target that is marked is not served, and a source that is marked or retired is not opened: however the copy is
//! interrupted, at most one of them can be used. The rows and the end of the target's mark are one transaction:
//! interrupted, it leaves the mark and nothing else, and is done again. Both marks name the copy: a source that has one goes
//! into no other target, where it would be a second node, and an older one.
//!
//! Tables and columns are matched by name, so that nothing is forgotten: a table or a column of the source that the
//! target does not have is an error.
//!
//! The other way, from a copy that did not end: its id is taken from the target, which then takes no source that has it, and only
//! then do the sources lose it.

mod columns;
mod moved;
mod source;
mod stopped;

use std::path::{Path, PathBuf};
use tallystick_app::{Clock as _, SystemClock, port::journal::StoreError};
use tallystick_postgres::{Connection, OrStore, PostgresOptions, column, connect_with};
use tokio::task::spawn_blocking;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::chain::Head;
use crate::error::{Result, closed};
use crate::postgres::{connect_writer, migrations, stored, unsigned, verify_page};
use columns::{Column, ColumnType};
pub use moved::{MovedTo, moved_to};
use source::Source;
use stopped::Stopped;

/// Rows in one statement.
const ROWS: usize = 500;
/// Tables that an empty target holds one row of.
const FILLED: [&str; 3] = ["head", "log_state", "read_models"];
/// Settings of the session. It may take long; its statements are small all the same.
const SETTINGS: &str = "-c statement_timeout=120s -c lock_timeout=15s -c idle_in_transaction_session_timeout=120s";
/// Tables that others refer to.
const FIRST: [&str; 2] = ["authorities", "facts"];

/// A SQLite database that is copied beside the journal.
#[derive(Clone, Debug)]
pub struct Beside {
    /// The file. Nobody may write to it meanwhile.
    pub path: PathBuf,
    /// What its tables are called in the target, before their own names. They must be there.
    pub prefix: &'static str,
}

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Facts, verified from the first to the last on both sides.
    pub facts: u64,
    /// Rows of each table of the target.
    pub tables: Vec<(String, u64)>,
}

/// Makes the journal's tables in a database, or brings them to the newest version, without looking at what they hold.
///
/// # Errors
/// As [`PostgresStore::open`](crate::PostgresStore::open).
pub async fn prepare_journal(options: &PostgresOptions) -> Result<(), StoreError> {
    connect_writer(options).await.map(drop)
}

/// Copies a journal, and what lies beside it, into a database whose tables are there and empty. `progress` hears of each
/// table: its name, the rows that were copied, and how many there are. `retire` is called once everything is there and
/// verified, but not committed: when it answers, nobody must be able to use the sources any more, even after a power
/// cut. What was interrupted is called again, with the sources wherever they are then.
///
/// # Errors
/// [`StoreError::Moved`] if the sources were copied into another database, or into this one before it was made anew;
/// [`StoreError::Unavailable`] if the journal is in use, the target is not empty or does not answer, or the sources are
/// not retired: the target holds nothing then, or, if its last word was lost, everything. [`StoreError::Corrupt`] if a
/// chain is broken or the two sides differ.
pub async fn copy(
    journal: &Path,
    beside: &[Beside],
    options: &PostgresOptions,
    mut progress: impl FnMut(&str, u64, u64),
    retire: impl FnOnce() -> std::io::Result<()>,
) -> Result<Copied, StoreError> {
    let path = journal.to_owned();
    let stopped = spawn_blocking(move || Stopped::open(&path)).await.map_err(|_| closed())??;
    let journal = Beside { path: journal.to_owned(), prefix: "" };
    let sources: Vec<&Beside> = std::iter::once(&journal).chain(beside).collect();
    let client = connect_with(options, SETTINGS).await?;
    client.pin_durability().await?;
    let moved = MovedTo { copy: mark(&client, &sources).await?, place: format!("{options:?}"), at: SystemClock.now() };
    client.batch_execute("BEGIN; SELECT seq FROM head FOR UPDATE").await.or_store()?;
    must_be_empty(&client).await?;
    if client.execute("DELETE FROM copying", &[]).await.or_store()? != 1 {
        return Err(StoreError::Unavailable("another copy into this database came first".into()));
    }
    let mut tables = Vec::new();
    for from in &sources {
        for table in source::tables(&from.path, &FIRST).await? {
            let target = format!("{}{table}", from.prefix);
            let rows = copy_table(&client, &from.path, &table, &target, &mut progress).await?;
            tables.push((target, rows));
        }
    }
    let mut head = Head::START;
    loop {
        let next = verify_page(&client, head).await?;
        if next == head {
            break;
        }
        head = next;
    }
    let facts = stopped.facts;
    if head.seq != facts {
        return Err(StoreError::Corrupt("the copy has another number of facts".into()));
    }
    for from in &sources {
        moved::mark(&from.path, &moved)?;
        progress(&format!("{}{}", from.prefix, moved::TABLE), 1, 1);
    }
    retire().map_err(|error| StoreError::Unavailable(error.to_string()))?;
    client.commit().await?;
    Ok(Copied { facts, tables })
}

/// Takes a copy back that did not come to its end: it never can from then on. `found` are the sources that it marked, the
/// journal first, wherever they are; `give_back` gives them the names `files` again, and then they say no more where they went.
/// Nobody else may use them meanwhile. What was interrupted is called again.
///
/// # Errors
/// [`StoreError::Unavailable`] if no source has a mark, the database does not answer, or it does not know the copy: that one
/// has ended, or is of another database, or the database was made anew. Nothing changed then.
pub async fn take_back(
    found: &[PathBuf],
    files: &[PathBuf],
    options: &PostgresOptions,
    give_back: impl FnOnce() -> std::io::Result<()>,
) -> Result<(), StoreError> {
    let unavailable = |why: &str| Err(StoreError::Unavailable(why.to_owned()));
    let marks = found.iter().filter_map(|path| moved_to(path).transpose()).collect::<Result<Vec<MovedTo>>>()?;
    let Some(copy) = marks.first().map(|moved| moved.copy) else {
        return unavailable("these files say of no copy that it took them: there is nothing to take back");
    };
    if marks.iter().any(|moved| moved.copy != copy) {
        return unavailable("these files were moved by two copies: one of them is of another time");
    }
    let client = connect_with(options, SETTINGS).await?;
    client.pin_durability().await?;
    if stored(&client).await? != migrations().cast_signed() {
        return unavailable("the database is of another version than the copy that took these files: use that program");
    }
    // Waits for a copy that is about to end.
    client.batch_execute("BEGIN; SELECT seq FROM head FOR UPDATE").await.or_store()?;
    must_be_empty(&client).await?;
    // No copy has this id. Whoever is interrupted finds it, and goes on.
    let never = Uuid::from_u128(!copy.as_u128());
    let known = "UPDATE copying SET id = $1 WHERE id IN ($1, $2)";
    if client.execute(known, &[&never, &copy]).await.or_store()? != 1 {
        return unavailable(
            "the database knows nothing of the copy that took these files: it is another one, or was made anew",
        );
    }
    client.commit().await?;
    give_back().map_err(|error| StoreError::Unavailable(error.to_string()))?;
    files.iter().try_for_each(|path| moved::unmark(path))
}

/// From here on nobody serves the database, until it is whole. Answers which copy this is: the one that the sources are
/// marked with, if they are, or this never becomes one.
async fn mark(client: &Connection, sources: &[&Beside]) -> Result<Uuid> {
    client.batch_execute("BEGIN; SELECT seq FROM head FOR UPDATE").await.or_store()?;
    must_be_empty(client).await?;
    let begun = client.query_opt("SELECT id FROM copying", &[]).await.or_store()?;
    let begun: Option<Uuid> = begun.map(|row| column(&row, 0)).transpose()?;
    for Beside { path, .. } in sources {
        if let Some(moved) = moved_to(path)?.filter(|moved| Some(moved.copy) != begun) {
            return Err(moved.refusal(path));
        }
    }
    client.execute("INSERT INTO copying VALUES (1) ON CONFLICT DO NOTHING", &[]).await.or_store()?;
    let id = column(&client.query_one("SELECT id FROM copying", &[]).await.or_store()?, 0)?;
    client.commit().await.map(|()| id)
}

/// Nobody has written facts, and no node has taken the database for its own.
async fn must_be_empty(client: &Client) -> Result<()> {
    let row = client.query_one("SELECT seq, (SELECT count(*) FROM node) FROM head", &[]).await.or_store()?;
    if (unsigned(&row, 0)?, unsigned(&row, 1)?) == (0, 0) {
        return Ok(());
    }
    Err(StoreError::Unavailable(
        "the target is not empty: it is a node's already, perhaps by a copy that has ended".into(),
    ))
}

async fn copy_table(
    client: &Client,
    path: &Path,
    table: &str,
    target: &str,
    progress: &mut impl FnMut(&str, u64, u64),
) -> Result<u64> {
    let mut source = Source::open(path, table, ROWS).await?;
    let columns = matched(client, target, &source.columns).await?;
    if FILLED.contains(&target) {
        client.batch_execute(&format!("DELETE FROM {target}")).await.or_store()?;
    }
    if count(client, target).await? > 0 {
        return Err(StoreError::Unavailable(format!("the target is not empty: {target} has rows already")));
    }
    let insert = client.prepare(&insert(target, &columns)).await.or_store()?;
    let mut done = 0;
    while let Some(rows) = source.rows().await? {
        done += u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let mut values: Vec<Box<dyn ToSql + Sync + Send>> = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            values.push(column.gather(rows.iter().map(|row| &row[index]))?);
        }
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
        let other = unsigned(&client.query_one(&insert, &values).await.or_store()?, 0)?;
        if other > 0 {
            return Err(StoreError::Corrupt(format!("{target} holds {other} of the rows otherwise than the source")));
        }
        progress(target, done, source.count);
    }
    for column in columns.iter().filter(|column| column.identity) {
        let next = format!(
            "SELECT setval(pg_get_serial_sequence('{target}', '{0}'), greatest(max({0}), 1), max({0}) IS NOT NULL)
            FROM {target}",
            column.name
        );
        client.query_one(&next, &[]).await.or_store()?;
    }
    if done != source.count || count(client, target).await? != done {
        return Err(StoreError::Corrupt(format!("{target} holds another number of rows than the source")));
    }
    Ok(done)
}

/// Puts rows into a table, and answers how many of them are not there as they were given.
fn insert(target: &str, columns: &[Column]) -> String {
    let names = columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>().join(", ");
    let arrays: Vec<String> =
        (1..).zip(columns).map(|(place, column)| format!("${place}::{}[]", column.kind.sql())).collect();
    format!(
        "WITH given AS (SELECT * FROM unnest({}) AS one ({names})),
            kept AS (INSERT INTO {target} ({names}) OVERRIDING SYSTEM VALUE SELECT * FROM given RETURNING {names})
        SELECT count(*) FROM (SELECT * FROM given EXCEPT ALL SELECT * FROM kept) AS other",
        arrays.join(", ")
    )
}

async fn count(client: &Client, table: &str) -> Result<u64> {
    let row = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.or_store()?;
    unsigned(&row, 0)
}

/// The target's columns for those of the source, in the source's order.
async fn matched(client: &Client, target: &str, names: &[String]) -> Result<Vec<Column>> {
    const COLUMNS: &str = "SELECT column_name::text, data_type::text, is_identity::text = 'YES'
        FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = $1";
    let rows = client.query(COLUMNS, &[&target]).await.or_store()?;
    let mut found = Vec::new();
    for name in names {
        let row = rows.iter().find(|row| column::<&str>(row, 0) == Ok(name)).ok_or_else(|| {
            StoreError::Unavailable(format!("the target has no column {name} in {target}: is it of another version?"))
        })?;
        let kind = ColumnType::of(column(row, 1)?)?;
        found.push(Column { name: name.clone(), kind, identity: column(row, 2)? });
    }
    Ok(found)
}
