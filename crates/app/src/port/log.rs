//! The tree over the journal, kept beside it: tiles, how far it has come, and the checkpoint that is published.

use async_trait::async_trait;
use tallystick_log::Tile;

use super::journal::StoreError;

/// A checkpoint that anyone may have: a signed note (C2SP tlog-checkpoint) with its witnesses' cosignatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The size of the tree that it speaks of.
    pub size: u64,
    /// The note.
    pub note: Vec<u8>,
}

/// How far the log has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogState {
    /// Facts in the tree: those up to this sequence number.
    pub size: u64,
    /// The newest checkpoint that was published.
    pub published: Option<Published>,
}

/// The tree's store, in the same database as the journal, so that what one backup holds fits together.
///
/// # What an implementation guarantees
/// * Each call that changes something is one transaction, on disk before it answers.
/// * The size never goes down, and neither does that of the published checkpoint; it is never larger than the tree.
#[async_trait]
pub trait LogStore: Send + Sync {
    /// How far the log has come.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn log_state(&self) -> Result<LogState, StoreError>;

    /// The hashes of a tile (C2SP tlog-tiles), 32 bytes each, as many as there are: 1 to 256.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn log_tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>, StoreError>;

    /// The entries ([`Fact::entry`](tallystick_core::Fact::entry)) of the facts after `from` and up to `to`, in order, as
    /// many as there are; [`super::limits::PAGE_MAX`] at most are asked for. What only openings hold is not read.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn log_entries(&self, from: u64, to: u64) -> Result<Vec<Vec<u8>>, StoreError>;

    /// Writes the tiles that the facts after `from` and up to `to` change, and makes `to` the size. With both the same, tiles
    /// are written again. False, and nothing
    /// done, if the size is not `from`: another process was faster.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn integrate(&self, from: u64, to: u64, tiles: Vec<Tile>) -> Result<bool, StoreError>;

    /// Deletes tiles that are not the tree's. False, and nothing done, if the size is not `size`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn drop_tiles(&self, size: u64, tiles: Vec<(u8, u64)>) -> Result<bool, StoreError>;

    /// Publishes a checkpoint. False, and nothing done, if one of the same or a larger size is published, or the tree
    /// has not come so far.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn publish(&self, published: Published) -> Result<bool, StoreError>;
}
