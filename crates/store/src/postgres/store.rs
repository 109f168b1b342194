//! The store: open, close, and the ports.

use async_trait::async_trait;
use std::{fmt, sync::Arc};
use tallystick_app::port::evidence::{
    EvidenceStore, Kept as KeptPiece, Matter, Piece, Room, Wrapped, WrappedKey, check_wrapped,
};
use tallystick_app::port::journal::{Append, AppendError, Appended, Head, Journal, PendingEffect, StoreError};
use tallystick_app::port::limits::{check_rows, check_time};
use tallystick_app::port::log::{LogState, LogStore, Published};
use tallystick_app::port::tasks::{TaskQuery, TaskReader, TaskRebuild, TaskRow};
use tallystick_core::{Authority, BlockHeight, Digest32, Fact, Id, NostrKey, Timestamp};
use tallystick_escrow::Task;
use tallystick_log::Tile;
use tallystick_postgres::PostgresOptions;

use crate::chain::Kept;
use crate::evidence::NewPiece;
use crate::postgres::error::{Result, closed};
use crate::postgres::{
    evidence, facts,
    heads::{self, PostgresHeads, Turn},
    indexes, log, outbox,
    plan::{Answer, Work},
    readers::Readers,
    scrub,
    session::Session,
    tasks, verify,
    writer::Writer,
};
use crate::prepared::Prepared;

/// The key of the advisory lock for what one process at a time may do (`TLYR`).
const REBUILD_LOCK: i64 = 0x544c_5952;

/// The store on one PostgreSQL database (15 or later). Several processes may have it open at once. A clone is the same
/// store.
///
/// Needs a tokio runtime for everything.
#[derive(Clone)]
pub struct PostgresStore {
    inner: Arc<Inner>,
    readers: Readers,
}

struct Inner {
    options: PostgresOptions,
    writer: Writer,
    log: log::LogWriter,
    evidence: log::LogWriter,
    claimers: Readers,
}

impl PostgresStore {
    /// Connects to the database and brings its schema up to date; the database must be there.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer or is set up so that it could lose what it
    /// acknowledged, or if the database belongs to another program or was written by a newer version of this one;
    /// [`StoreError::Corrupt`] if the last fact does not match its hash, or is not the one that was written last.
    pub async fn open(options: PostgresOptions) -> Result<Self, StoreError> {
        let (readers, claimers) = (Readers::new(&options)?, Readers::claimers(&options)?);
        let writer = Writer::start(Session::open(options.clone()).await?);
        let (log, evidence) = (log::LogWriter::new(options.clone()), log::LogWriter::new(options.clone()));
        Ok(Self { inner: Arc::new(Inner { options, writer, log, evidence, claimers }), readers })
    }

    /// The same store with a few connections of its own to read on, so that however much is read there, the others wait
    /// for none of them.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the options make no sense.
    pub fn read_apart(&self) -> Result<Self, StoreError> {
        Ok(Self { inner: Arc::clone(&self.inner), readers: Readers::apart(&self.inner.options)? })
    }

    /// Waits until the store can write no more, because the database is damaged, tells another history than before, or
    /// by a panic: every write fails from then on, and the process should stop. Waits for ever if it is closed. A
    /// server that is away for a while is no such reason.
    pub async fn failed(&self) {
        self.inner.writer.failed().await;
    }

    /// Hears of what other processes write to the journal, from now on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if no connection can be made.
    pub fn heads(&self) -> Result<PostgresHeads, StoreError> {
        let options = &self.inner.options;
        Ok(PostgresHeads::open(options.clone(), Readers::new(options)?))
    }

    /// Waits until no other process has its turn, and has it until the answer is dropped: for what one at a time may do,
    /// such as making the read models again.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer.
    pub async fn turn(&self) -> Result<Turn, StoreError> {
        Turn::take(&self.inner.options, REBUILD_LOCK).await
    }

    /// Remembers the key that the node signs with, the first time; compares it from then on. All processes on one
    /// database are one node.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database belongs to another node.
    pub async fn claim_key(&self, key: NostrKey) -> Result<(), StoreError> {
        heads::claim_key(&self.inner.options, &key.to_bytes()).await
    }

    /// Writes what was accepted, and closes all connections. All clones answer [`StoreError::Unavailable`] from then
    /// on. Without it the same happens after the last clone is dropped, but nobody can wait for it.
    pub async fn close(&self) {
        self.readers.close();
        self.inner.claimers.close();
        self.inner.log.close().await;
        self.inner.evidence.close().await;
        self.inner.writer.close().await;
    }

    /// Recomputes everything from the first fact: numbers, links, hashes, versions, authorities. Answers how many facts
    /// there are.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], naming the first bad fact.
    pub async fn verify_chain(&self) -> Result<u64, StoreError> {
        self.verify_after(Head::START).await
    }

