//! A PostgreSQL database at one moment.

use async_trait::async_trait;
use deadpool_postgres::Object;
use tallystick_app::port::evidence::{Matter, Piece, WrappedKey};
use tallystick_app::port::journal::StoreError;
use tallystick_app::port::log::LogState;
use tallystick_app::port::snapshot::{Held, KeptEffect, Snapshot};
use tallystick_app::port::tasks::TaskRow;
use tallystick_core::{Authority, Digest32, Fact, Id, Timestamp};
use tallystick_escrow::Task;
use tallystick_postgres::PostgresOptions;

use crate::chain::Kept;
use crate::columns::{self, names_from};
use crate::postgres::error::{OrStore, Result, column, digest, signed, unsigned};
use crate::postgres::readers::Readers;
use crate::postgres::{evidence, facts, guards, indexes, log, schema, tasks};

const EFFECTS: &str = "SELECT id, key, stream, body, finished, attempts, due, claim_epoch, claimed_until
    FROM outbox WHERE id > $1 ORDER BY id LIMIT $2";
const NAMES: &str = "SELECT space, name, stream FROM reservations WHERE (space, name) >= ($1, $2)
    ORDER BY space, name LIMIT $3";
const REMEMBERED: &str = "SELECT id, forget_after FROM seen_requests WHERE id > $1 ORDER BY id LIMIT $2";
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// What is asked often, with the number of its values.
#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, usize)] = &[(EFFECTS, 2), (NAMES, 3), (REMEMBERED, 2)];

/// A PostgreSQL database as it was when this was opened, also while replicas write to it. One transaction lasts as long
/// as this does, and keeps the server from cleaning up what was deleted since.
pub struct PostgresSnapshot {
    conn: Object,
}

impl PostgresSnapshot {
    /// Opens it, without changing anything.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer, if the database holds no journal, or if its tables are of
    /// another version than this program's.
    pub async fn open(options: &PostgresOptions) -> Result<Self, StoreError> {
        let conn = Readers::one(options)?.get().await?;
        conn.batch_execute(BEGIN).await.or_store()?;
        let (version, known) = (schema::stored(&conn).await?, schema::migrations());
        if u64::try_from(version) != Ok(known) {
            return Err(crate::error::other_schema(version, known));
        }
        Ok(Self { conn })
    }
}

#[async_trait]
impl Snapshot for PostgresSnapshot {
    async fn check_structure(&self) -> Result<()> {
        guards::check(&self.conn).await?;
        indexes::check(&self.conn).await
    }

    async fn head(&self) -> Result<(u64, Digest32)> {
        facts::head(&self.conn).await.map(|head| (head.seq, head.hash))
    }

    async fn facts(&self, after_seq: u64, limit: u32) -> Result<Vec<Fact>> {
        facts::after(&self.conn, after_seq, limit).await
    }

    async fn stream(&self, stream: &str) -> Result<Vec<Fact>> {
        facts::of_stream(&self.conn, stream, 0).await
    }

    async fn authority(&self, digest: Digest32) -> Result<Option<Authority>> {
        Ok(facts::authority(&self.conn, digest).await?.and_then(Kept::whole))
    }

    async fn authorities(&self, after: Option<Digest32>, limit: u32) -> Result<Vec<Digest32>> {
        facts::authorities(&self.conn, after, limit).await
    }

    async fn names(&self, after: Option<&Held>, limit: u32) -> Result<Vec<Held>> {
        let (space, name) = names_from(after);
        let statement = self.conn.prepare_cached(NAMES).await.or_store()?;
        let rows = self.conn.query(&statement, &[&space, &name, &facts::page(limit)]).await.or_store()?;
        let held = |row| Ok(Held { space: column(row, 0)?, name: column(row, 1)?, stream: column(row, 2)? });
        rows.iter().map(held).collect()
    }

    async fn remembered(&self, after: Option<Digest32>, limit: u32) -> Result<Vec<(Digest32, Timestamp)>> {
        let after: &[u8] = after.as_ref().map_or(&[], |id| &id.0);
        let statement = self.conn.prepare_cached(REMEMBERED).await.or_store()?;
        let rows = self.conn.query(&statement, &[&after, &facts::page(limit)]).await.or_store()?;
        rows.iter().map(|row| Ok((digest(row, 0)?, Timestamp::from_millis(unsigned(row, 1)?)))).collect()
    }

    async fn effects(&self, after: Option<u64>, limit: u32) -> Result<Vec<KeptEffect>> {
        let statement = self.conn.prepare_cached(EFFECTS).await.or_store()?;
        let rows =
            self.conn.query(&statement, &[&after.map_or(i64::MIN, signed), &facts::page(limit)]).await.or_store()?;
        let kept = |row| {
            let kept = KeptEffect {
                place: unsigned(row, 0)?,
                key: column(row, 1)?,
                stream: column(row, 2)?,
                body: column(row, 3)?,
                finished: column(row, 4)?,
            };
            let numbers = [kept.finished.into(), column(row, 5)?, column(row, 6)?, column(row, 7)?, column(row, 8)?];
            columns::effect_numbers(&kept.key, numbers)?;
            Ok(kept)
        };
        rows.iter().map(kept).collect()
    }

    async fn log_state(&self) -> Result<LogState> {
        log::state(&self.conn).await
    }

    async fn log_tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>> {
        log::tile(&self.conn, level, index).await
    }

    async fn log_tiles(&self, after: Option<(u8, u64)>, limit: u32) -> Result<Vec<(u8, u64)>> {
        log::tiles(&self.conn, after, limit).await
    }

    async fn rows_format(&self) -> Result<u32> {
        tasks::format(&self.conn).await
    }

    async fn rows(&self, after: Option<Id<Task>>, limit: u32) -> Result<Vec<TaskRow>> {
        tasks::rows(&self.conn, after, limit).await
    }

    async fn evidence(&self, after: Option<(Matter, Digest32)>, limit: u32) -> Result<Vec<Piece>> {
        evidence::all(&self.conn, after, limit).await
    }

    async fn evidence_content(&self, matter: Matter, hash: Digest32) -> Result<Option<Vec<u8>>> {
        evidence::content(&self.conn, matter, hash).await
    }

    async fn evidence_keys(&self, matter: Matter, hash: Digest32) -> Result<Vec<WrappedKey>> {
        evidence::checked_keys(&self.conn, matter, hash).await
    }
}
