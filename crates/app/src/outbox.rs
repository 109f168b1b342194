//! Performs effects. An effect is tried until its outcome is a fact; a crash at any point leads here again.

use std::{
    collections::HashSet,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::Poll,
};
use tallystick_core::{BlockHeight, Coded, Duration, Id, PaymentHash, Timestamp, canonical};
use tallystick_escrow::{Effect, NodeCommand, State, Task, awaited, served};
use tokio::{sync::watch, task::JoinSet};

use crate::{
    app::App,
    change::task_of,
    error::AppError,
    port::{
        journal::{PendingEffect, StoreError},
        limits::EFFECT_PAUSE_MAX,
        rail::{ClaimState, HoldRail, HoldRequest, PayFailure, PayRequest, PayState, RailError},
    },
};

/// Effects under way at once.
const CONCURRENT_MAX: usize = 256;
/// The first pause after a failure; it doubles with each.
const PAUSE_MIN: Duration = Duration::from_millis(250);
/// The longest pause after a failure.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long an effect is this worker's, unless it is done before.
const CLAIM: Duration = Duration::from_secs(30);
/// How long to wait for a notice before asking the rail again how a payment stands.
const NOTICE_WAIT: Duration = Duration::from_secs(30);
/// The shortest pause when a try cannot even be written down.
const UNWRITTEN_PAUSE_MIN: Duration = Duration::from_secs(1);

// Whatever is put off further than this counts as due at once.
const _: () = assert!(PAUSE_MAX.as_millis() <= EFFECT_PAUSE_MAX.as_millis());
const _: () = assert!(NOTICE_WAIT.as_millis() <= EFFECT_PAUSE_MAX.as_millis());

/// The worker that empties the journal's outbox.
#[derive(Clone)]
pub struct Outbox {
    app: App,
    /// Keys under way in this process: an effect runs once at a time.
    running: Arc<Mutex<HashSet<String>>>,
    /// Ends the pauses of effects that keep their key.
    stopping: Arc<watch::Sender<bool>>,
    /// What its claims are made in: see [`Journal::claim_effects`](crate::port::journal::Journal::claim_effects).
    epoch: u64,
}

