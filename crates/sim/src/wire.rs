//! What stands between the app and its ports: a wire on which calls wait for their turn, fail, or never come back.

use async_trait::async_trait;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tallystick_app::port::{
    entrance::Entrance,
    journal::{Append, AppendError, Appended, Journal, PendingEffect, StoreError},
    layer::JournalLayer,
    rail::{ClaimState, HoldRail, HoldRequest, PayRequest, PayState, RailError},
};
use tallystick_core::{BlockHeight, Digest32, Fact, Msat, PaymentHash, Timestamp};
use tokio::sync::Notify;

use crate::{
    plan::{Kind, Trouble},
    rng::Rng,
};

/// The most turns that a call lets others have first.
const TURNS_MAX: u64 = 3;

/// The wire of one life of the node: once it is cut, nothing goes through any more.
pub(crate) struct Wire {
    state: Mutex<Line>,
    cut: Notify,
    /// Something was written to the journal.
    pub written: Notify,
}

struct Line {
    calls: u32,
    trouble: Option<Trouble>,
    turns: Rng,
    is_cut: bool,
    /// What the journal behind it refuses.
    refuses: Refuses,
    /// Whether users do not reach the node.
    shuts_out: bool,
    asked: Vec<Asked>,
}

/// What a journal answers with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Refuses {
    Nothing,
    Writes,
    All,
}

/// What the app asked of the rail.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Invoice(HoldRequest),
    Pay(PayRequest),
    Claim(PaymentHash),
    Cancel(PaymentHash),
}

impl Wire {
    pub(crate) fn new() -> Arc<Self> {
        let (turns, refuses) = (Rng::new(0), Refuses::Nothing);
        let line = Line { calls: 0, trouble: None, turns, is_cut: false, refuses, shuts_out: false, asked: Vec::new() };
        Arc::new(Self { state: Mutex::new(line), cut: Notify::new(), written: Notify::new() })
    }

    /// A step begins: calls are counted from here.
    pub(crate) fn begin(&self, trouble: Option<Trouble>, salt: u64) {
        let mut line = self.line();
        (line.calls, line.trouble, line.turns) = (0, trouble, Rng::new(salt));
    }

    /// What the journal behind it refuses from now on.
    pub(crate) fn refuse(&self, refuses: Refuses) {
        self.line().refuses = refuses;
    }

    /// Whether users do not reach the node from now on.
    pub(crate) fn shut_out(&self, shuts_out: bool) {
        self.line().shuts_out = shuts_out;
    }

    fn reads(&self) -> Result<(), StoreError> {
        if self.line().refuses == Refuses::All { Err(store_down()) } else { Ok(()) }
    }

    fn writes(&self) -> Result<(), StoreError> {
        if self.line().refuses >= Refuses::Writes { Err(store_down()) } else { Ok(()) }
    }

    /// What was asked of the rail since this was last called.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.line().asked)
    }

    /// Waits until the node dies.
    pub(crate) async fn died(&self) {
        self.cut.notified().await;
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, asked: Asked) {
        self.line().asked.push(asked);
    }

    /// One call through the wire. `may_fail`: whether an error can be answered.
    async fn cross<T, E>(
        &self,
        may_fail: bool,
        error: impl FnOnce() -> E,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let turns = self.line().turns.below(TURNS_MAX);
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        let hit = {
            let mut line = self.line();
            line.calls += 1;
            let calls = line.calls;
            line.trouble.filter(|trouble| trouble.call == calls)
        };
        if self.line().is_cut {
            std::future::pending::<()>().await;
        }
        match hit {
            Some(Trouble { kind: Kind::Dies, done, .. }) => {
                if done {
                    // Whether the app would have been answered well is nobody's to know any more.
                    drop(call.await);
                }
                self.die().await
            }
            Some(Trouble { kind: Kind::Fails, done, .. }) if may_fail => {
                if done {
                    call.await?;
                }
                Err(error())
            }
            _ => call.await,
        }
    }

    /// Never comes back.
    async fn die<T>(&self) -> T {
        self.line().is_cut = true;
        self.cut.notify_one();
        std::future::pending().await
    }
}

fn store_down() -> StoreError {
    StoreError::Unavailable("the wire is bad".into())
}