    /// The same for the last `count` facts, which must follow the fact before them. Answers how many were checked.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], naming the first bad fact among them.
    pub async fn verify_tail(&self, count: u64) -> Result<u64, StoreError> {
        let head = verify::tail(&self.readers.get().await?, count).await?;
        self.verify_after(head).await
    }

    /// Makes every index of the database's schema again from its table. Whoever writes to a table waits meanwhile.
    ///
    /// # Errors
    /// [`StoreError`]; a table that is damaged itself stops it.
    pub async fn reindex(&self) -> Result<(), StoreError> {
        indexes::make_again(&self.inner.options).await
    }

    /// Makes the indexes again by which timers find tasks and the outbox its effects, if one does not say what its table holds: no
    /// deadline is missed, and no effect forgotten, for want of a check. Answers whether one did not. For the start; it reads all
    /// tasks and effects, in the turn of whoever calls.
    ///
    /// # Errors
    /// [`StoreError`]; a table that is damaged itself stops it.
    pub async fn mend_due(&self) -> Result<bool, StoreError> {
        indexes::mend_due(&self.inner.options).await
    }

    /// The last fact; [`Head::START`] if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn head(&self) -> Result<Head, StoreError> {
        facts::head(&**self.readers.get().await?).await
    }

    /// Whether a process has found the log damaged: [`Self::set_log_damaged`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_log_damaged(&self) -> Result<bool, StoreError> {
        log::is_damaged(&self.readers.get().await?).await
    }

    /// Keeps for all processes whether the log is damaged. On disk when it answers.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn set_log_damaged(&self, damaged: bool) -> Result<(), StoreError> {
        log::set_damaged(&self.inner.log, damaged).await
    }

    async fn verify_after(&self, start: Head) -> Result<u64> {
        let mut head = start;
        loop {
            let conn = self.readers.get().await?;
            let next = verify::page(&conn, head).await?;
            if next == head {
                return Ok(head.seq.saturating_sub(start.seq));
            }
            head = next;
        }
    }

    async fn write(&self, work: Work) -> Result<Answer> {
        self.inner.writer.write(work).await.map_err(|error| match error {
            AppendError::Store(error) => error,
            // Only appends are refused in another way.
            other => StoreError::Unavailable(other.to_string()),
        })
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresStore({:?})", self.inner.options)
    }
}

#[async_trait]
impl Journal for PostgresStore {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let prepared = Prepared::try_new(append)?;
        match self.inner.writer.write(Work::Append(Box::new(prepared))).await? {
            Answer::Appended(appended) => Ok(appended),
            _ => Err(closed().into()),
        }
    }

    async fn scrub(&self) -> Result<()> {
        scrub::scrub(&self.inner.options).await
    }

    async fn stream(&self, stream: &str, after_version: u64) -> Result<Vec<Fact>> {
        facts::of_stream(&self.readers.get().await?, stream, after_version).await
    }

    async fn facts(&self, after_seq: u64, limit: u32) -> Result<Vec<Fact>> {
        facts::after(&self.readers.get().await?, after_seq, limit).await
    }

    async fn facts_below(&self, prefix: &str, after_seq: u64, limit: u32) -> Result<Vec<Fact>> {
        facts::below(&self.readers.get().await?, prefix, after_seq, limit).await
    }

    async fn authority(&self, digest: Digest32) -> Result<Option<Authority>> {
        let kept = facts::authority(&self.readers.get().await?, digest).await?;
        Ok(kept.and_then(Kept::whole))
    }

    async fn holder(&self, space: &str, name: &[u8]) -> Result<Option<String>> {
        facts::holder(&self.readers.get().await?, space, name).await
    }

    async fn due_effects(&self, now: Timestamp, limit: u32) -> Result<Vec<PendingEffect>> {
        outbox::due(&self.readers.get().await?, now, limit).await
    }

    async fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        epoch: u64,
        limit: u32,
    ) -> Result<Vec<PendingEffect>, StoreError> {
        check_time(until)?;
        outbox::claim(&self.inner.claimers.get().await?, now, until, epoch, limit).await
    }

    async fn next_effect_due(&self) -> Result<Option<Timestamp>> {
        outbox::next_due(&self.readers.get().await?).await
    }

    async fn defer_effect(&self, key: &str, until: Timestamp) -> Result<()> {
        check_time(until)?;
        self.write(Work::Defer { key: key.to_owned(), until }).await.map(|_| ())
    }

    async fn finish_effect(&self, key: &str) -> Result<()> {
        self.write(Work::Finish { key: key.to_owned() }).await.map(|_| ())
    }

    async fn admit(&self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> Result<bool> {
        check_time(forget_after)?;
        Ok(self.write(Work::Admit { request, now, forget_after }).await? == Answer::Admitted(true))
    }
}

