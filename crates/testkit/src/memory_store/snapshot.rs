//! The store as it is now, for checks while nothing is written.

use async_trait::async_trait;
use std::collections::BTreeSet;
use tallystick_app::port::evidence::{EvidenceStore, Matter, Piece, WrappedKey};
use tallystick_app::port::journal::{Journal, StoreError};
use tallystick_app::port::log::{LogState, LogStore};
use tallystick_app::port::snapshot::{Held, KeptEffect, Snapshot};
use tallystick_app::port::tasks::{TaskRebuild, TaskRow};
use tallystick_core::fact::CHAIN_START;
use tallystick_core::{Authority, Digest32, Fact, Id, Timestamp};
use tallystick_escrow::Task;

use super::{MemoryStore, page};

#[async_trait]
impl Snapshot for MemoryStore {
    async fn check_structure(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn head(&self) -> Result<(u64, Digest32), StoreError> {
        Ok(self.state().facts.last().map_or((0, CHAIN_START), |last| (last.seq, last.hash)))
    }

    async fn facts(&self, after_seq: u64, limit: u32) -> Result<Vec<Fact>, StoreError> {
        Journal::facts(self, after_seq, limit).await
    }

    async fn stream(&self, stream: &str) -> Result<Vec<Fact>, StoreError> {
        Journal::stream(self, stream, 0).await
    }

    async fn authority(&self, digest: Digest32) -> Result<Option<Authority>, StoreError> {
        Journal::authority(self, digest).await
    }

    async fn authorities(&self, after: Option<Digest32>, limit: u32) -> Result<Vec<Digest32>, StoreError> {
        let all: BTreeSet<Digest32> = self.state().facts.iter().map(|fact| fact.authority).collect();
        Ok(all.into_iter().filter(|digest| after.is_none_or(|after| *digest > after)).take(page(limit)).collect())
    }

    async fn names(&self, after: Option<&Held>, limit: u32) -> Result<Vec<Held>, StoreError> {
        let state = self.state();
        let after = after.map(|held| (held.space.clone(), held.name.clone()));
        let names = state.reservations.iter().filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after));
        let held = |((space, name), stream): (&(String, Vec<u8>), &String)| Held {
            space: space.clone(),
            name: name.clone(),
            stream: stream.clone(),
        };
        Ok(names.take(page(limit)).map(held).collect())
    }

    async fn remembered(&self, after: Option<Digest32>, limit: u32) -> Result<Vec<(Digest32, Timestamp)>, StoreError> {
        let state = self.state();
        let seen = state.seen.iter().filter(|(id, _)| after.is_none_or(|after| **id > after));
        Ok(seen.take(page(limit)).map(|(id, until)| (*id, *until)).collect())
    }

    async fn effects(&self, after: Option<u64>, limit: u32) -> Result<Vec<KeptEffect>, StoreError> {
        let state = self.state();
        let kept = (1..).zip(&state.effects).filter(|(place, _)| after.is_none_or(|after| *place > after));
        let kept = kept.map(|(place, effect)| KeptEffect {
            place,
            key: effect.pending.key.clone(),
            stream: effect.pending.stream.clone(),
            body: effect.pending.body.clone(),
            finished: effect.finished,
        });
        Ok(kept.take(page(limit)).collect())
    }

    async fn log_state(&self) -> Result<LogState, StoreError> {
        LogStore::log_state(self).await
    }

    async fn log_tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        LogStore::log_tile(self, level, index).await
    }

    async fn log_tiles(&self, after: Option<(u8, u64)>, limit: u32) -> Result<Vec<(u8, u64)>, StoreError> {
        let state = self.state();
        let places = state.tiles.keys().filter(|place| after.is_none_or(|after| **place > after));
        Ok(places.take(page(limit)).copied().collect())
    }

    async fn rows_format(&self) -> Result<u32, StoreError> {
        TaskRebuild::rows_format(self).await
    }

    async fn rows(&self, after: Option<Id<Task>>, limit: u32) -> Result<Vec<TaskRow>, StoreError> {
        let state = self.state();
        let rows = state.rows.values().filter(|row| after.is_none_or(|after| row.id > after));
        Ok(rows.take(page(limit)).cloned().collect())
    }

    async fn evidence(&self, after: Option<(Matter, Digest32)>, limit: u32) -> Result<Vec<Piece>, StoreError> {
        let state = self.state();
        let pieces = state.evidence.pieces.iter().filter(|(name, _)| after.is_none_or(|after| **name > after));
        Ok(pieces.map(|(_, (piece, _))| *piece).take(page(limit)).collect())
    }

    async fn evidence_content(&self, matter: Matter, hash: Digest32) -> Result<Option<Vec<u8>>, StoreError> {
        self.content(matter, hash).await
    }

    async fn evidence_keys(&self, matter: Matter, hash: Digest32) -> Result<Vec<WrappedKey>, StoreError> {
        self.wrapped(matter, hash).await
    }
}