fn rail_down() -> RailError {
    RailError::Unavailable("the wire is bad".into())
}

/// Where users come in.
pub(crate) struct Front(pub Arc<Wire>);

#[async_trait]
impl Entrance for Front {
    async fn is_open(&self) -> bool {
        !self.0.line().shuts_out
    }
}

/// The journal at the far end of the wire: it may refuse what is asked of it.
pub(crate) struct FarJournal(pub Arc<dyn Journal>, pub Arc<Wire>);

#[async_trait]
impl JournalLayer for FarJournal {
    fn inner(&self) -> &dyn Journal {
        self.0.as_ref()
    }
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.1.writes()?;
        self.0.append(append).await
    }
    async fn stream(&self, stream: &str, after_version: u64) -> Result<Vec<Fact>, StoreError> {
        self.1.reads()?;
        self.0.stream(stream, after_version).await
    }
    async fn facts_below(&self, prefix: &str, after_seq: u64, limit: u32) -> Result<Vec<Fact>, StoreError> {
        self.1.reads()?;
        self.0.facts_below(prefix, after_seq, limit).await
    }
    async fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        epoch: u64,
        limit: u32,
    ) -> Result<Vec<PendingEffect>, StoreError> {
        self.1.writes()?;
        self.0.claim_effects(now, until, epoch, limit).await
    }
    async fn finish_effect(&self, key: &str) -> Result<(), StoreError> {
        self.1.writes()?;
        self.0.finish_effect(key).await
    }
    async fn admit(&self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> Result<bool, StoreError> {
        self.1.writes()?;
        self.0.admit(request, now, forget_after).await
    }
}

/// The journal behind the wire. What only reads goes past it: it changes nothing.
pub(crate) struct WiredJournal(pub Arc<dyn Journal>, pub Arc<Wire>);

#[async_trait]
impl JournalLayer for WiredJournal {
    fn inner(&self) -> &dyn Journal {
        self.0.as_ref()
    }
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        let written = async {
            let answer = self.0.append(append).await;
            self.1.written.notify_waiters();
            answer
        };
        self.1.cross(true, || store_down().into(), written).await
    }
    async fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        epoch: u64,
        limit: u32,
    ) -> Result<Vec<PendingEffect>, StoreError> {
        self.1.cross(true, store_down, self.0.claim_effects(now, until, epoch, limit)).await
    }
    async fn defer_effect(&self, key: &str, until: Timestamp) -> Result<(), StoreError> {
        // The worker waits for real time when this fails, and there is none here.
        self.1.cross(false, store_down, self.0.defer_effect(key, until)).await
    }
    async fn finish_effect(&self, key: &str) -> Result<(), StoreError> {
        self.1.cross(true, store_down, self.0.finish_effect(key)).await
    }
    async fn admit(&self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> Result<bool, StoreError> {
        self.1.cross(true, store_down, self.0.admit(request, now, forget_after)).await
    }
}

/// The rail behind the wire.
pub(crate) struct WiredRail(pub Arc<dyn HoldRail>, pub Arc<Wire>);

#[async_trait]
impl HoldRail for WiredRail {
    async fn hold_invoice(&self, request: HoldRequest) -> Result<String, RailError> {
        self.1.note(Asked::Invoice(request.clone()));
        self.1.cross(true, rail_down, self.0.hold_invoice(request)).await
    }
    async fn cancel_hold(&self, hash: PaymentHash) -> Result<(), RailError> {
        self.1.note(Asked::Cancel(hash));
        self.1.cross(true, rail_down, self.0.cancel_hold(hash)).await
    }
    async fn claim_hold(&self, hash: PaymentHash) -> Result<ClaimState, RailError> {
        self.1.note(Asked::Claim(hash));
        self.1.cross(true, rail_down, self.0.claim_hold(hash)).await
    }
    async fn pay(&self, request: PayRequest) -> Result<PayState, RailError> {
        self.1.note(Asked::Pay(request.clone()));
        self.1.cross(true, rail_down, self.0.pay(request)).await
    }
    async fn holds(&self) -> Result<Vec<(PaymentHash, Msat)>, RailError> {
        self.0.holds().await
    }
    fn height(&self) -> BlockHeight {
        self.0.height()
    }
    fn is_reachable(&self) -> bool {
        self.0.is_reachable()
    }
}
