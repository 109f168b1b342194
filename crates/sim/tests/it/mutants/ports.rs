//! Ports with a bug in them, each around the real one.

use async_trait::async_trait;
use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tallystick_app::{
    away::AWAY,
    port::{
        entrance::Entrance,
        journal::{Append, AppendError, Appended, Journal, PendingEffect, StoreError},
        layer::JournalLayer,
        rail::{ClaimState, HoldRail, HoldRequest, PayRequest, PayState, RailError},
        tasks::{TaskQuery, TaskReader},
    },
};
use tallystick_core::{BlockHeight, Digest32, Duration, Fact, Id, Msat, PaymentHash, Timestamp, canonical};
use tallystick_escrow::{Task, plan::GRACE};

/// What is wrong with a journal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Bug {
    ForgetsEffects,
    WritesLate,
    SwallowsConflicts,
    ShowsNothing,
    FinishesNothing,
    HidesOutages,
    TellsLate,
    TellsAtStartsAlone,
    AdmitsAnyway,
}

struct Odd {
    inner: Arc<dyn Journal>,
    bug: Bug,
    /// The effects that were asked for in this life of the node.
    known: Mutex<BTreeSet<String>>,
    /// Whether this life of the node has done anything.
    is_old: AtomicBool,
    /// What was acknowledged, and is not written yet.
    unwritten: Mutex<Option<Append>>,
}

fn odd(inner: Arc<dyn Journal>, bug: Bug) -> Arc<dyn Journal> {
    Arc::new(Odd { inner, bug, known: Mutex::default(), is_old: AtomicBool::new(false), unwritten: Mutex::default() })
}

/// What is left to do after a restart is not known any more.
pub fn effects_forgotten(inner: Arc<dyn Journal>) -> Arc<dyn Journal> {
    odd(inner, Bug::ForgetsEffects)
}

/// The answer comes before the fact is on the disk.
pub fn answered_before_it_is_written(inner: Arc<dyn Journal>) -> Arc<dyn Journal> {
    odd(inner, Bug::WritesLate)
}

/// Of two commands at once, both are answered well, and one is written.
pub fn conflict_swallowed(inner: Arc<dyn Journal>) -> Arc<dyn Journal> {
    odd(inner, Bug::SwallowsConflicts)
}

/// Failed payouts change nothing in the read model.
pub fn row_forgotten(inner: Arc<dyn Journal>) -> Arc<dyn Journal> {
    odd(inner, Bug::ShowsNothing)
}

/// Outcomes do not end their effects.
pub fn effect_never_ends(inner: Arc<dyn Journal>) -> Arc<dyn Journal> {
    odd(inner, Bug::FinishesNothing)
}

/// Nobody hears when the node was away.
pub fn outages_untold(inner: Arc<dyn Journal>) -> Arc<dyn Journal> {
    odd(inner, Bug::HidesOutages)
}

/// When the node was away, it tells after its timers ran.
pub fn outages_told_late(inner: Arc<dyn Journal>) -> Arc<dyn Journal> {
    odd(inner, Bug::TellsLate)
}

/// When the node was away, it tells at its start, and never as long as it lives.
pub fn outages_told_at_starts_alone(inner: Arc<dyn Journal>) -> Arc<dyn Journal> {
    odd(inner, Bug::TellsAtStartsAlone)
}

/// A request counts as remembered that could not be written down, so that the node finds that it is there.
pub fn unwritten_unseen(inner: Arc<dyn Journal>) -> Arc<dyn Journal> {
    odd(inner, Bug::AdmitsAnyway)
}

impl Odd {
    fn take(&self) -> Option<Append> {
        self.unwritten.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    async fn write(&self) {
        if self.bug != Bug::TellsLate {
            self.write_now().await;
        }
    }

    async fn write_now(&self) {
        if let Some(append) = self.take() {
            // It was answered already, whatever comes of it.
            let _ = self.inner.append(append).await;
        }
    }
}

#[async_trait]
impl JournalLayer for Odd {
    fn inner(&self) -> &dyn Journal {
        self.inner.as_ref()
    }
    async fn append(&self, mut append: Append) -> Result<Appended, AppendError> {
        let tells = append.facts.iter().any(|fact| fact.kind == AWAY);
        match self.bug {
            Bug::TellsLate if tells => {
                let version = append.expected_version + 1;
                *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner) = Some(append);
                return Ok(Appended { seq: 0, version });
            }
            Bug::TellsLate => {
                let answer = self.inner.append(append).await;
                self.write_now().await;
                return answer;
            }
            Bug::TellsAtStartsAlone if tells && self.is_old.load(Ordering::Relaxed) => {
                return Ok(Appended { seq: 0, version: append.expected_version + 1 });
            }
            _ => self.write().await,
        }
        {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.extend(append.effects.iter().map(|effect| effect.key.clone()));
        }
        match self.bug {
            Bug::WritesLate => {
                let there = self.inner.stream(&append.stream, append.expected_version).await?;
                if let Some(last) = there.last() {
                    return Err(AppendError::Conflict { expected: append.expected_version, actual: last.version });
                }
                let version = append.expected_version + append.facts.len() as u64;
                *self.unwritten.lock().unwrap_or_else(PoisonError::into_inner) = Some(append);
                return Ok(Appended { seq: 0, version });
            }
            Bug::ShowsNothing if append.facts.iter().any(|fact| fact.kind == "escrow.payout_failed") => {
                append.row = None;
            }
            Bug::FinishesNothing => append.finishes.clear(),
            _ => {}
        }
        match self.inner.append(append).await {
            Err(AppendError::Conflict { actual, .. }) if self.bug == Bug::SwallowsConflicts => {
                Ok(Appended { seq: 0, version: actual })
            }
            answer => answer,
        }
    }
    async fn stream(&self, stream: &str, after_version: u64) -> Result<Vec<Fact>, StoreError> {
        self.write().await;
        self.inner.stream(stream, after_version).await
    }
    async fn facts_below(&self, prefix: &str, after_seq: u64, limit: u32) -> Result<Vec<Fact>, StoreError> {
        let facts = self.inner.facts_below(prefix, after_seq, limit).await?;
        let is_hidden = |fact: &Fact| self.bug == Bug::HidesOutages && fact.kind == AWAY;
        Ok(facts.into_iter().filter(|fact| !is_hidden(fact)).collect())
    }
    async fn holder(&self, space: &str, name: &[u8]) -> Result<Option<String>, StoreError> {
        self.write().await;
        self.inner.holder(space, name).await
    }
    async fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        epoch: u64,
        limit: u32,
    ) -> Result<Vec<PendingEffect>, StoreError> {
        // A node performs what is due all the time.
        self.is_old.store(true, Ordering::Relaxed);
        self.write().await;
        let mut given = self.inner.claim_effects(now, until, epoch, limit).await?;
        if self.bug == Bug::ForgetsEffects {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            given.retain(|effect| known.contains(&effect.key));
        }
        Ok(given)
    }
    async fn admit(&self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> Result<bool, StoreError> {
        let admitted = self.inner.admit(request, now, forget_after).await;
        if self.bug == Bug::AdmitsAnyway { Ok(admitted.unwrap_or(true)) } else { admitted }
    }
}

