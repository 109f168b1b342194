//! What both keep of evidence alike.

use tallystick_app::port::evidence::{Matter, Room, WrappedKey, check_content};
use tallystick_app::port::{journal::StoreError, limits::check_time};
use tallystick_core::{Digest32, NostrKey, Timestamp, canonical};

use crate::error::Result;

/// Bytes of a part. Small enough that a copy of a store holds little of it in memory.
pub(crate) const PART_BYTES: usize = 32 << 10;

/// A part or a key without its piece, in SQL of both databases: none can be left behind, or be put there.
pub(crate) const ORPHANS: &str =
    "SELECT 1 FROM evidence_parts AS held WHERE NOT EXISTS (SELECT 1 FROM evidence AS piece
        WHERE (piece.task, piece.dispute, piece.hash) = (held.task, held.dispute, held.hash))
    UNION ALL SELECT 1 FROM evidence_keys AS held WHERE NOT EXISTS (SELECT 1 FROM evidence AS piece
        WHERE (piece.task, piece.dispute, piece.hash) = (held.task, held.dispute, held.hash)) LIMIT 1";

/// What is said if there is one.
pub(crate) fn orphan() -> StoreError {
    StoreError::Corrupt("a part of evidence, or a key, is there without its piece".into())
}

/// Bytes to be kept.
pub(crate) struct NewPiece {
    pub(crate) matter: Matter,
    pub(crate) uploader: NostrKey,
    pub(crate) content: Vec<u8>,
    pub(crate) hash: Digest32,
    pub(crate) bytes: u64,
    pub(crate) now: Timestamp,
    pub(crate) room: Room,
}

impl NewPiece {
    /// Checks what can be checked before anything is written, and hashes the bytes.
    pub(crate) fn try_new(
        matter: Matter,
        uploader: NostrKey,
        content: Vec<u8>,
        now: Timestamp,
        room: Room,
    ) -> Result<Self> {
        check_time(now)?;
        let (bytes, hash) = (check_content(&content)?, canonical::sha256(&content));
        Ok(Self { matter, uploader, content, hash, bytes, now, room })
    }
}

/// The bytes of a piece whose parts were read, in order, if they are those that its hash names.
pub(crate) fn whole(matter: Matter, hash: Digest32, content: Vec<u8>) -> Result<Vec<u8>> {
    if canonical::sha256(&content) == hash {
        return Ok(content);
    }
    Err(StoreError::Corrupt(format!("evidence {hash} of the dispute {} has other bytes than its hash", matter.dispute)))
}

/// The hash of a piece's keys, which are in the order of their readers.
pub(crate) fn keys_hash(keys: &[WrappedKey]) -> Digest32 {
    let keys: Vec<(NostrKey, &str)> = keys.iter().map(|key| (key.reader, key.wrapped.as_str())).collect();
    canonical::sha256(&canonical::encode(&keys))
}

/// How keys come to those that a piece has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Joining {
    /// Beside them.
    Beside,
    /// In place of all: they are not those that were written, and the uploader begins anew.
    Instead,
    /// Not at all: a new hash would cover what is damaged.
    Refused,
}

impl Joining {
    /// By the keys that are there, if they can be read, the hash that was written with them, and whether the uploader's own is
    /// among the new ones.
    pub(crate) fn of(there: Option<&[WrappedKey]>, written: Digest32, new: &[WrappedKey], uploader: NostrKey) -> Self {
        if there.is_some_and(|there| keys_hash(there) == written) {
            Self::Beside
        } else if new.iter().any(|key| key.reader == uploader) {
            Self::Instead
        } else {
            Self::Refused
        }
    }
}

/// The keys of a piece that were read, if their hash is the one that was written with them.
pub(crate) fn checked(
    matter: Matter,
    hash: Digest32,
    keys: Vec<WrappedKey>,
    written: Digest32,
) -> Result<Vec<WrappedKey>> {
    if keys_hash(&keys) == written {
        return Ok(keys);
    }
    Err(StoreError::Corrupt(format!(
        "evidence {hash} of the dispute {} has other keys than were given",
        matter.dispute
    )))
}
