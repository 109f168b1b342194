//! Tells of every fact of a journal that several replicas write: each in the order of the journal, and once.
//!
//! ```text
//! another replica ─▶ journal ─▶ Heads::beyond ─▶ facts after the last that was told ─▶ updates, effects, wakes
//! ```
//!
//! What this process writes is told on the same way: so there is one order.

use lru::LruCache;
use std::{num::NonZeroUsize, sync::Arc, time::Duration};
use tallystick_core::{Coded, Fact, Id};
use tallystick_escrow::{State, Task};
use tokio::sync::watch;

use crate::{
    app::{App, TaskUpdate},
    change::{stream_of, task_of, view_of},
    erase::Erased,
    error::AppError,
    port::{
        journal::{Head, Heads, StoreError},
        limits::PAGE_MAX,
    },
    road::replay,
};

/// Tasks whose state is remembered from one fact to the next.
const TASKS: NonZeroUsize = NonZeroUsize::new(1_000).expect("not zero");
/// How long to trust that a head would have been heard of.
const LOOK: Duration = Duration::from_secs(5);
/// The pause after the store failed.
const PAUSE: Duration = Duration::from_millis(500);
/// How long to wait for what is in the journal to be told.
const CATCH_UP_MAX: Duration = Duration::from_secs(5);

/// Reads the journal behind everybody who writes it.
pub(crate) struct Follower {
    app: App,
    heads: Arc<dyn Heads>,
    told: watch::Sender<Head>,
    /// Tasks as of the last fact of theirs that was told.
    tasks: LruCache<Id<Task>, (State, u64)>,
}

impl Follower {
    /// Tells of all facts after those that are there now. From here on the app itself tells of none.
    pub(crate) async fn new(app: App, heads: Arc<dyn Heads>) -> Result<Self, StoreError> {
        let told = watch::Sender::new(heads.head().await?);
        // A second follower would tell everything twice.
        let first = app.0.told.set((told.subscribe(), Arc::clone(&heads))).is_ok();
        if !first {
            return Err(StoreError::Unavailable("the journal is followed already".into()));
        }
        Ok(Self { app, heads, told, tasks: LruCache::new(TASKS) })
    }

    /// Works until `stop` resolves.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let seen = self.told.borrow().seq;
            let step = async {
                match self.tell_page(seen).await {
                    Ok(true) => {}
                    // A head that was not heard of is found by looking.
                    Ok(false) => drop(tokio::time::timeout(LOOK, self.heads.beyond(seen)).await),
                    Err(error) => {
                        tracing::error!(code = %error.code(), "the journal cannot be followed: {error}");
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            };
            tokio::select! {
                () = &mut stop => return,
                () = step => {}
            }
        }
    }

    /// Tells of the facts after `seen`, a page at most; false if there are none.
    async fn tell_page(&mut self, seen: u64) -> Result<bool, AppError> {
        let mut page = self.app.0.parts.journal.facts(seen, PAGE_MAX).await?;
        if page.len() >= PAGE_MAX as usize {
            // The last append may go on in the next page.
            let whole = page.len() - page.chunk_by(together).next_back().map_or(0, <[Fact]>::len);
            page.truncate(if whole == 0 { page.len() } else { whole });
        }
        if page.is_empty() {
            return Ok(false);
        }
        // First, so that payouts do not wait for a fact that cannot be told.
        self.app.0.effects_added.notify_one();
        self.app.0.wakes_changed.notify_one();
        for append in page.chunk_by(together) {
            self.tell(append).await?;
        }
        Ok(true)
    }

    /// Tells of one append, which must follow what was told before: a database that was put back to an older state has
    /// another history by now. What fails before it is told is told on the next try.
    async fn tell(&mut self, facts: &[Fact]) -> Result<(), AppError> {
        let (Some(first), Some(last)) = (facts.first(), facts.last()) else { return Ok(()) };
        let Head { seq, hash } = *self.told.borrow();
        if first.prev != hash {
            let why = format!("fact {} does not follow fact {seq} ({hash}), which was told before", first.seq);
            return Err(StoreError::Corrupt(why).into());
        }
        for erased in facts.iter().filter_map(Erased::of) {
            if let Ok(id) = task_of(&erased.stream) {
                self.tasks.pop(&id);
                self.app.0.cache.forget(id);
            }
        }
        match self.tell_task(facts, last).await {
            // It was erased since: there is nothing to tell any more.
            Err(AppError::Erased) => {}
            told => told?,
        }
        self.told.send_replace(Head { seq: last.seq, hash: last.hash });
        Ok(())
    }

    /// Tells of a task's facts, if they are a task's.
    async fn tell_task(&mut self, facts: &[Fact], last: &Fact) -> Result<(), AppError> {
        if let Ok(id) = task_of(&last.stream) {
            let first = facts.first().map_or(1, |fact| fact.version);
            let known = self.tasks.get(&id).filter(|(_, version)| version.saturating_add(1) == first).cloned();
            let (state, version) = match known {
                Some((state, version)) => replay(state, version, facts)?,
                None => {
                    let all = self.app.0.parts.journal.stream(&stream_of(id), 0).await?;
                    let until = all.partition_point(|fact| fact.version <= last.version);
                    replay(State::default(), 0, &all[..until])?
                }
            };
            let view = Arc::new(view_of(&state)?);
            self.tasks.put(id, (state, version));
            // Nobody listening is fine.
            let _ = self.app.0.updates.send(TaskUpdate { seq: last.seq, view });
        }
        Ok(())
    }
}

/// Whether two facts that follow each other were appended together: no two appends have the same authority.
fn together(one: &Fact, next: &Fact) -> bool {
    one.stream == next.stream && one.authority == next.authority
}

impl App {
    /// The last fact that was told, if others write the journal as well.
    pub fn told(&self) -> Option<Head> {
        self.0.told.get().map(|(told, _)| *told.borrow())
    }

    /// Waits until everything that is in the journal now has been told to those who listen to [`App::updates`]. At once
    /// if nobody else writes the journal.
    ///
    /// # Errors
    /// [`AppError::Store`] if the store does not answer, or nothing is told for a while.
    pub async fn caught_up(&self) -> Result<(), AppError> {
        let Some((told, heads)) = self.0.told.get() else { return Ok(()) };
        let mut told = told.clone();
        let head = heads.head().await?.seq;
        let wait = tokio::time::timeout(CATCH_UP_MAX, told.wait_for(|told| told.seq >= head)).await;
        match wait {
            Ok(Ok(_)) => Ok(()),
            _ => Err(StoreError::Unavailable("the journal is not followed any more".into()).into()),
        }
    }
}
