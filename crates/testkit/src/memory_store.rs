//! The journal and the read model in memory: for tests of what stands on the ports.

mod evidence;
mod snapshot;

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tallystick_app::port::journal::{Append, AppendError, Appended, Erasure, Journal, PendingEffect, StoreError};
use tallystick_app::port::limits::{EFFECT_PAUSE_MAX, PAGE_MAX, STATES_MAX, check_rows, check_time};
use tallystick_app::port::log::{LogState, LogStore, Published};
use tallystick_app::port::tasks::{TaskQuery, TaskReader, TaskRebuild, TaskRow};
use tallystick_core::fact::{CHAIN_START, authority_digest};
use tallystick_core::{Authority, BlockHeight, Body, Digest32, Fact, Id, Timestamp};
use tallystick_escrow::Task;
use tallystick_log::Tile;

/// Keeps everything until it is dropped. What is acknowledged is as durable as this value.
#[derive(Default)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    facts: Vec<Fact>,
    versions: BTreeMap<String, u64>,
    authorities: BTreeMap<Digest32, Authority>,
    /// In the order in which they came; finished ones stay.
    effects: Vec<Effect>,
    reservations: BTreeMap<(String, Vec<u8>), String>,
    seen: BTreeMap<Digest32, Timestamp>,
    rows: BTreeMap<Id<Task>, TaskRow>,
    rows_format: u32,
    log: LogState,
    tiles: BTreeMap<(u8, u64), Vec<u8>>,
    evidence: evidence::Evidence,
}

struct Effect {
    pending: PendingEffect,
    finished: bool,
    /// The epoch of the worker that has it, and until when.
    claim: (u64, Timestamp),
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Checks first and changes afterwards, so that a refusal changes nothing.
    fn append(&mut self, append: Append) -> Result<Appended, AppendError> {
        let actual = self.expect(&append.stream, append.expected_version)?;
        for reservation in &append.reservations {
            let name = (reservation.space.to_owned(), reservation.name.clone());
            if self.reservations.get(&name).is_some_and(|holder| *holder != append.stream) {
                return Err(AppendError::Taken { space: reservation.space });
            }
        }
        if let Some(erasure) = &append.erases {
            self.check_erasure(erasure)?;
        }
        for reservation in append.reservations {
            self.reservations.insert((reservation.space.to_owned(), reservation.name), append.stream.clone());
        }
        let authority = authority_digest(&append.authority);
        self.authorities.entry(authority).or_insert(append.authority);
        let mut version = actual;
        for new in append.facts {
            version += 1;
            let mut fact = Fact {
                seq: self.head() + 1,
                stream: append.stream.clone(),
                version,
                kind: new.kind.to_owned(),
                body: new.body,
                authority,
                recorded_at: append.recorded_at,
                height: append.height,
                prev: self.facts.last().map_or(CHAIN_START, |last| last.hash),
                hash: CHAIN_START,
            };
            fact.hash = fact.link();
            self.facts.push(fact);
        }
        self.versions.insert(append.stream.clone(), version);
        for new in append.effects {
            if !self.effects.iter().any(|effect| effect.pending.key == new.key) {
                let stream = append.stream.clone();
                let pending = PendingEffect { key: new.key, stream, body: new.body, attempts: 0, due: new.due };
                self.effects.push(Effect { pending, finished: false, claim: (0, Timestamp::from_millis(0)) });
            }
        }
        for key in &append.finishes {
            self.finish(key);
        }
        append.row.into_iter().for_each(|row| self.show(row));
        append.erases.iter().for_each(|erasure| self.erase(erasure));
        Ok(Appended { seq: self.head(), version })
    }

    fn expect(&self, stream: &str, expected: u64) -> Result<u64, AppendError> {
        let last = self.facts.iter().rfind(|fact| fact.stream == stream);
        if last.is_some_and(|fact| fact.body.content().is_none()) {
            return Err(AppendError::Erased { stream: stream.to_owned() });
        }
        let actual = self.versions.get(stream).copied().unwrap_or(0);
        if actual == expected { Ok(actual) } else { Err(AppendError::Conflict { expected, actual }) }
    }

    fn check_erasure(&self, erasure: &Erasure) -> Result<(), AppendError> {
        self.expect(&erasure.stream, erasure.version)?;
        let mut effects = self.effects.iter();
        match effects.any(|effect| !effect.finished && effect.pending.stream == erasure.stream) {
            true => Err(AppendError::UnderWay { stream: erasure.stream.clone() }),
            false => Ok(()),
        }
    }

