//! A journal and a rail that get in the way: each passes everything on, but for one kind of trouble.

use async_trait::async_trait;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
};
use tallystick_app::port::{
    journal::{Append, AppendError, Appended, Journal, PendingEffect, StoreError},
    layer::JournalLayer,
    rail::{ClaimState, HoldRail, HoldRequest, PayRequest, PayState, RailError},
};
use tallystick_core::{BlockHeight, Digest32, Fact, Msat, PaymentHash, Timestamp};
use tallystick_testkit::{MemoryStore, SimRail};
use tokio::sync::{Barrier, Semaphore, watch};

/// What becomes of an effect on its way from the disk, of which this bit turns.
pub type Turning = fn(&mut PendingEffect, usize);

/// What may be in the way of an append.
#[derive(Default)]
pub struct Trouble {
    /// So many appends are told that another one came first.
    pub conflicts: AtomicU32,
    /// So many appends fail before they reach the journal.
    pub refused: AtomicU32,
    /// Whether nothing can be written.
    pub unwritable: AtomicBool,
    /// So many appends reach it, and fail on the way back.
    pub unheard: AtomicU32,
    /// Appends that have begun wait here until as many are there as the barrier asks for; once.
    pub meeting: Mutex<Option<(Arc<Barrier>, u32)>>,
    /// Appends wait here after they were done.
    pub brake: Mutex<Option<Arc<Semaphore>>>,
    /// The next reading of a stream waits here after it was done; once.
    pub reading: Mutex<Option<Arc<Semaphore>>>,
    /// So many readings pass before that one.
    pub passing: AtomicU32,
    /// Streams that cannot be read.
    pub broken: Mutex<Vec<String>>,
    /// Streams whose reading panics.
    pub cursed: Mutex<Vec<String>>,
    /// How many facts of streams were read.
    pub facts_read: AtomicUsize,
    /// Whether effects can be put off.
    pub undeferrable: AtomicBool,
    /// How asking for effects fails.
    pub outbox_broken: Mutex<Option<StoreError>>,
    /// What becomes of an effect on its way from the disk.
    pub turning: Mutex<Option<Turning>>,
    /// Which of its bits turns.
    pub bit: AtomicUsize,
    /// How many were changed.
    pub turned: AtomicUsize,
    /// Whether asking for effects panics.
    pub outbox_cursed: AtomicBool,
    /// How often an append was tried.
    pub appends: AtomicU32,
    /// How often what was erased was to leave the store's files.
    pub scrubs: AtomicU32,
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
impl JournalLayer for Troubled {
    fn inner(&self) -> &dyn Journal {
        self.store.as_ref()
    }
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
        if take(&trouble.refused) || trouble.unwritable.load(Ordering::Acquire) {
            return Err(down().into());
        }
        let answer = self.store.append(append).await;
        let brake = trouble.brake.lock().unwrap().clone();
        if let Some(brake) = brake {
            brake.acquire().await.unwrap().forget();
        }
        if take(&trouble.unheard) { Err(down().into()) } else { answer }
    }
    async fn admit(&self, id: Digest32, now: Timestamp, until: Timestamp) -> Result<bool, StoreError> {
        if self.trouble.unwritable.load(Ordering::Acquire) {
            Err(down())
        } else {
            self.store.admit(id, now, until).await
        }
    }
    async fn scrub(&self) -> Result<(), StoreError> {
        self.trouble.scrubs.fetch_add(1, Ordering::AcqRel);
        self.store.scrub().await
    }
    async fn stream(&self, stream: &str, after_version: u64) -> Result<Vec<Fact>, StoreError> {
        let cursed = self.trouble.cursed.lock().unwrap().iter().any(|cursed| cursed == stream);
        assert!(!cursed, "whoever reads {stream} panics");
        if self.trouble.broken.lock().unwrap().iter().any(|broken| broken == stream) {
            return Err(StoreError::Corrupt(format!("{stream} was eaten by mice")));
        }
        let facts = self.store.stream(stream, after_version).await?;
        self.trouble.facts_read.fetch_add(facts.len(), Ordering::AcqRel);
        let brake = if take(&self.trouble.passing) { None } else { self.trouble.reading.lock().unwrap().take() };
        if let Some(brake) = brake {
            brake.acquire().await.unwrap().forget();
        }
        Ok(facts)
    }
    async fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        epoch: u64,
        limit: u32,
    ) -> Result<Vec<PendingEffect>, StoreError> {
        assert!(!self.trouble.outbox_cursed.load(Ordering::Acquire), "whoever asks for effects panics");
        let broken = self.trouble.outbox_broken.lock().unwrap().clone();
        match broken {
            Some(error) => Err(error),
            None => {
                let mut effects = self.store.claim_effects(now, until, epoch, limit).await?;
                let turning = *self.trouble.turning.lock().unwrap();
                for effect in &mut effects {
                    let before = effect.clone();
                    if let Some(turn) = turning {
                        turn(effect, self.trouble.bit.load(Ordering::Acquire));
                    }
                    self.trouble.turned.fetch_add(usize::from(*effect != before), Ordering::AcqRel);
                }
                Ok(effects)
            }
        }
    }
    async fn defer_effect(&self, key: &str, until: Timestamp) -> Result<(), StoreError> {
        if self.trouble.undeferrable.load(Ordering::Acquire) {
            return Err(down());
        }
        self.store.defer_effect(key, until).await
    }
}

/// A rail that counts how often a hold was to be given back, and may panic then.
pub struct MoodyRail {
    rail: SimRail,
    pub calls: watch::Sender<u32>,
    pub panics: AtomicBool,
}

impl MoodyRail {
    /// More calls than this are a loop: the rail falls silent, so that the test can say so.
    const CALLS_MAX: u32 = 10_000;

    pub fn new(rail: SimRail) -> Self {
        Self { rail, calls: watch::Sender::new(0), panics: AtomicBool::new(false) }
    }

    /// Waits until it was asked so many times.
    pub async fn asked(&self, times: u32) {
        let mut calls = self.calls.subscribe();
        let asked = calls.wait_for(|calls| *calls >= times);
        tokio::time::timeout(std::time::Duration::from_secs(600), asked).await.expect("it is asked").unwrap();
    }
}

#[async_trait]
impl HoldRail for MoodyRail {
    async fn hold_invoice(&self, request: HoldRequest) -> Result<String, RailError> {
        self.rail.hold_invoice(request).await
    }
    async fn cancel_hold(&self, hash: PaymentHash) -> Result<(), RailError> {
        self.calls.send_modify(|calls| *calls += 1);
        if *self.calls.borrow() > Self::CALLS_MAX {
            std::future::pending::<()>().await;
        }
        assert!(!self.panics.load(Ordering::Acquire), "a fault in the rail");
        self.rail.cancel_hold(hash).await
    }
    async fn claim_hold(&self, hash: PaymentHash) -> Result<ClaimState, RailError> {
        self.rail.claim_hold(hash).await
    }
    async fn pay(&self, request: PayRequest) -> Result<PayState, RailError> {
        self.rail.pay(request).await
    }
    async fn holds(&self) -> Result<Vec<(PaymentHash, Msat)>, RailError> {
        self.rail.holds().await
    }
    fn height(&self) -> BlockHeight {
        self.rail.height()
    }
    fn is_reachable(&self) -> bool {
        self.rail.is_reachable()
    }
}
