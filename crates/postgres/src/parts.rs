//! Migrations of one part of the database. Each part has its own numbers, in the table `tallystick_parts`.

use tallystick_app::port::journal::StoreError;
use tokio_postgres::Client;

use crate::connect::Connection;
use crate::error::{OrStore, Result, column};

/// The key of the advisory lock that migrations are made under (`TLYP`).
const LOCK: i64 = 0x544c_5950;
/// A sleeping session that holds the lock would keep all others from starting.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
    SET LOCAL idle_in_transaction_session_timeout = '10s'; SET LOCAL client_min_messages = warning";
const MAKE: &str = "CREATE TABLE IF NOT EXISTS tallystick_parts (part text PRIMARY KEY, version bigint NOT NULL)";

/// A part of the database.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// All migrations, in order. A released one never changes.
    pub migrations: &'static [&'static str],
}

impl Part {
    /// How many migrations this program knows.
    #[must_use]
    pub fn newest(&self) -> i64 {
        i64::try_from(self.migrations.len()).unwrap_or(i64::MAX)
    }

    /// Applies what is missing, in one transaction.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server fails, or if a later program wrote this part.
    pub async fn migrate(&self, client: &Connection) -> Result<()> {
        client.batch_execute(BEGIN).await.or_store()?;
        let done = self.apply(client).await;
        match done {
            Ok(()) => client.commit().await,
            Err(_) => client.batch_execute("ROLLBACK").await.or_store().and(done),
        }
    }

    async fn apply(&self, client: &Client) -> Result<()> {
        client.execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK]).await.or_store()?;
        client.batch_execute(MAKE).await.or_store()?;
        let row =
            client.query_opt("SELECT version FROM tallystick_parts WHERE part = $1", &[&self.name]).await.or_store()?;
        let version: i64 = row.map_or(Ok(0), |row| column(&row, 0))?;
        if !(0..=self.newest()).contains(&version) {
            return Err(StoreError::Unavailable(format!(
                "the database has version {version} of {}, and this program knows {} at most: run a newer one",
                self.name,
                self.newest()
            )));
        }
        for (number, script) in (1i64..).zip(self.migrations).filter(|(number, _)| *number > version) {
            client.batch_execute(script).await.or_store()?;
            let set = "INSERT INTO tallystick_parts VALUES ($1, $2) ON CONFLICT (part) DO UPDATE
                SET version = excluded.version";
            client.execute(set, &[&self.name, &number]).await.or_store()?;
        }
        Ok(())
    }

    /// The version in the database; 0 if the part is not there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server fails.
    pub async fn version(&self, client: &Client) -> Result<i64> {
        let there = client
            .query_one("SELECT to_regclass(quote_ident(current_schema()) || '.tallystick_parts') IS NOT NULL", &[])
            .await
            .or_store()?;
        if !column::<bool>(&there, 0)? {
            return Ok(0);
        }
        let row =
            client.query_opt("SELECT version FROM tallystick_parts WHERE part = $1", &[&self.name]).await.or_store()?;
        row.map_or(Ok(0), |row| column(&row, 0))
    }
}