    fn erase(&mut self, erasure: &Erasure) {
        for fact in self.facts.iter_mut().filter(|fact| fact.stream == erasure.stream) {
            if let Body::Private { opening, .. } = &mut fact.body {
                *opening = None;
                self.authorities.remove(&fact.authority);
            }
        }
        for effect in self.effects.iter_mut().filter(|effect| effect.pending.stream == erasure.stream) {
            effect.pending.body.clear();
        }
        self.rows.remove(&erasure.task);
    }

    fn show(&mut self, row: TaskRow) {
        if self.rows.get(&row.id).is_none_or(|shown| shown.version < row.version) {
            self.rows.insert(row.id, row);
        }
    }

    fn head(&self) -> u64 {
        self.facts.last().map_or(0, |last| last.seq)
    }

    fn pending(&mut self, key: &str) -> Option<&mut Effect> {
        self.effects.iter_mut().find(|effect| effect.pending.key == key && !effect.finished)
    }

    fn finish(&mut self, key: &str) {
        if let Some(effect) = self.pending(key) {
            effect.finished = true;
        }
    }
}

fn page(limit: u32) -> usize {
    usize::try_from(limit.min(PAGE_MAX)).unwrap_or(usize::MAX)
}

#[async_trait]
impl Journal for MemoryStore {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        append.check_limits()?;
        self.state().append(append)
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn stream(&self, stream: &str, after_version: u64) -> Result<Vec<Fact>, StoreError> {
        let state = self.state();
        let facts = state.facts.iter().filter(|fact| fact.stream == stream && fact.version > after_version);
        Ok(facts.cloned().collect())
    }

    async fn facts(&self, after_seq: u64, limit: u32) -> Result<Vec<Fact>, StoreError> {
        let state = self.state();
        Ok(state.facts.iter().filter(|fact| fact.seq > after_seq).take(page(limit)).cloned().collect())
    }

    async fn facts_below(&self, prefix: &str, after_seq: u64, limit: u32) -> Result<Vec<Fact>, StoreError> {
        let state = self.state();
        let found = state.facts.iter().filter(|fact| fact.seq > after_seq && fact.stream.starts_with(prefix));
        Ok(found.take(page(limit)).cloned().collect())
    }

    async fn authority(&self, digest: Digest32) -> Result<Option<Authority>, StoreError> {
        Ok(self.state().authorities.get(&digest).cloned())
    }

    async fn holder(&self, space: &str, name: &[u8]) -> Result<Option<String>, StoreError> {
        Ok(self.state().reservations.get(&(space.to_owned(), name.to_vec())).cloned())
    }

    async fn due_effects(&self, now: Timestamp, limit: u32) -> Result<Vec<PendingEffect>, StoreError> {
        let state = self.state();
        let mut due: Vec<&PendingEffect> =
            state.effects.iter().filter(|effect| !effect.finished).map(|effect| &effect.pending).collect();
        due.retain(|effect| effect.due <= now || effect.due > now.after(EFFECT_PAUSE_MAX));
        due.sort_by_key(|effect| effect.due);
        Ok(due.into_iter().take(page(limit)).cloned().collect())
    }

    async fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        epoch: u64,
        limit: u32,
    ) -> Result<Vec<PendingEffect>, StoreError> {
        check_time(until)?;
        let (horizon, mut state) = (now.after(EFFECT_PAUSE_MAX), self.state());
        let mut due: Vec<&mut Effect> = state.effects.iter_mut().filter(|effect| !effect.finished).collect();
        due.retain(|effect| effect.pending.due <= now || effect.pending.due > horizon);
        due.retain(|effect| {
            let (by, ends) = effect.claim;
            by < epoch || ends <= now || ends > horizon
        });
        due.sort_by_key(|effect| effect.pending.due);
        let claimed = due.into_iter().take(page(limit)).map(|effect| {
            effect.claim = (epoch, until);
            effect.pending.clone()
        });
        Ok(claimed.collect())
    }

    async fn next_effect_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let state = self.state();
        Ok(state.effects.iter().filter(|effect| !effect.finished).map(|effect| effect.pending.due).min())
    }

    async fn defer_effect(&self, key: &str, until: Timestamp) -> Result<(), StoreError> {
        check_time(until)?;
        if let Some(effect) = self.state().pending(key) {
            effect.pending.due = until;
            effect.pending.attempts = effect.pending.attempts.saturating_add(1);
            effect.claim = (0, Timestamp::from_millis(0));
        }
        Ok(())
    }

    async fn finish_effect(&self, key: &str) -> Result<(), StoreError> {
        self.state().finish(key);
        Ok(())
    }

    async fn admit(&self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> Result<bool, StoreError> {
        check_time(forget_after)?;
        let mut state = self.state();
        if state.seen.get(&request).is_some_and(|forget_after| *forget_after >= now) {
            return Ok(false);
        }
        state.seen.retain(|_, forget_after| *forget_after >= now);
        state.seen.insert(request, forget_after);
        Ok(true)
    }
}

