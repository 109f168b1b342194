//! A store at a glance, read without changing it and without its lock.

use std::path::Path;
use tallystick_app::port::journal::StoreError;
use tallystick_core::Digest32;
use tallystick_postgres::{OrStore, PostgresOptions, column, connect_with, tokio_postgres};

use crate::error::Result;
use crate::sqlite::{or_store, reader};

/// A store at a glance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStatus {
    /// The database program and its version.
    pub program: String,
    /// Migrations that the database has.
    pub schema: u64,
    /// Migrations that this program knows.
    pub schema_known: u64,
    /// The number of the last fact.
    pub facts: u64,
    /// The last fact's hash.
    pub head: Digest32,
    /// Effects that are not finished.
    pub effects: u64,
    /// Those of them that are claimed now or were and are not put off.
    pub effects_claimed: u64,
}

const EFFECTS: &str = "SELECT count(*), count(CASE WHEN claimed_until > 0 THEN 1 END) FROM outbox WHERE NOT finished";
const EFFECTS_BEFORE_CLAIMS: &str = "SELECT count(*), count(CASE WHEN false THEN 1 END) FROM outbox WHERE NOT finished";

impl StoreStatus {
    /// Of a SQLite file, also while a node has it open. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is none, or it cannot be read; [`StoreError::Corrupt`] if it has no head.
    pub fn of_sqlite(path: &Path) -> Result<Self, StoreError> {
        let conn = reader(path)?;
        let schema: i64 = or_store(conn.pragma_query_value(None, "user_version", |row| row.get(0)))?;
        let head = crate::sqlite::facts::head(&conn)?;
        let effects = if schema < 2 { EFFECTS_BEFORE_CLAIMS } else { EFFECTS };
        let (effects, effects_claimed) = or_store(conn.query_row(effects, [], |row| Ok((row.get(0)?, row.get(1)?))))?;
        Ok(Self {
            program: format!("SQLite {}", rusqlite::version()),
            schema: schema.unsigned_abs(),
            schema_known: crate::sqlite::migrations(),
            facts: head.seq,
            head: head.hash,
            effects,
            effects_claimed,
        })
    }

    /// Of a PostgreSQL database.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if it does not answer, or holds no journal; [`StoreError::Corrupt`] if that has no head.
    pub async fn of_postgres(options: &PostgresOptions) -> Result<Self, StoreError> {
        let client = connect_with(options, "-c default_transaction_read_only=on -c statement_timeout=30s").await?;
        let one = async |sql: &str| -> Result<tokio_postgres::Row> { client.query_one(sql, &[]).await.or_store() };
        let ours = "SELECT to_regclass(quote_ident(current_schema()) || '.tallystick_schema') IS NOT NULL";
        if !column::<bool>(&one(ours).await?, 0)? {
            return Err(StoreError::Unavailable(
                "the database holds no journal; `tally store migrate` makes one".into(),
            ));
        }
        let version = one("SELECT current_setting('server_version'), version FROM tallystick_schema").await?;
        let schema = crate::postgres::unsigned(&version, 1)?;
        let head = crate::postgres::facts::head(&client).await?;
        let effects = one(if schema < 2 { EFFECTS_BEFORE_CLAIMS } else { EFFECTS }).await?;
        Ok(Self {
            program: format!("PostgreSQL {}", column::<&str>(&version, 0)?),
            schema,
            schema_known: crate::postgres::migrations(),
            facts: head.seq,
            head: head.hash,
            effects: crate::postgres::unsigned(&effects, 0)?,
            effects_claimed: crate::postgres::unsigned(&effects, 1)?,
        })
    }
}