impl Outbox {
    /// A worker for this app's outbox, and the only one: what another has claimed, in this process or an earlier one,
    /// is taken over.
    pub fn new(app: App) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let now = app.clock().now().as_millis();
        let later = |last: u64| Some(now.max(last.saturating_add(1)));
        let last = LAST.fetch_update(Ordering::AcqRel, Ordering::Acquire, later).unwrap_or_default();
        Self::in_epoch(app, later(last).unwrap_or(now))
    }

    /// A worker for this app's outbox that takes over what was claimed in earlier epochs only.
    pub fn in_epoch(app: App, epoch: u64) -> Self {
        Self { app, running: Arc::default(), stopping: Arc::default(), epoch }
    }

    /// Works until `stop` resolves; effects under way are finished first.
    pub(crate) async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        let mut jobs = JoinSet::new();
        loop {
            let due = self.start_due(&mut jobs).await;
            self.app.outbox_answered(due.as_ref().map(|_| ()));
            let wait = match due {
                Ok(next) => next.map_or(PAUSE_MAX, |due| self.app.clock().now().until(due)),
                Err(error) => {
                    tracing::error!(code = %error.code(), "the outbox cannot be read: {error}");
                    PAUSE_MIN
                }
            };
            let wait = real(wait.min(PAUSE_MAX));
            tokio::select! {
                () = &mut stop => break,
                () = self.app.0.effects_added.notified() => {}
                Some(_) = jobs.join_next(), if !jobs.is_empty() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        self.stopping.send_replace(true);
        while jobs.join_next().await.is_some() {}
    }

    /// Performs everything that is due now, and waits for it. For tests and for a node without a worker.
    ///
    /// # Errors
    /// [`StoreError`] if the outbox cannot be read.
    pub async fn run_once(&self) -> Result<(), StoreError> {
        let mut jobs = JoinSet::new();
        self.start_due(&mut jobs).await?;
        while jobs.join_next().await.is_some() {}
        Ok(())
    }

    /// Starts what is due, and tells when to look again.
    async fn start_due(&self, jobs: &mut JoinSet<()>) -> Result<Option<Timestamp>, StoreError> {
        let journal = &self.app.0.parts.journal;
        let room = u32::try_from(CONCURRENT_MAX.saturating_sub(jobs.len())).unwrap_or_default();
        if room == 0 {
            return Ok(Some(self.soon()));
        }
        let now = self.app.clock().now();
        let claimed = journal.claim_effects(now, now.after(CLAIM), self.epoch, room).await;
        for effect in claimed.inspect_err(|_| self.app.missed())? {
            // One that takes longer than its claim is given again, and is running.
            if self.running().insert(effect.key.clone()) {
                let worker = self.clone();
                jobs.spawn(async move {
                    let _running = Running { worker: worker.clone(), key: effect.key.clone() };
                    worker.perform(effect).await;
                });
            }
        }
        if !self.running().is_empty() {
            return Ok(Some(self.soon()));
        }
        // What was due before, and not given, is somebody else's.
        Ok(journal.next_effect_due().await?.map(|due| if due <= now { self.soon() } else { due }))
    }

    /// While effects run, their end wakes the worker; this is the fallback.
    fn soon(&self) -> Timestamp {
        self.app.clock().now().after(PAUSE_MIN)
    }

    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries an effect until its outcome is a fact, or it is put off.
    async fn perform(&self, pending: PendingEffect) {
        let mut stopping = self.stopping.subscribe();
        loop {
            let until = match unpanicked(self.attempt(&pending)).await {
                Ok(Progress::Done) => return,
                Ok(Progress::Waiting) => self.app.clock().now().after(NOTICE_WAIT),
                Err(error) => {
                    let code = error.code();
                    tracing::warn!(effect = pending.key, %code, "an effect failed, and is tried again: {error}");
                    if let AppError::Store(StoreError::Corrupt(_)) = error {
                        self.app.begin_nothing();
                    }
                    self.app.clock().now().after(pause_after(pending.attempts))
                }
            };
            let Err(error) = self.app.0.parts.journal.defer_effect(&pending.key, until).await else { return };
            tracing::error!(effect = pending.key, code = %error.code(), "an effect cannot be put off: {error}");
            // It is still claimed: nobody else tries it meanwhile.
            let pause = pause_after(pending.attempts).max(UNWRITTEN_PAUSE_MIN);
            if tokio::time::timeout(real(pause), stopping.wait_for(|stop| *stop)).await.is_ok() {
                return;
            }
        }
    }

    async fn attempt(&self, pending: &PendingEffect) -> Result<Progress, AppError> {
        let (rail, _) = self.app.rail()?;
        let task = task_of(&pending.stream)?;
        let effect = match self.effect_of(task, pending).await {
            // No task is erased while it waits for something: only a bit that turned says so.
            Err(AppError::Erased) => {
                tracing::error!(effect = pending.key, "an effect of an erased task is done with; run `tally fsck`");
                self.app.0.parts.journal.finish_effect(&pending.key).await?;
                return Ok(Progress::Done);
            }
            effect => effect?,
        };
        if let Effect::NoteService { dispute, arbitrator, did } = effect {
            self.app.note_service(arbitrator, (dispute, did), &pending.key).await?;
            return Ok(Progress::Done);
        }
        let Some(outcome) = outcome_of(rail.as_ref(), effect).await? else { return Ok(Progress::Waiting) };
        self.finish(task, outcome, &pending.key).await
    }

    /// What is to be done: what the facts ask for, as long as they tell of no outcome. The outbox only reminds of it, and a bit
    /// of it may have turned on the disk.
    async fn effect_of(&self, id: Id<Task>, pending: &PendingEffect) -> Result<Effect, AppError> {
        let kept = canonical::decode::<Effect>("escrow effect", &pending.body)
            .map_err(|error| StoreError::Corrupt(format!("effect {}: {error}", pending.key)));
        let kept_key = kept.as_ref().ok().map(Effect::key);
        let (state, _) = self.app.load(id).await?;
        let is_of_task = match (&state, &kept) {
            (State::Present(task), Ok(kept)) => kept.is_of(task),
            _ => false,
        };
        let effects = match state {
            State::Present(task) => awaited(&task, self.app.clock().now()).into_iter().chain(served(&task)).collect(),
            State::Absent => Vec::new(),
        };
        let is_it = |effect: &Effect| {
            let key = effect.key();
            key == pending.key || kept_key.as_ref() == Some(&key)
        };
        let wanted = effects.into_iter().find(is_it);
        let is_whole = kept_key.as_ref() == Some(&pending.key);
        match (kept, wanted) {
            (Ok(kept), Some(wanted)) if is_whole && kept.asks_the_same(&wanted) => Ok(wanted),
            // Its outcome is a fact already, or is not the task's to tell.
            (Ok(kept), None) if is_whole && is_of_task => Ok(not_to_begin(kept)),
            (_, Some(wanted)) => {
                tracing::error!(
                    effect = pending.key,
                    "an effect in the outbox is damaged: what the facts ask for is done; run `tally fsck`"
                );
                self.app.begin_nothing();
                Ok(wanted)
            }
            (Err(error), None) => Err(error.into()),
            (Ok(_), None) => Err(StoreError::Corrupt(format!("effect {}: no fact asks for it", pending.key)).into()),
        }
    }

    async fn finish(&self, task: Id<Task>, outcome: NodeCommand, key: &str) -> Result<Progress, AppError> {
        match self.app.report(task, outcome, Some(key.to_owned())).await {
            Ok(_) => Ok(Progress::Done),
            Err(AppError::Rejected(rejection)) if rejection != tallystick_escrow::Rejection::ClaimBeforePayout => {
                tracing::info!(%task, effect = key, code = %rejection.code(), "an outcome came too late: {rejection}");
                Ok(Progress::Done)
            }
            Err(error) => Err(error),
        }
    }
}

/// An effect under way; over when dropped, by a panic too.
struct Running {
    worker: Outbox,
    key: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.worker.running().remove(&self.key);
    }
}