#[async_trait]
impl LogStore for MemoryStore {
    async fn log_state(&self) -> Result<LogState, StoreError> {
        Ok(self.state().log.clone())
    }

    async fn log_tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.state().tiles.get(&(level, index)).cloned())
    }

    async fn log_entries(&self, from: u64, to: u64) -> Result<Vec<Vec<u8>>, StoreError> {
        let state = self.state();
        Ok(state.facts.iter().filter(|fact| (from + 1..=to).contains(&fact.seq)).map(Fact::entry).collect())
    }

    async fn integrate(&self, from: u64, to: u64, tiles: Vec<Tile>) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.log.size != from {
            return Ok(false);
        }
        state.log.size = to;
        for tile in tiles {
            state.tiles.insert((tile.id.level(), tile.id.index()), tile.to_bytes());
        }
        Ok(true)
    }

    async fn drop_tiles(&self, size: u64, tiles: Vec<(u8, u64)>) -> Result<bool, StoreError> {
        let mut state = self.state();
        if state.log.size != size {
            return Ok(false);
        }
        tiles.iter().for_each(|place| drop(state.tiles.remove(place)));
        Ok(true)
    }

    async fn publish(&self, published: Published) -> Result<bool, StoreError> {
        let log = &mut self.state().log;
        let newer = log.published.as_ref().is_none_or(|before| before.size < published.size);
        if !newer || published.size > log.size {
            return Ok(false);
        }
        log.published = Some(published);
        Ok(true)
    }
}

#[async_trait]
impl TaskReader for MemoryStore {
    async fn task(&self, id: Id<Task>) -> Result<Option<String>, StoreError> {
        Ok(self.state().rows.get(&id).map(|row| row.view.clone()))
    }

    async fn tasks(&self, query: &TaskQuery) -> Result<Vec<String>, StoreError> {
        if query.states.len() > STATES_MAX {
            return Err(StoreError::Limit(format!("{STATES_MAX} states at most")));
        }
        let state = self.state();
        let rows = state.rows.values().rev().filter(|row| {
            (query.states.is_empty() || query.states.iter().any(|state| *state == row.state))
                && query.requester.is_none_or(|requester| requester == row.requester)
                && query.worker.is_none_or(|worker| Some(worker) == row.worker)
                && query.before.is_none_or(|before| row.id < before)
        });
        Ok(rows.take(page(query.limit)).map(|row| row.view.clone()).collect())
    }

    async fn due_tasks(
        &self,
        now: Timestamp,
        height: BlockHeight,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Id<Task>>, StoreError> {
        let state = self.state();
        let by_height =
            state.rows.values().filter_map(|row| Some((row.wake_height.filter(|at| *at <= height)?, row.id)));
        let by_time = state.rows.values().filter_map(|row| Some((row.wake_at.filter(|at| *at <= now)?, row.id)));
        let (mut by_height, mut by_time) = (by_height.collect::<Vec<_>>(), by_time.collect::<Vec<_>>());
        by_height.sort();
        by_time.sort();
        let mut ids: Vec<Id<Task>> = by_height.into_iter().map(|(_, id)| id).collect();
        for (_, id) in by_time {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids.into_iter().skip(skip as usize).take(page(limit)).collect())
    }

    async fn next_wake_after(&self, time: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.state().rows.values().filter_map(|row| row.wake_at).filter(|at| *at > time).min())
    }
}

#[async_trait]
impl TaskRebuild for MemoryStore {
    async fn rows_format(&self) -> Result<u32, StoreError> {
        Ok(self.state().rows_format)
    }

    async fn clear_rows(&self) -> Result<(), StoreError> {
        let mut state = self.state();
        state.rows.clear();
        state.rows_format = 0;
        Ok(())
    }

    async fn show_rows(&self, rows: Vec<TaskRow>) -> Result<(), StoreError> {
        check_rows(&rows)?;
        let mut state = self.state();
        rows.into_iter().for_each(|row| state.show(row));
        Ok(())
    }

    async fn set_rows_format(&self, format: u32) -> Result<(), StoreError> {
        self.state().rows_format = format;
        Ok(())
    }
}