#[async_trait]
impl LogStore for PostgresStore {
    async fn log_state(&self) -> Result<LogState> {
        log::state(&self.readers.get().await?).await
    }

    async fn log_tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>> {
        log::tile(&self.readers.get().await?, level, index).await
    }

    async fn log_entries(&self, from: u64, to: u64) -> Result<Vec<Vec<u8>>> {
        facts::entries(&self.readers.get().await?, from, to).await
    }

    async fn integrate(&self, from: u64, to: u64, tiles: Vec<Tile>) -> Result<bool> {
        log::integrate(&self.inner.log, from, to, &tiles).await
    }

    async fn drop_tiles(&self, size: u64, tiles: Vec<(u8, u64)>) -> Result<bool> {
        log::drop_tiles(&self.inner.log, size, &tiles).await
    }

    async fn publish(&self, published: Published) -> Result<bool> {
        log::publish(&self.inner.log, &published).await
    }
}

#[async_trait]
impl TaskReader for PostgresStore {
    async fn task(&self, id: Id<Task>) -> Result<Option<String>> {
        tasks::view(&self.readers.get().await?, id).await
    }

    async fn tasks(&self, query: &TaskQuery) -> Result<Vec<String>> {
        tasks::views(&self.readers.get().await?, query).await
    }

    async fn due_tasks(&self, now: Timestamp, height: BlockHeight, skip: u32, limit: u32) -> Result<Vec<Id<Task>>> {
        tasks::due(&self.readers.get().await?, now, height, skip, limit).await
    }

    async fn next_wake_after(&self, time: Timestamp) -> Result<Option<Timestamp>> {
        tasks::next_wake(&self.readers.get().await?, time).await
    }
}

#[async_trait]
impl TaskRebuild for PostgresStore {
    async fn rows_format(&self) -> Result<u32> {
        tasks::format(&self.readers.get().await?).await
    }

    async fn clear_rows(&self) -> Result<()> {
        self.write(Work::Clear).await.map(|_| ())
    }

    async fn show_rows(&self, rows: Vec<TaskRow>) -> Result<()> {
        check_rows(&rows)?;
        self.write(Work::Show(rows)).await.map(|_| ())
    }

    async fn set_rows_format(&self, format: u32) -> Result<()> {
        self.write(Work::SetFormat(format)).await.map(|_| ())
    }
}

#[async_trait]
impl EvidenceStore for PostgresStore {
    async fn keep(
        &self,
        matter: Matter,
        uploader: NostrKey,
        content: Vec<u8>,
        now: Timestamp,
        room: Room,
    ) -> Result<KeptPiece> {
        let hashed = move || NewPiece::try_new(matter, uploader, content, now, room);
        let new = tokio::task::spawn_blocking(hashed).await.map_err(|_| closed())??;
        evidence::keep(&self.inner.evidence, &new).await
    }

    async fn pieces(&self, matter: Matter) -> Result<Vec<Piece>> {
        evidence::pieces(&self.readers.get().await?, matter).await
    }

    async fn content(&self, matter: Matter, hash: Digest32) -> Result<Option<Vec<u8>>> {
        evidence::content(&self.readers.get().await?, matter, hash).await
    }

    async fn touch(&self, matter: Matter, hash: Digest32, now: Timestamp) -> Result<bool> {
        check_time(now)?;
        evidence::touch(&self.inner.evidence, matter, hash, now).await
    }

    async fn set_filed(&self, matter: Matter, hash: Digest32) -> Result<()> {
        evidence::set_filed(&self.inner.evidence, matter, hash).await
    }

    async fn drop_unfiled(&self, piece: &Piece) -> Result<bool> {
        evidence::drop_unfiled(&self.inner.evidence, piece).await
    }

    async fn wrap(&self, matter: Matter, hash: Digest32, keys: Vec<WrappedKey>) -> Result<Wrapped> {
        check_wrapped(&keys)?;
        evidence::wrap(&self.inner.evidence, matter, hash, &keys).await
    }

    async fn wrapped(&self, matter: Matter, hash: Digest32) -> Result<Vec<WrappedKey>> {
        evidence::wrapped(&self.readers.get().await?, matter, hash).await
    }

    async fn matters(&self, after: Option<Matter>, limit: u32) -> Result<Vec<Matter>> {
        evidence::matters(&self.readers.get().await?, after, limit).await
    }

    async fn erase(&self, matter: Matter) -> Result<()> {
        evidence::erase(&self.inner.evidence, matter).await
    }
}
