//! Journals that get in the way: each passes everything on, but for one kind of trouble.

use async_trait::async_trait;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};
use tallystick_app::port::journal::{Append, AppendError, Appended, Fact, Journal, PendingEffect, StoreError};
use tallystick_core::{Authority, Digest32, Timestamp};
use tallystick_testkit::MemoryStore;
use tokio::sync::{Barrier, Semaphore};

/// What may be in the way of an append.
#[derive(Default)]
pub struct Trouble {
    /// So many appends are told that another one came first.
    pub conflicts: AtomicU32,
    /// So many appends fail before they reach the journal.
    pub refused: AtomicU32,
    /// So many appends reach it, and fail on the way back.
    pub unheard: AtomicU32,
    /// Appends that have begun wait here until as many are there as the barrier asks for; once.
    pub meeting: Mutex<Option<(Arc<Barrier>, u32)>>,
    /// Appends wait here after they were done.
    pub brake: Mutex<Option<Arc<Semaphore>>>,
    /// Streams that cannot be read.
    pub broken: Mutex<Vec<String>>,
    /// How often a stream was read.
    pub reads: AtomicU32,
    /// How often an append was tried.
    pub appends: AtomicU32,
}

pub struct Troubled {
    store: Arc<MemoryStore>,
    pub trouble: Arc<Trouble>,
}

impl Troubled {
    pub fn new(store: &Arc<MemoryStore>) -> (Arc<Self>, Arc<Trouble>) {
        let trouble = Arc::new(Trouble::default());
        (Arc::new(Self { store: Arc::clone(store), trouble: Arc::clone(&trouble) }), trouble)
    }
}

/// Takes one of what is left.
fn take(counter: &AtomicU32) -> bool {
    counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok()
}

fn down() -> StoreError {
    StoreError::Unavailable("the disk is full".into())
}

impl Trouble {
    /// The next `count` appends wait for each other before they go on.
    pub fn meet(&self, count: u32) {
        let barrier = Arc::new(Barrier::new(count as usize));
        *self.meeting.lock().unwrap() = Some((barrier, count));
    }

    fn at_the_door(&self) -> Option<Arc<Barrier>> {
        let mut meeting = self.meeting.lock().unwrap();
        let (barrier, left) = meeting.as_mut()?;
        let barrier = Arc::clone(barrier);
        *left -= 1;
        if *left == 0 {
            *meeting = None;
        }
        Some(barrier)
    }
}

#[async_trait]
impl Journal for Troubled {
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let trouble = &self.trouble;
        trouble.appends.fetch_add(1, Ordering::AcqRel);
        let meeting = trouble.at_the_door();
        if let Some(meeting) = meeting {
            meeting.wait().await;
        }
        if take(&trouble.conflicts) {
            return Err(AppendError::Conflict {
                expected: append.expected_version,
                actual: append.expected_version + 1,
            });
        }
        if take(&trouble.refused) {
            return Err(down().into());
        }
        let answer = self.store.append(append).await;
        let brake = trouble.brake.lock().unwrap().clone();
        if let Some(brake) = brake {
            brake.acquire().await.unwrap().forget();
        }
        if take(&trouble.unheard) { Err(down().into()) } else { answer }
    }
    async fn stream(&self, stream: &str, after_version: u64) -> Result<Vec<Fact>, StoreError> {
        self.trouble.reads.fetch_add(1, Ordering::AcqRel);
        if self.trouble.broken.lock().unwrap().iter().any(|broken| broken == stream) {
            return Err(StoreError::Corrupt(format!("{stream} was eaten by mice")));
        }
        self.store.stream(stream, after_version).await
    }
    async fn facts(&self, after_seq: u64, limit: u32) -> Result<Vec<Fact>, StoreError> {
        self.store.facts(after_seq, limit).await
    }
    async fn authority(&self, digest: Digest32) -> Result<Option<Authority>, StoreError> {
        self.store.authority(digest).await
    }
    async fn holder(&self, space: &str, name: &[u8]) -> Result<Option<String>, StoreError> {
        self.store.holder(space, name).await
    }
    async fn due_effects(&self, now: Timestamp, limit: u32) -> Result<Vec<PendingEffect>, StoreError> {
        self.store.due_effects(now, limit).await
    }
    async fn next_effect_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.store.next_effect_due().await
    }
    async fn defer_effect(&self, key: &str, until: Timestamp) -> Result<(), StoreError> {
        self.store.defer_effect(key, until).await
    }
    async fn finish_effect(&self, key: &str) -> Result<(), StoreError> {
        self.store.finish_effect(key).await
    }
    async fn admit(&self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> Result<bool, StoreError> {
        self.store.admit(request, now, forget_after).await
    }
}
