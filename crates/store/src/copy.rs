//! Copies whole SQLite databases into a PostgreSQL database, in one transaction: interrupted, it leaves nothing.
//!
//! Tables and columns are matched by name, so that nothing is forgotten: a table or a column of the source that the
//! target does not have is an error.

mod columns;
mod source;

use std::path::{Path, PathBuf};
use tallystick_app::port::journal::StoreError;
use tallystick_postgres::{OrStore, PostgresOptions, column, connect_with};
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

use crate::error::Result;
use crate::{PostgresStore, SqliteStore};
use columns::{Column, ColumnType};
use source::Source;

/// Rows in one statement.
const ROWS: usize = 500;
/// A copy may take long; its statements are small all the same.
const SETTINGS: &str = "-c statement_timeout=120s -c lock_timeout=15s -c idle_in_transaction_session_timeout=120s";
/// Tables that an empty target holds one row of.
const FILLED: [&str; 3] = ["head", "log_state", "read_models"];
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

/// Copies a journal, and what lies beside it, into a database whose tables are there and empty. `progress` hears of each
/// table: its name, the rows that were copied, and how many there are.
///
/// # Errors
/// [`StoreError::Unavailable`] if the journal is in use, the target is not empty or does not answer: it holds what it
/// held then. [`StoreError::Corrupt`] if a chain is broken or the two sides differ.
pub async fn copy(
    journal: &Path,
    beside: &[Beside],
    options: &PostgresOptions,
    mut progress: impl FnMut(&str, u64, u64),
) -> Result<Copied, StoreError> {
    // Holds the journal's lock until the end.
    let source = SqliteStore::open(journal)?;
    let facts = source.verify_chain().await?;
    PostgresStore::open(options.clone()).await?.close().await;

    let client = connect_with(options, SETTINGS).await?;
    client.batch_execute("BEGIN; SELECT seq FROM head FOR UPDATE").await.or_store()?;
    let journal = Beside { path: journal.to_owned(), prefix: "" };
    let mut tables = Vec::new();
    for from in std::iter::once(&journal).chain(beside) {
        for table in source::tables(&from.path, &FIRST).await? {
            let target = format!("{}{table}", from.prefix);
            let rows = copy_table(&client, &from.path, &table, &target, &mut progress).await?;
            tables.push((target, rows));
        }
    }
    client.batch_execute("COMMIT").await.or_store()?;

    let target = PostgresStore::open(options.clone()).await?;
    let copied = target.verify_chain().await;
    target.close().await;
    source.close().await;
    if copied? != facts {
        return Err(StoreError::Corrupt("the copy has another number of facts".into()));
    }
    Ok(Copied { facts, tables })
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
        client.execute(&insert, &values).await.or_store()?;
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

fn insert(target: &str, columns: &[Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let arrays: Vec<String> =
        (1..).zip(columns).map(|(place, column)| format!("${place}::{}[]", column.kind.sql())).collect();
    format!(
        "INSERT INTO {target} ({}) OVERRIDING SYSTEM VALUE SELECT * FROM unnest({})",
        names.join(", "),
        arrays.join(", ")
    )
}

async fn count(client: &Client, table: &str) -> Result<u64> {
    let row = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.or_store()?;
    crate::postgres::unsigned(&row, 0)
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
