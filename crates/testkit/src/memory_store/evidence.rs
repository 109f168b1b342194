//! The vault in memory.

use async_trait::async_trait;
use std::collections::{BTreeMap, BTreeSet};
use tallystick_app::port::{
    evidence::{EvidenceStore, Kept, Matter, Piece, Room, Wrapped, WrappedKey, check_content, check_wrapped},
    journal::StoreError,
    limits::check_time,
};
use tallystick_core::{Digest32, NostrKey, Timestamp, canonical::sha256};

use super::{MemoryStore, page};

/// What is kept of evidence.
#[derive(Default)]
pub(super) struct Evidence {
    pub(super) pieces: BTreeMap<(Matter, Digest32), (Piece, Vec<u8>)>,
    keys: BTreeMap<(Matter, Digest32), BTreeMap<NostrKey, String>>,
}

impl Evidence {
    fn piece(&mut self, matter: Matter, hash: Digest32) -> Option<&mut Piece> {
        self.pieces.get_mut(&(matter, hash)).map(|(piece, _)| piece)
    }

    fn keep(&mut self, new: Piece, content: Vec<u8>, room: Room) -> Kept {
        if let Some(before) = self.piece(new.matter, new.hash) {
            if before.uploader != new.uploader {
                return Kept::Foreign;
            }
            before.touched_at = before.touched_at.max(new.touched_at);
            return Kept::Kept;
        }
        let own = || {
            let pieces = self.pieces.values().map(|(piece, _)| piece);
            pieces.filter(|piece| (piece.matter, piece.uploader) == (new.matter, new.uploader))
        };
        let left = room.bytes.saturating_sub(own().map(|piece| piece.bytes).sum());
        if u64::try_from(own().count()).unwrap_or(u64::MAX) >= room.pieces {
            return Kept::TooMany;
        }
        if new.bytes > left {
            return Kept::TooLarge { left };
        }
        self.pieces.insert((new.matter, new.hash), (new, content));
        Kept::Kept
    }

    fn drop(&mut self, name: (Matter, Digest32)) {
        self.pieces.remove(&name);
        self.keys.remove(&name);
    }
}

#[async_trait]
impl EvidenceStore for MemoryStore {
    async fn keep(
        &self,
        matter: Matter,
        uploader: NostrKey,
        content: Vec<u8>,
        now: Timestamp,
        room: Room,
    ) -> Result<Kept, StoreError> {
        check_time(now)?;
        let (bytes, hash) = (check_content(&content)?, sha256(&content));
        let new = Piece { matter, hash, uploader, bytes, touched_at: now, filed: false };
        Ok(self.state().evidence.keep(new, content, room))
    }

    async fn pieces(&self, matter: Matter) -> Result<Vec<Piece>, StoreError> {
        let state = self.state();
        let pieces = state.evidence.pieces.values().map(|(piece, _)| *piece);
        Ok(pieces.filter(|piece| piece.matter == matter).collect())
    }

    async fn content(&self, matter: Matter, hash: Digest32) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state().evidence.pieces.get(&(matter, hash)).map(|(_, content)| content.clone()))
    }

    async fn touch(&self, matter: Matter, hash: Digest32, now: Timestamp) -> Result<bool, StoreError> {
        check_time(now)?;
        let mut state = self.state();
        let Some(piece) = state.evidence.piece(matter, hash) else { return Ok(false) };
        piece.touched_at = piece.touched_at.max(now);
        Ok(true)
    }

    async fn set_filed(&self, matter: Matter, hash: Digest32) -> Result<(), StoreError> {
        if let Some(piece) = self.state().evidence.piece(matter, hash) {
            piece.filed = true;
        }
        Ok(())
    }

    async fn drop_unfiled(&self, piece: &Piece) -> Result<bool, StoreError> {
        let mut state = self.state();
        let now = state.evidence.piece(piece.matter, piece.hash);
        let same = now.is_some_and(|now| now.touched_at == piece.touched_at && !now.filed);
        if same {
            state.evidence.drop((piece.matter, piece.hash));
        }
        Ok(same)
    }

    async fn wrap(&self, matter: Matter, hash: Digest32, keys: Vec<WrappedKey>) -> Result<Wrapped, StoreError> {
        check_wrapped(&keys)?;
        let mut state = self.state();
        if state.evidence.piece(matter, hash).is_none() {
            return Ok(Wrapped::NoPiece);
        }
        let wrapped = keys.into_iter().map(|key| (key.reader, key.wrapped));
        state.evidence.keys.entry((matter, hash)).or_default().extend(wrapped);
        Ok(Wrapped::Kept)
    }

    async fn wrapped(&self, matter: Matter, hash: Digest32) -> Result<Vec<WrappedKey>, StoreError> {
        let state = self.state();
        let keys = state.evidence.keys.get(&(matter, hash)).into_iter().flatten();
        Ok(keys.map(|(reader, wrapped)| WrappedKey { reader: *reader, wrapped: wrapped.clone() }).collect())
    }

    async fn matters(&self, after: Option<Matter>, limit: u32) -> Result<Vec<Matter>, StoreError> {
        let state = self.state();
        let matters: BTreeSet<Matter> = state.evidence.pieces.keys().map(|(matter, _)| *matter).collect();
        Ok(matters.into_iter().filter(|matter| after.is_none_or(|after| *matter > after)).take(page(limit)).collect())
    }

    async fn erase(&self, matter: Matter) -> Result<(), StoreError> {
        let Evidence { pieces, keys } = &mut self.state().evidence;
        pieces.retain(|(of, _), _| *of != matter);
        keys.retain(|(of, _), _| *of != matter);
        Ok(())
    }
}
