//! The store: open, close, and the ports.

use async_trait::async_trait;
use std::{fmt, path::Path, path::PathBuf, sync::Arc};
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

use crate::chain::Kept;
use crate::evidence::NewPiece;
use crate::sqlite::error::{OrStore, Result, closed};
use crate::sqlite::{
    append::Prepared, evidence, facts, file, indexes, ledger::Ledger, lock::LockFile, log, outbox, readers::Readers,
    requests, schema, tasks, verify, writer::Writer,
};

/// The store on one SQLite file. A clone is the same store.
///
/// Needs a tokio runtime for everything but [`SqliteStore::open`].
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    writer: Writer,
    readers: Readers,
}

impl SqliteStore {
    /// Opens the database, makes it if it is not there, and brings its schema up to date. Blocks; meant for the start.
    ///
    /// A file that it makes is for the owner alone; what SQLite puts beside it takes the same rights.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if another process has it open, if it belongs to another program or was written
    /// by a newer version of this one, or if the file cannot be used; [`StoreError::Corrupt`] if the last fact does
    /// not match its hash, or is not the one that was written last.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = file::make(path.as_ref())?;
        let lock = LockFile::take(&path)?;
        let ledger = Ledger::new(schema::open_writer(&path)?)?;
        // A process that was killed may have left what it erased in the write-ahead log.
        if let Err(error) = scrub(&path) {
            tracing::warn!(%error, "the write-ahead log stays as it is for a while, and with it what was erased");
        }
        let readers = Readers::open(&path)?;
        let writer = Writer::start(ledger, lock)?;
        Ok(Self { inner: Arc::new(Inner { path, writer, readers }) })
    }

    /// Waits until the store can write no more, after an I/O error, damage or a panic: every write fails from then on,
    /// and the process should stop. Waits for ever if it is closed.
    pub async fn failed(&self) {
        self.inner.writer.failed().await;
    }

    /// Writes what was accepted, closes all connections and gives the lock back. All clones answer
    /// [`StoreError::Unavailable`] from then on. Without it the same happens after the last clone is dropped, but
    /// nobody can wait for it.
    pub async fn close(&self) {
        self.inner.readers.close().await;
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
        let head = self.inner.readers.read(move |conn| verify::tail(conn, count)).await?;
        self.verify_after(head).await
    }

    /// Makes every index again from its table.
    ///
    /// # Errors
    /// [`StoreError`]; a table that is damaged itself stops it.
    pub async fn reindex(&self) -> Result<(), StoreError> {
        self.inner.writer.write(|ledger| ledger.note(ledger.conn.execute_batch("REINDEX"))).await
    }

    /// Makes the indexes again by which timers find tasks and the outbox its effects, if one does not say what its table holds: no
    /// deadline is missed, and no effect forgotten, for want of a check. Answers whether one did not. For the start; it reads all
    /// tasks and effects.
    ///
    /// # Errors
    /// [`StoreError`]; a table that is damaged itself stops it.
    pub async fn mend_due(&self) -> Result<bool, StoreError> {
        // A page that cannot be read would stop the writer for good: it is a reader that finds it.
        if !self.inner.readers.read(|conn| indexes::is_to_mend(conn).or_store()).await? {
            return Ok(false);
        }
        self.inner.writer.write(|ledger| ledger.note(indexes::mend_due(&ledger.conn))).await
    }

    /// The last fact; [`Head::START`] if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn head(&self) -> Result<Head, StoreError> {
        self.inner.readers.read(facts::head).await
    }

    async fn verify_after(&self, start: Head) -> Result<u64> {
        let mut head = start;
        loop {
            let next = self.inner.readers.read(move |conn| verify::page(conn, head)).await?;
            if next == head {
                return Ok(head.seq.saturating_sub(start.seq));
            }
            head = next;
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SqliteStore({})", self.inner.path.display())
    }
}

fn scrub(path: &Path) -> Result<()> {
    const READ: &str = "the write-ahead log is being read, as by a check or a backup; once that has ended, erase again";
    if schema::cut_log(path)? { Ok(()) } else { Err(StoreError::ErasingWaits(READ.into())) }
}

