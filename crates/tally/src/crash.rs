//! Crash points: every write to the journal, every call into the rail and every step of a witness's write, before and
//! after.
//!
//! Built only with the feature `crash-points`, for the harness in `tests/`. The process counts the points that it
//! passes and dies at the one that the environment tells, without cleaning up, as a power cut would have it.

mod evidence;

use async_trait::async_trait;
use std::{
    fs::OpenOptions,
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tallystick_app::port::{
    journal::{Append, AppendError, Appended, Journal, StoreError},
    layer::JournalLayer,
    rail::{ClaimState, HoldRail, HoldRequest, PayRequest, PayState, RailError},
};
use tallystick_core::{BlockHeight, Digest32, Msat, PaymentHash, Timestamp};
use tallystick_escrow::Event;
use tallystick_witness::Folder;

pub use evidence::CrashingEvidence;

/// Die at this point: a number, counted from 1, or a name. Absent or empty: never.
pub const AT_VAR: &str = "TALLY_CRASH_AT";
/// Append the name of every point passed to this file.
pub const LOG_VAR: &str = "TALLY_CRASH_LOG";

/// Counts points.
#[derive(Clone, Debug, Default)]
pub struct CrashPoints(Arc<Counter>);

#[derive(Debug, Default)]
struct Counter {
    passed: AtomicU64,
    at: String,
    log: Option<String>,
}

impl CrashPoints {
    /// What the environment asks for.
    pub fn from_env() -> Self {
        let at = std::env::var(AT_VAR).unwrap_or_default();
        Self(Arc::new(Counter { passed: AtomicU64::new(0), at, log: std::env::var(LOG_VAR).ok() }))
    }

    /// Passes a point, or dies there.
    pub(crate) fn pass(&self, name: &str) {
        let passed = self.0.passed.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(path) = &self.0.log {
            let file = OpenOptions::new().create(true).append(true).open(path);
            // The harness fails by itself if the log is missing.
            // In one write: others pass points at the same time, and a kill leaves no half line.
            let line = format!("{passed} {name}\n");
            let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
        }
        if self.0.at == name || self.0.at == passed.to_string() {
            std::process::abort();
        }
    }

    async fn around<T>(&self, name: &str, call: impl Future<Output = T>) -> T {
        self.pass(&format!("before {name}"));
        let result = call.await;
        self.pass(&format!("after {name}"));
        result
    }
}

/// A journal with crash points around every write.
pub struct CrashingJournal {
    inner: Arc<dyn Journal>,
    points: CrashPoints,
}

impl CrashingJournal {
    /// Wraps a journal.
    pub fn new(inner: Arc<dyn Journal>, points: CrashPoints) -> Self {
        Self { inner, points }
    }
}

#[async_trait]
impl JournalLayer for CrashingJournal {
    fn inner(&self) -> &dyn Journal {
        self.inner.as_ref()
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let kinds: Vec<_> = append.facts.iter().map(|fact| fact.kind).collect();
        let name = format!("append {}", told(&kinds).join("+"));
        self.points.around(&name, self.inner.append(append)).await
    }

    async fn scrub(&self) -> Result<(), StoreError> {
        self.points.around("scrub", self.inner.scrub()).await
    }

    async fn defer_effect(&self, key: &str, until: Timestamp) -> Result<(), StoreError> {
        self.points.around("defer", self.inner.defer_effect(key, until)).await
    }

    async fn finish_effect(&self, key: &str) -> Result<(), StoreError> {
        self.points.around("finish", self.inner.finish_effect(key)).await
    }

    async fn admit(&self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> Result<bool, StoreError> {
        self.points.around("admit", self.inner.admit(request, now, forget_after)).await
    }
}

/// A rail with crash points around every call.
pub struct CrashingRail {
    inner: Arc<dyn HoldRail>,
    points: CrashPoints,
}

impl CrashingRail {
    /// Wraps a rail.
    pub fn new(inner: Arc<dyn HoldRail>, points: CrashPoints) -> Self {
        Self { inner, points }
    }
}

#[async_trait]
impl HoldRail for CrashingRail {
    async fn hold_invoice(&self, request: HoldRequest) -> Result<String, RailError> {
        self.points.around("hold_invoice", self.inner.hold_invoice(request)).await
    }

    async fn cancel_hold(&self, hash: PaymentHash) -> Result<(), RailError> {
        self.points.around("cancel_hold", self.inner.cancel_hold(hash)).await
    }

    async fn claim_hold(&self, hash: PaymentHash) -> Result<ClaimState, RailError> {
        self.points.around("claim_hold", self.inner.claim_hold(hash)).await
    }

    async fn pay(&self, request: PayRequest) -> Result<PayState, RailError> {
        self.points.around("pay", self.inner.pay(request)).await
    }

    async fn holds(&self) -> Result<Vec<(PaymentHash, Msat)>, RailError> {
        self.inner.holds().await
    }

    fn height(&self) -> BlockHeight {
        self.inner.height()
    }

    fn is_reachable(&self) -> bool {
        self.inner.is_reachable()
    }
}

/// A witness's folder with crash points around every step of a write.
pub struct CrashingFolder {
    inner: Arc<dyn Folder>,
    points: CrashPoints,
    what: &'static str,
}

impl CrashingFolder {
    /// Wraps a folder; `what` is in the names of its points.
    pub fn new(inner: Arc<dyn Folder>, points: &CrashPoints, what: &'static str) -> Self {
        Self { inner, points: points.clone(), what }
    }

    fn around<T>(&self, step: &str, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.points.pass(&format!("before {step} {}", self.what));
        let result = call();
        self.points.pass(&format!("after {step} {}", self.what));
        result
    }
}

impl Folder for CrashingFolder {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.inner.read(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        self.inner.names()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.around("write", || self.inner.write(name, bytes))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.around("rename", || self.inner.rename(from, to))
    }

    fn sync_names(&self) -> io::Result<()> {
        self.around("sync", || self.inner.sync_names())
    }
}

/// What is told of an append: outcomes of several holds come in any order, so that only what follows from the last is told by its
/// name. (A hold that is back is found lost by a node that did not hear of its return.)
fn told<'a>(kinds: &'a [&'a str]) -> &'a [&'a str] {
    match kinds {
        [Event::HOLD_CLAIMED | Event::HOLD_RETURNED | Event::HOLD_LOST] => &["an outcome of several"],
        [Event::HOLD_CLAIMED | Event::HOLD_RETURNED | Event::HOLD_LOST, rest @ ..] => rest,
        all => all,
    }
}