/// A payout that no task waits for must not begin; one that has is asked after.
fn not_to_begin(mut effect: Effect) -> Effect {
    if let Effect::Pay { begin_by, .. } = &mut effect {
        *begin_by = BlockHeight(0);
    }
    effect
}

enum Progress {
    /// Its outcome is a fact.
    Done,
    /// A notice will tell.
    Waiting,
}

/// Does one effect on the rail. `None`: it is under way, a notice will tell.
async fn outcome_of(rail: &dyn HoldRail, effect: Effect) -> Result<Option<NodeCommand>, AppError> {
    Ok(match effect {
        Effect::MakeHoldInvoice { hash, amount, description, expiry, final_cltv_delta } => {
            match rail.hold_invoice(HoldRequest { hash, amount, description, expiry, final_cltv_delta }).await {
                Ok(bolt11) => Some(NodeCommand::RecordHoldInvoice { hash, bolt11 }),
                Err(RailError::Refused(why)) => {
                    tracing::error!(%hash, "the Lightning node refuses a hold invoice: {why}");
                    Some(NodeCommand::RecordHoldRefused { hash })
                }
                Err(error) => return Err(error.into()),
            }
        }
        Effect::Pay { hash, id, bolt11, fee_limit, cltv_limit, begin_by, .. } => {
            pay(rail, hash, PayRequest { id, bolt11, fee_limit, cltv_limit, begin_by, covered: true }).await?
        }
        Effect::PayReward { hash, id, bolt11, fee_limit, cltv_limit, .. } => {
            let begin_by = BlockHeight(u32::MAX);
            pay(rail, hash, PayRequest { id, bolt11, fee_limit, cltv_limit, begin_by, covered: false }).await?
        }
        // Not the rail's.
        Effect::NoteService { .. } => None,
        Effect::ClaimHold { hash, amount } => match rail.claim_hold(hash).await {
            Ok(ClaimState::Claiming) => None,
            Ok(ClaimState::Claimed) => Some(NodeCommand::RecordHoldClaimed { hash, amount }),
            // Asking again reveals no preimage: the hold goes back at its deadline, and the payout was ours.
            Err(RailError::NoPreimage) => {
                tracing::error!(%hash, "the Lightning node has lost the preimage of a payout: its hold is lost");
                Some(NodeCommand::RecordHoldLost { hash })
            }
            Err(error) => return Err(error.into()),
        },
        Effect::CancelHold { hash } => match rail.cancel_hold(hash).await {
            Ok(()) => Some(NodeCommand::RecordHoldReturned { hash }),
            // The rail knows of a payout that the journal does not: its word counts, it has the preimage.
            Err(RailError::Claimed) => {
                tracing::error!(%hash, "a hold to be given back was spent: the journal is older than the Lightning node");
                Some(NodeCommand::RecordHoldSpent { hash })
            }
            Err(error) => return Err(error.into()),
        },
    })
}

async fn pay(rail: &dyn HoldRail, hash: PaymentHash, request: PayRequest) -> Result<Option<NodeCommand>, AppError> {
    let id = request.id;
    Ok(match rail.pay(request).await {
        Ok(PayState::InFlight) => None,
        Ok(PayState::Paid { fee }) => Some(NodeCommand::RecordPayoutPaid { hash, id, fee }),
        Ok(PayState::Failed { reason }) => Some(NodeCommand::RecordPayoutFailed { hash, id, reason }),
        // Refused before anything was begun: the rules try again while blocks last, and then give back.
        Err(RailError::Refused(why)) => {
            tracing::error!(%hash, "the Lightning node refuses a payout: {why}");
            Some(NodeCommand::RecordPayoutFailed { hash, id, reason: PayFailure::Other })
        }
        Err(error) => return Err(error.into()),
    })
}

/// Makes a panic an error of this one try, which is put off as any other.
async fn unpanicked<T>(work: impl Future<Output = Result<T, AppError>>) -> Result<T, AppError> {
    let mut work = pin!(work);
    // What a panic leaves half done is dropped with the future; locks here know of poison.
    std::future::poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))).unwrap_or(Poll::Ready(Err(AppError::Fault)))
    })
    .await
}

fn real(span: Duration) -> std::time::Duration {
    std::time::Duration::from_millis(span.as_millis())
}

fn pause_after(attempts: u32) -> Duration {
    let factor = 1u64.checked_shl(attempts).unwrap_or(u64::MAX);
    Duration::from_millis(PAUSE_MIN.as_millis().saturating_mul(factor)).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_put_nothing_off_for_longer_than_the_journal_takes() {
        assert!(tallystick_escrow::plan::PAYOUT_PAUSE_MAX <= EFFECT_PAUSE_MAX);
    }

    #[test]
    fn pauses_double_up_to_a_minute() {
        let pauses: Vec<_> = [0, 1, 2, 7, 8, 63, 64, u32::MAX].map(|n| pause_after(n).as_millis()).into();
        assert_eq!(pauses, [250, 500, 1_000, 32_000, 60_000, 60_000, 60_000, 60_000]);
    }
}