#[async_trait]
impl Journal for SqliteStore {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let prepared = Prepared::try_new(append)?;
        self.inner.writer.write(move |ledger| ledger.append(prepared)).await
    }

    /// Cuts the write-ahead log, which holds what was erased until then. In the file itself it is overwritten.
    async fn scrub(&self) -> Result<()> {
        let path = self.inner.path.clone();
        tokio::task::spawn_blocking(move || scrub(&path)).await.map_err(|_| closed())?
    }

    async fn stream(&self, stream: &str, after_version: u64) -> Result<Vec<Fact>> {
        let stream = stream.to_owned();
        self.inner.readers.read(move |conn| facts::of_stream(conn, &stream, after_version)).await
    }

    async fn facts(&self, after_seq: u64, limit: u32) -> Result<Vec<Fact>> {
        self.inner.readers.read(move |conn| facts::after(conn, after_seq, limit)).await
    }

    async fn facts_below(&self, prefix: &str, after_seq: u64, limit: u32) -> Result<Vec<Fact>> {
        let prefix = prefix.to_owned();
        self.inner.readers.read(move |conn| facts::below(conn, &prefix, after_seq, limit)).await
    }

    async fn authority(&self, digest: Digest32) -> Result<Option<Authority>> {
        let kept = self.inner.readers.read(move |conn| facts::authority(conn, digest)).await?;
        Ok(kept.and_then(Kept::whole))
    }

    async fn holder(&self, space: &str, name: &[u8]) -> Result<Option<String>> {
        let (space, name) = (space.to_owned(), name.to_owned());
        self.inner.readers.read(move |conn| facts::holder(conn, &space, &name).or_store()).await
    }

    async fn due_effects(&self, now: Timestamp, limit: u32) -> Result<Vec<PendingEffect>> {
        self.inner.readers.read(move |conn| outbox::due(conn, now, limit)).await
    }

    async fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        epoch: u64,
        limit: u32,
    ) -> Result<Vec<PendingEffect>, StoreError> {
        check_time(until)?;
        let claim = move |ledger: &mut Ledger| ledger.note(outbox::claim(&ledger.conn, now, until, epoch, limit));
        self.inner.writer.write(claim).await
    }

    async fn next_effect_due(&self) -> Result<Option<Timestamp>> {
        self.inner.readers.read(outbox::next_due).await
    }

    async fn defer_effect(&self, key: &str, until: Timestamp) -> Result<()> {
        check_time(until)?;
        let key = key.to_owned();
        self.inner.writer.write(move |ledger| ledger.note(outbox::defer(&ledger.conn, &key, until))).await
    }

    async fn finish_effect(&self, key: &str) -> Result<()> {
        let key = key.to_owned();
        self.inner.writer.write(move |ledger| ledger.note(outbox::finish(&ledger.conn, &key))).await
    }

    async fn admit(&self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> Result<bool> {
        check_time(forget_after)?;
        self.inner
            .writer
            .write(move |ledger| ledger.note(requests::admit(&ledger.conn, request, now, forget_after)))
            .await
    }
}

#[async_trait]
impl LogStore for SqliteStore {
    async fn log_state(&self) -> Result<LogState> {
        self.inner.readers.read(log::state).await
    }

    async fn log_tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>> {
        self.inner.readers.read(move |conn| log::tile(conn, level, index)).await
    }

    async fn log_entries(&self, from: u64, to: u64) -> Result<Vec<Vec<u8>>> {
        self.inner.readers.read(move |conn| facts::entries(conn, from, to)).await
    }

    async fn integrate(&self, from: u64, to: u64, tiles: Vec<Tile>) -> Result<bool> {
        self.inner.writer.write(move |ledger| ledger.note(log::integrate(&ledger.conn, from, to, &tiles))).await
    }

    async fn drop_tiles(&self, size: u64, tiles: Vec<(u8, u64)>) -> Result<bool> {
        self.inner.writer.write(move |ledger| ledger.note(log::drop_tiles(&ledger.conn, size, &tiles))).await
    }

