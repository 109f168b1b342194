//! What stands before a journal: it changes some calls, and passes all others on.

use async_trait::async_trait;
use tallystick_core::{Authority, Digest32, Fact, Timestamp};

use super::journal::{Append, AppendError, Appended, Journal, PendingEffect, StoreError};

/// A journal made of another one. Whoever implements it writes the calls that it changes and no others; it is a [`Journal`]
/// then, each of whose calls goes through the one of the same name here.
#[async_trait]
pub trait JournalLayer: Send + Sync {
    /// The journal behind it.
    fn inner(&self) -> &dyn Journal;

    /// [`Journal::append`].
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.inner().append(append).await
    }

    /// [`Journal::scrub`].
    async fn scrub(&self) -> Result<(), StoreError> {
        self.inner().scrub().await
    }

    /// [`Journal::stream`].
    async fn stream(&self, stream: &str, after_version: u64) -> Result<Vec<Fact>, StoreError> {
        self.inner().stream(stream, after_version).await
    }

    /// [`Journal::facts`].
    async fn facts(&self, after_seq: u64, limit: u32) -> Result<Vec<Fact>, StoreError> {
        self.inner().facts(after_seq, limit).await
    }

    /// [`Journal::facts_below`].
    async fn facts_below(&self, prefix: &str, after_seq: u64, limit: u32) -> Result<Vec<Fact>, StoreError> {
        self.inner().facts_below(prefix, after_seq, limit).await
    }

    /// [`Journal::authority`].
    async fn authority(&self, digest: Digest32) -> Result<Option<Authority>, StoreError> {
        self.inner().authority(digest).await
    }

    /// [`Journal::holder`].
    async fn holder(&self, space: &str, name: &[u8]) -> Result<Option<String>, StoreError> {
        self.inner().holder(space, name).await
    }

    /// [`Journal::due_effects`].
    async fn due_effects(&self, now: Timestamp, limit: u32) -> Result<Vec<PendingEffect>, StoreError> {
        self.inner().due_effects(now, limit).await
    }

    /// [`Journal::claim_effects`].
    async fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        epoch: u64,
        limit: u32,
    ) -> Result<Vec<PendingEffect>, StoreError> {
        self.inner().claim_effects(now, until, epoch, limit).await
    }

    /// [`Journal::next_effect_due`].
    async fn next_effect_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner().next_effect_due().await
    }

    /// [`Journal::defer_effect`].
    async fn defer_effect(&self, key: &str, until: Timestamp) -> Result<(), StoreError> {
        self.inner().defer_effect(key, until).await
    }

    /// [`Journal::finish_effect`].
    async fn finish_effect(&self, key: &str) -> Result<(), StoreError> {
        self.inner().finish_effect(key).await
    }

    /// [`Journal::admit`].
    async fn admit(&self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> Result<bool, StoreError> {
        self.inner().admit(request, now, forget_after).await
    }
}

#[async_trait]
impl<L: JournalLayer> Journal for L {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        JournalLayer::append(self, append).await
    }
    async fn scrub(&self) -> Result<(), StoreError> {
        JournalLayer::scrub(self).await
    }
    async fn stream(&self, stream: &str, after_version: u64) -> Result<Vec<Fact>, StoreError> {
        JournalLayer::stream(self, stream, after_version).await
    }
    async fn facts(&self, after_seq: u64, limit: u32) -> Result<Vec<Fact>, StoreError> {
        JournalLayer::facts(self, after_seq, limit).await
    }
    async fn facts_below(&self, prefix: &str, after_seq: u64, limit: u32) -> Result<Vec<Fact>, StoreError> {
        JournalLayer::facts_below(self, prefix, after_seq, limit).await
    }
    async fn authority(&self, digest: Digest32) -> Result<Option<Authority>, StoreError> {
        JournalLayer::authority(self, digest).await
    }
    async fn holder(&self, space: &str, name: &[u8]) -> Result<Option<String>, StoreError> {
        JournalLayer::holder(self, space, name).await
    }
    async fn due_effects(&self, now: Timestamp, limit: u32) -> Result<Vec<PendingEffect>, StoreError> {
        JournalLayer::due_effects(self, now, limit).await
    }
    async fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        epoch: u64,
        limit: u32,
    ) -> Result<Vec<PendingEffect>, StoreError> {
        JournalLayer::claim_effects(self, now, until, epoch, limit).await
    }
    async fn next_effect_due(&self) -> Result<Option<Timestamp>, StoreError> {
        JournalLayer::next_effect_due(self).await
    }
    async fn defer_effect(&self, key: &str, until: Timestamp) -> Result<(), StoreError> {
        JournalLayer::defer_effect(self, key, until).await
    }
    async fn finish_effect(&self, key: &str) -> Result<(), StoreError> {
        JournalLayer::finish_effect(self, key).await
    }
    async fn admit(&self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> Result<bool, StoreError> {
        JournalLayer::admit(self, request, now, forget_after).await
    }
}
