//! Crash points around what changes the vault's tables.

use async_trait::async_trait;
use std::sync::Arc;
use tallystick_app::port::{
    evidence::{EvidenceStore, Kept, Matter, Piece, Room, Wrapped, WrappedKey},
    journal::StoreError,
};
use tallystick_core::{Digest32, NostrKey, Timestamp};

use super::CrashPoints;

/// A vault's store with crash points around every write.
pub struct CrashingEvidence {
    inner: Arc<dyn EvidenceStore>,
    points: CrashPoints,
}

impl CrashingEvidence {
    /// Wraps a store.
    pub fn new(inner: Arc<dyn EvidenceStore>, points: CrashPoints) -> Self {
        Self { inner, points }
    }
}

#[async_trait]
impl EvidenceStore for CrashingEvidence {
    async fn keep(
        &self,
        matter: Matter,
        uploader: NostrKey,
        content: Vec<u8>,
        now: Timestamp,
        room: Room,
    ) -> Result<Kept, StoreError> {
        self.points.around("keep evidence", self.inner.keep(matter, uploader, content, now, room)).await
    }

    async fn touch(&self, matter: Matter, hash: Digest32, now: Timestamp) -> Result<bool, StoreError> {
        self.points.around("touch evidence", self.inner.touch(matter, hash, now)).await
    }

    async fn set_filed(&self, matter: Matter, hash: Digest32) -> Result<(), StoreError> {
        self.points.around("note evidence as filed", self.inner.set_filed(matter, hash)).await
    }

    async fn drop_unfiled(&self, piece: &Piece) -> Result<bool, StoreError> {
        self.points.around("drop evidence", self.inner.drop_unfiled(piece)).await
    }

    async fn wrap(&self, matter: Matter, hash: Digest32, keys: Vec<WrappedKey>) -> Result<Wrapped, StoreError> {
        self.points.around("wrap keys", self.inner.wrap(matter, hash, keys)).await
    }

    async fn erase(&self, matter: Matter) -> Result<(), StoreError> {
        self.points.around("erase evidence", self.inner.erase(matter)).await
    }

    async fn pieces(&self, matter: Matter) -> Result<Vec<Piece>, StoreError> {
        self.inner.pieces(matter).await
    }

    async fn content(&self, matter: Matter, hash: Digest32) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.content(matter, hash).await
    }

    async fn wrapped(&self, matter: Matter, hash: Digest32) -> Result<Vec<WrappedKey>, StoreError> {
        self.inner.wrapped(matter, hash).await
    }

    async fn matters(&self, after: Option<Matter>, limit: u32) -> Result<Vec<Matter>, StoreError> {
        self.inner.matters(after, limit).await
    }
}
