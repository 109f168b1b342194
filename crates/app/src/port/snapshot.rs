//! Everything that a node keeps in one database, as it was at one moment: for checks that look at all of it while the
//! node goes on.

use async_trait::async_trait;
use tallystick_core::{Authority, Digest32, Fact, Id, Timestamp};
use tallystick_escrow::Task;

use super::{
    evidence::{Matter, Piece, WrappedKey},
    journal::StoreError,
    log::LogState,
    tasks::TaskRow,
};

/// An effect as the outbox keeps it, finished or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptEffect {
    /// Its place in the outbox: later ones are larger.
    pub place: u64,
    /// Its idempotency key.
    pub key: String,
    /// The stream that asked for it.
    pub stream: String,
    /// Its canonical bytes; empty once they were erased.
    pub body: Vec<u8>,
    /// Whether it came to its end.
    pub finished: bool,
}

/// A name that a stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What kind of name it is.
    pub space: String,
    /// The name.
    pub name: Vec<u8>,
    /// Whose it is.
    pub stream: String,
}

/// A store at one moment, for reading alone.
///
/// # What an implementation guarantees
/// * All answers are of the same moment: whatever is written meanwhile is in none of them.
/// * Nothing is written, and no table is brought up to date.
/// * An answer has [`super::limits::PAGE_MAX`] rows at most, only [`Snapshot::stream`] is always whole.
#[async_trait]
pub trait Snapshot: Send + Sync {
    /// Checks what answers are found by: that the database's pages, tables and indexes are whole and agree with each other,
    /// so that no way of asking finds less, or something else, than what is there; and that no part of a piece of evidence, nor a
    /// key, is there without its piece. May take long.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] says what is wrong.
    async fn check_structure(&self) -> Result<(), StoreError>;

    /// The end of the chain as the last append wrote it beside the facts: number and hash.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn head(&self) -> Result<(u64, Digest32), StoreError>;

    /// All facts after `seq`, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn facts(&self, after_seq: u64, limit: u32) -> Result<Vec<Fact>, StoreError>;

    /// A stream's facts, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn stream(&self, stream: &str) -> Result<Vec<Fact>, StoreError>;

    /// The authority behind facts. Nothing if it is not known, or was erased.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn authority(&self, digest: Digest32) -> Result<Option<Authority>, StoreError>;

    /// The digests of all authorities that there are, erased ones too: those after this one, or from the first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn authorities(&self, after: Option<Digest32>, limit: u32) -> Result<Vec<Digest32>, StoreError>;

    /// The names that streams hold, by space and name: those after this one, or from the first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn names(&self, after: Option<&Held>, limit: u32) -> Result<Vec<Held>, StoreError>;

    /// The requests that are remembered ([`super::journal::Journal::admit`]), by their ids, each with the last moment that
    /// it is: those after this id, or from the first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn remembered(&self, after: Option<Digest32>, limit: u32) -> Result<Vec<(Digest32, Timestamp)>, StoreError>;

    /// The outbox after a place, or from its first, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn effects(&self, after: Option<u64>, limit: u32) -> Result<Vec<KeptEffect>, StoreError>;

    /// How far the log has come.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn log_state(&self) -> Result<LogState, StoreError>;

    /// The hashes of a tile.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn log_tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// Which tiles there are, by level and index: those after this one, or from the first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn log_tiles(&self, after: Option<(u8, u64)>, limit: u32) -> Result<Vec<(u8, u64)>, StoreError>;

    /// The format of the read model's rows ([`super::tasks::TaskRebuild::rows_format`]).
    ///
    /// # Errors
    /// [`StoreError`].
    async fn rows_format(&self) -> Result<u32, StoreError>;

    /// The read model's rows, the oldest task's first: those after a task, or from the first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn rows(&self, after: Option<Id<Task>>, limit: u32) -> Result<Vec<TaskRow>, StoreError>;

    /// The pieces of evidence that are kept, by matter and hash: those after this one, or from the first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn evidence(&self, after: Option<(Matter, Digest32)>, limit: u32) -> Result<Vec<Piece>, StoreError>;

    /// A piece's bytes.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if they do not have this hash.
    async fn evidence_content(&self, matter: Matter, hash: Digest32) -> Result<Option<Vec<u8>>, StoreError>;

    /// A piece's wrapped keys, by their readers.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if they are not those whose hash was written with them.
    async fn evidence_keys(&self, matter: Matter, hash: Digest32) -> Result<Vec<WrappedKey>, StoreError>;
}