    async fn publish(&self, published: Published) -> Result<bool> {
        self.inner.writer.write(move |ledger| ledger.note(log::publish(&ledger.conn, &published))).await
    }
}

#[async_trait]
impl TaskReader for SqliteStore {
    async fn task(&self, id: Id<Task>) -> Result<Option<String>> {
        self.inner.readers.read(move |conn| tasks::view(conn, id)).await
    }

    async fn tasks(&self, query: &TaskQuery) -> Result<Vec<String>> {
        let query = query.clone();
        self.inner.readers.read(move |conn| tasks::views(conn, &query)).await
    }

    async fn due_tasks(&self, now: Timestamp, height: BlockHeight, skip: u32, limit: u32) -> Result<Vec<Id<Task>>> {
        self.inner.readers.read(move |conn| tasks::due(conn, now, height, skip, limit)).await
    }

    async fn next_wake_after(&self, time: Timestamp) -> Result<Option<Timestamp>> {
        self.inner.readers.read(move |conn| tasks::next_wake(conn, time)).await
    }
}

#[async_trait]
impl TaskRebuild for SqliteStore {
    async fn rows_format(&self) -> Result<u32> {
        self.inner.readers.read(tasks::format).await
    }

    async fn clear_rows(&self) -> Result<()> {
        self.inner.writer.write(|ledger| ledger.note(tasks::clear(&ledger.conn))).await
    }

    async fn show_rows(&self, rows: Vec<TaskRow>) -> Result<()> {
        check_rows(&rows)?;
        let show =
            move |ledger: &mut Ledger| rows.iter().try_for_each(|row| ledger.note(tasks::show(&ledger.conn, row)));
        self.inner.writer.write(show).await
    }

    async fn set_rows_format(&self, format: u32) -> Result<()> {
        self.inner.writer.write(move |ledger| ledger.note(tasks::set_format(&ledger.conn, format))).await
    }
}

#[async_trait]
impl EvidenceStore for SqliteStore {
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
        self.inner.writer.write(move |ledger| ledger.note(evidence::keep(&ledger.conn, &new))).await
    }

    async fn pieces(&self, matter: Matter) -> Result<Vec<Piece>> {
        self.inner.readers.read(move |conn| evidence::pieces(conn, matter)).await
    }

    async fn content(&self, matter: Matter, hash: Digest32) -> Result<Option<Vec<u8>>> {
        self.inner.readers.read(move |conn| evidence::content(conn, matter, hash)).await
    }

    async fn touch(&self, matter: Matter, hash: Digest32, now: Timestamp) -> Result<bool> {
        check_time(now)?;
        self.inner.writer.write(move |ledger| ledger.note(evidence::touch(&ledger.conn, matter, hash, now))).await
    }

    async fn set_filed(&self, matter: Matter, hash: Digest32) -> Result<()> {
        self.inner.writer.write(move |ledger| ledger.note(evidence::set_filed(&ledger.conn, matter, hash))).await
    }

    async fn drop_unfiled(&self, piece: &Piece) -> Result<bool> {
        let piece = *piece;
        self.inner.writer.write(move |ledger| ledger.note(evidence::drop_unfiled(&ledger.conn, &piece))).await
    }

    async fn wrap(&self, matter: Matter, hash: Digest32, keys: Vec<WrappedKey>) -> Result<Wrapped> {
        check_wrapped(&keys)?;
        self.inner.writer.write(move |ledger| ledger.note(evidence::wrap(&ledger.conn, matter, hash, &keys))).await
    }

    async fn wrapped(&self, matter: Matter, hash: Digest32) -> Result<Vec<WrappedKey>> {
        self.inner.readers.read(move |conn| evidence::wrapped(conn, matter, hash).or_store()).await
    }

    async fn matters(&self, after: Option<Matter>, limit: u32) -> Result<Vec<Matter>> {
        self.inner.readers.read(move |conn| evidence::matters(conn, after, limit)).await
    }

    async fn erase(&self, matter: Matter) -> Result<()> {
        self.inner.writer.write(move |ledger| ledger.note(evidence::erase(&ledger.conn, matter))).await
    }
}