/// A read model that wakes tasks by another time, or by other heights, than theirs.
struct Misled {
    inner: Arc<dyn TaskReader>,
    earlier: Duration,
    sees_blocks: bool,
}

/// Tasks are woken by the clock, and not by blocks.
pub fn blocks_unseen(inner: Arc<dyn TaskReader>) -> Arc<dyn TaskReader> {
    Arc::new(Misled { inner, earlier: Duration::default(), sees_blocks: false })
}

/// Tasks are woken at deadlines, when late work is taken as well.
pub fn woken_early(inner: Arc<dyn TaskReader>) -> Arc<dyn TaskReader> {
    Arc::new(Misled { inner, earlier: GRACE, sees_blocks: true })
}

#[async_trait]
impl TaskReader for Misled {
    async fn task(&self, id: Id<Task>) -> Result<Option<String>, StoreError> {
        self.inner.task(id).await
    }
    async fn tasks(&self, query: &TaskQuery) -> Result<Vec<String>, StoreError> {
        self.inner.tasks(query).await
    }
    async fn due_tasks(
        &self,
        now: Timestamp,
        height: BlockHeight,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<Id<Task>>, StoreError> {
        let height = if self.sees_blocks { height } else { BlockHeight(0) };
        self.inner.due_tasks(now.after(self.earlier), height, skip, limit).await
    }
    async fn next_wake_after(&self, time: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_wake_after(time).await
    }
}

/// What is wrong with a network.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    PaysAnew,
    KeepsHolds,
    SaysItIsThere,
}

struct Broken {
    inner: Arc<dyn HoldRail>,
    fault: Fault,
    calls: AtomicU64,
}

/// Every call pays, also one that was made before.
pub fn pays_anew(inner: Arc<dyn HoldRail>) -> Arc<dyn HoldRail> {
    // The count goes on over restarts: no number comes twice.
    Arc::new(Broken { inner, fault: Fault::PaysAnew, calls: AtomicU64::new(0) })
}

/// A hold that is to be given back stays, and the answer is that it was.
pub fn keeps_holds(inner: Arc<dyn HoldRail>) -> Arc<dyn HoldRail> {
    Arc::new(Broken { inner, fault: Fault::KeepsHolds, calls: AtomicU64::new(0) })
}

/// A network that is cut, and says that it is not.
pub fn cut_unseen(inner: Arc<dyn HoldRail>) -> Arc<dyn HoldRail> {
    Arc::new(Broken { inner, fault: Fault::SaysItIsThere, calls: AtomicU64::new(0) })
}

/// An entrance that says that it is open.
struct Open;

#[async_trait]
impl Entrance for Open {
    async fn is_open(&self) -> bool {
        true
    }
}

/// An entrance that is closed, and says that it is not.
pub fn shut_out_unseen(_inner: Arc<dyn Entrance>) -> Arc<dyn Entrance> {
    Arc::new(Open)
}

#[async_trait]
impl HoldRail for Broken {
    async fn hold_invoice(&self, request: HoldRequest) -> Result<String, RailError> {
        self.inner.hold_invoice(request).await
    }
    async fn cancel_hold(&self, hash: PaymentHash) -> Result<(), RailError> {
        match self.fault {
            Fault::KeepsHolds => Ok(()),
            Fault::PaysAnew | Fault::SaysItIsThere => self.inner.cancel_hold(hash).await,
        }
    }
    async fn claim_hold(&self, hash: PaymentHash) -> Result<ClaimState, RailError> {
        self.inner.claim_hold(hash).await
    }
    async fn pay(&self, mut request: PayRequest) -> Result<PayState, RailError> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.fault == Fault::PaysAnew && call % 2 == 1 {
            request.id = canonical::digest("anew", &[&request.id.0, &call.to_le_bytes()]);
        }
        self.inner.pay(request).await
    }
    async fn holds(&self) -> Result<Vec<(PaymentHash, Msat)>, RailError> {
        self.inner.holds().await
    }
    fn height(&self) -> BlockHeight {
        self.inner.height()
    }
    fn is_reachable(&self) -> bool {
        self.fault == Fault::SaysItIsThere || self.inner.is_reachable()
    }
}
