//! Wakes tasks whose time or height has come.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};
use tallystick_core::{Coded, Duration, Id, Timestamp};
use tallystick_escrow::Task;
use tokio::time::Instant;

use crate::{app::App, error::AppError};

/// Tasks woken in one go.
const BATCH: u32 = 256;
/// The longest sleep: clocks jump.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// The shortest sleep, and the first pause of a task whose waking changed nothing. The pause doubles with each try.
const SLEEP_MIN: Duration = Duration::from_millis(20);
/// The longest such pause: once it can be woken again, nothing that it waits for is later by more.
const REST_MAX: Duration = Duration::from_secs(30);
/// The pause after the store failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The worker that watches clock and chain.
#[derive(Clone)]
pub struct Timers {
    app: App,
    resting: Arc<Mutex<Resting>>,
}

/// Tasks that stay due although they were woken.
type Resting = BTreeMap<Id<Task>, Rest>;

/// How often one was woken in vain, and until when it is left alone: on a clock that is never set.
#[derive(Clone, Copy)]
struct Rest {
    tries: u32,
    until: Instant,
}

impl Rest {
    fn after(tries: u32) -> Self {
        let pause = SLEEP_MIN.as_millis().saturating_mul(1 << tries.min(16)).min(REST_MAX.as_millis());
        Self { tries: tries + 1, until: Instant::now() + std::time::Duration::from_millis(pause) }
    }
}

impl Timers {
    /// A worker for this app's tasks.
    pub fn new(app: App) -> Self {
        Self { app, resting: Arc::default() }
    }

    /// Works until `stop` resolves.
    pub(crate) async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let wait = match self.run_once().await {
                Ok(looked) => self.until_next(looked).await,
                Err(error) => {
                    tracing::error!(code = %error.code(), "tasks cannot be woken: {error}");
                    PAUSE
                }
            };
            tokio::select! {
                () = &mut stop => return,
                () = self.app.0.wakes_changed.notified() => {}
                () = tokio::time::sleep(std::time::Duration::from_millis(wait.as_millis())) => {}
            }
        }
    }

    /// Wakes every task that is due now. One that cannot be woken does not keep the others asleep; if the rules refuse, or
    /// nothing changes, it is left alone for a while. Answers when it looked last.
    ///
    /// # Errors
    /// [`AppError`] if the store fails, or what failed last; the tasks that it concerns stay due.
    pub async fn run_once(&self) -> Result<Timestamp, AppError> {
        let before = std::mem::take(&mut *self.resting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut resting = Resting::new();
        let outcome = self.wake_all(&before, &mut resting).await;
        // Whoever is not due any more is forgotten.
        *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = resting;
        outcome
    }

    async fn wake_all(&self, before: &Resting, resting: &mut Resting) -> Result<Timestamp, AppError> {
        // Those that stay due step aside for the others.
        let (mut asleep, mut failed) = (0u32, None);
        loop {
            let (now, height) = (self.app.clock().now(), self.app.height());
            let due = self.app.0.parts.tasks.due_tasks(now, height, asleep, BATCH).await?;
            for id in &due {
                asleep += 1;
                let rest = before.get(id);
                if let Some(rest) = rest.filter(|rest| rest.until > Instant::now()) {
                    resting.insert(*id, *rest);
                    continue;
                }
                let again = Rest::after(rest.map_or(0, |rest| rest.tries));
                match self.wake(*id).await {
                    Ok(true) => asleep -= 1,
                    Ok(false) => drop(resting.insert(*id, again)),
                    Err(AppError::Rejected(rejection)) => {
                        tracing::error!(task = %id, code = %rejection.code(), "a task cannot be woken: {rejection}");
                        resting.insert(*id, again);
                    }
                    Err(error) => {
                        tracing::error!(task = %id, code = %error.code(), "a task could not be woken: {error}");
                        failed = Some(error);
                    }
                }
            }
            // A full batch may hide more.
            if due.len() < BATCH as usize {
                return failed.map_or(Ok(now), Err);
            }
        }
    }

    /// Wakes, and draws panels whose block is buried: a chain that does not answer keeps no deadline waiting.
    async fn wake(&self, id: Id<Task>) -> Result<bool, AppError> {
        let woken = self.app.wake_task(id).await?;
        let drawn = self.app.record_draws(id).await?;
        Ok(drawn || woken.changed)
    }

    /// The time until a task is due that was not when it was looked, or one has rested.
    async fn until_next(&self, looked: Timestamp) -> Duration {
        let next = match self.app.0.parts.tasks.next_wake_after(looked).await {
            Ok(Some(at)) => self.app.clock().now().until(at),
            Ok(None) => SLEEP_MAX,
            Err(_) => return PAUSE,
        };
        let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = resting.values().map(|rest| rest.until.saturating_duration_since(Instant::now())).min();
        let rested = rested.map(|left| Duration::from_millis(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)));
        next.min(rested.unwrap_or(SLEEP_MAX)).clamp(SLEEP_MIN, SLEEP_MAX)
    }
}
