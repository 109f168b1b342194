//! What both keep of evidence alike.

use tallystick_app::port::evidence::{Matter, Room, check_content};
use tallystick_app::port::{journal::StoreError, limits::check_time};
use tallystick_core::{Digest32, NostrKey, Timestamp, canonical::sha256};

use crate::error::Result;

/// Bytes of a part. Small enough that a copy of a store holds little of it in memory.
pub(crate) const PART_BYTES: usize = 32 << 10;

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
        let (bytes, hash) = (check_content(&content)?, sha256(&content));
        Ok(Self { matter, uploader, content, hash, bytes, now, room })
    }
}

/// The bytes of a piece whose parts were read, in order, if they are those that its hash names.
pub(crate) fn whole(matter: Matter, hash: Digest32, content: Vec<u8>) -> Result<Vec<u8>> {
    if sha256(&content) == hash {
        return Ok(content);
    }
    Err(StoreError::Corrupt(format!("evidence {hash} of the dispute {} has other bytes than its hash", matter.dispute)))
}
