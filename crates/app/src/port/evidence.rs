//! Evidence as the node keeps it: bytes that only parties and panel can read, and the wrapped keys that open them.
//!
//! What is kept here was encrypted by whoever filed it. The node knows its hash, its length and whose it is.

use async_trait::async_trait;
use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeSet;
use tallystick_civics::dispute::{Dispute, EVIDENCE_BYTES_MAX, EVIDENCE_FILES_MAX, EVIDENCE_TOTAL_MAX};
use tallystick_core::{Digest32, Id, NostrKey, Timestamp};
use tallystick_escrow::Task;

use super::journal::StoreError;

/// Bytes of a wrapped key. NIP-44 makes 132 characters of 32 bytes.
pub const WRAPPED_BYTES_MAX: usize = 256;
/// Wrapped keys written at once: both parties, and all panels that a dispute can have.
pub const WRAPPED_MAX: usize = 64;

/// A dispute and the task that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub struct Matter {
    /// The task.
    pub task: Id<Task>,
    /// The dispute.
    pub dispute: Id<Dispute>,
}

/// A piece of evidence, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What it belongs to.
    pub matter: Matter,
    /// SHA-256 of its bytes.
    pub hash: Digest32,
    /// Who uploaded it.
    pub uploader: NostrKey,
    /// How many bytes.
    pub bytes: u64,
    /// When it was uploaded, or its filing was last begun.
    pub touched_at: Timestamp,
    /// Whether it is known to be filed: a fact names it.
    pub filed: bool,
}

/// A key that opens a piece, encrypted to one reader (NIP-44) by the piece's uploader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// Who can unwrap it.
    pub reader: NostrKey,
    /// The NIP-44 payload.
    pub wrapped: String,
}

/// What became of bytes that were to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// They are kept; or were already, by the same uploader.
    Kept,
    /// They would be one piece too many.
    TooMany,
    /// They would be too many bytes; so many are left.
    TooLarge {
        /// Bytes that are left.
        left: u64,
    },
    /// Somebody else uploaded the same bytes for this matter.
    Foreign,
}

/// What became of wrapped keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrapped {
    /// They are kept.
    Kept,
    /// There is no such piece.
    NoPiece,
    /// The keys that the piece has are not those that were written: nothing was changed.
    Damaged,
}

/// What one uploader may keep for one matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Pieces.
    pub pieces: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}

impl Room {
    /// As much as one side may file.
    pub const SIDE: Self = Self { pieces: EVIDENCE_FILES_MAX as u64, bytes: EVIDENCE_TOTAL_MAX };
}

/// The vault's tables, in the same database as the journal, so that backups and copies carry both.
///
/// # What an implementation guarantees
/// * Each call that changes something is one transaction, on disk before it answers: there is never half a piece.
/// * [`EvidenceStore::content`] answers the bytes whose hash was asked for, or an error.
/// * What is dropped or erased has its pages overwritten or freed as an erased fact has ([`Journal::scrub`]).
///
/// [`Journal::scrub`]: super::journal::Journal::scrub
#[async_trait]
pub trait EvidenceStore: Send + Sync {
    /// Keeps bytes, not filed yet, if the uploader has room for them. Bytes that are kept already are touched.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Limit`] if `content` is empty or larger than a piece may be.
    async fn keep(
        &self,
        matter: Matter,
        uploader: NostrKey,
        content: Vec<u8>,
        now: Timestamp,
        room: Room,
    ) -> Result<Kept, StoreError>;

    /// The pieces of a matter, by their hashes.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn pieces(&self, matter: Matter) -> Result<Vec<Piece>, StoreError>;

    /// A piece's bytes. Nothing if there is no such piece.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if they do not have this hash any more.
    async fn content(&self, matter: Matter, hash: Digest32) -> Result<Option<Vec<u8>>, StoreError>;

    /// Notes that a piece is about to be filed, so that it is not dropped meanwhile. False if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn touch(&self, matter: Matter, hash: Digest32, now: Timestamp) -> Result<bool, StoreError>;

    /// Notes that a fact names a piece. Nothing happens if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn set_filed(&self, matter: Matter, hash: Digest32) -> Result<(), StoreError>;

    /// Drops a piece that nobody filed, unless it was touched since `piece` was read, or is known to be filed. False if
    /// nothing was dropped.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn drop_unfiled(&self, piece: &Piece) -> Result<bool, StoreError>;

    /// Adds wrapped keys to a piece; a reader's newest one counts. If the keys that are there are not those that were written,
    /// none comes beside them; only keys among which is the uploader's own take the place of all.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Limit`] for more than [`WRAPPED_MAX`], or one longer than [`WRAPPED_BYTES_MAX`].
    async fn wrap(&self, matter: Matter, hash: Digest32, keys: Vec<WrappedKey>) -> Result<Wrapped, StoreError>;

    /// The wrapped keys of a piece, by their readers.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn wrapped(&self, matter: Matter, hash: Digest32) -> Result<Vec<WrappedKey>, StoreError>;

    /// The matters with pieces, in order: those after this one, or from the first; [`super::limits::PAGE_MAX`] at most.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn matters(&self, after: Option<Matter>, limit: u32) -> Result<Vec<Matter>, StoreError>;

    /// Erases all that is kept of a matter.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn erase(&self, matter: Matter) -> Result<(), StoreError>;
}

/// Checks the length of a piece. Every implementation calls it before it does anything.
///
/// # Errors
/// [`StoreError::Limit`].
pub fn check_content(content: &[u8]) -> Result<u64, StoreError> {
    let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
    match bytes {
        1..=EVIDENCE_BYTES_MAX => Ok(bytes),
        _ => Err(StoreError::Limit(format!("a piece of evidence of {bytes} bytes"))),
    }
}

/// Checks wrapped keys. Every implementation calls it before it does anything.
///
/// # Errors
/// [`StoreError::Limit`] if there are too many, one is too long or no visible ASCII, or a reader is there twice.
pub fn check_wrapped(keys: &[WrappedKey]) -> Result<(), StoreError> {
    let fits =
        |text: &str| (1..=WRAPPED_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    let readers: BTreeSet<NostrKey> = keys.iter().map(|key| key.reader).collect();
    if keys.len() <= WRAPPED_MAX && readers.len() == keys.len() && keys.iter().all(|key| fits(&key.wrapped)) {
        return Ok(());
    }
    let what =
        format!("at most {WRAPPED_MAX} wrapped keys, each for another reader, of {WRAPPED_BYTES_MAX} characters");
    Err(StoreError::Limit(what))
}
