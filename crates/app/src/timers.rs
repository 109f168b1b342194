//! Wakes tasks whose time or height has come.

use tallystick_core::{Coded, Duration, Id};
use tallystick_escrow::Task;

use crate::{app::App, error::AppError};

/// Tasks woken in one go.
const BATCH: u32 = 256;
/// The longest sleep: clocks jump.
const SLEEP_MAX: Duration = Duration::from_secs(5);
/// The shortest sleep: a task that cannot be woken must not keep the worker spinning.
const SLEEP_MIN: Duration = Duration::from_millis(20);
/// The pause after the store failed.
const PAUSE: Duration = Duration::from_secs(1);

/// The worker that watches clock and chain.
#[derive(Clone)]
pub struct Timers {
    app: App,
}

impl Timers {
    /// A worker for this app's tasks.
    pub fn new(app: App) -> Self {
        Self { app }
    }

    /// Works until `stop` resolves.
    pub(crate) async fn run(&self, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let wait = match self.run_once().await {
                Ok(()) => self.until_next().await,
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

    /// Wakes every task that is due now. One that cannot be woken does not keep the others asleep.
    ///
    /// # Errors
    /// [`AppError`] if the store fails, or what failed last; the tasks that it concerns stay due.
    pub async fn run_once(&self) -> Result<(), AppError> {
        // Those that stay due step aside for the others.
        let (mut asleep, mut failed) = (0u32, None);
        loop {
            let (now, height) = (self.app.clock().now(), self.app.height());
            let due = self.app.0.parts.tasks.due_tasks(now, height, asleep, BATCH).await?;
            for id in &due {
                asleep += 1;
                match self.wake(*id).await {
                    Ok(changed) => asleep -= u32::from(changed),
                    Err(AppError::Rejected(rejection)) => {
                        tracing::error!(task = %id, code = %rejection.code(), "a task cannot be woken: {rejection}");
                    }
                    Err(error) => {
                        tracing::error!(task = %id, code = %error.code(), "a task could not be woken: {error}");
                        failed = Some(error);
                    }
                }
            }
            // A full batch may hide more.
            if due.len() < BATCH as usize {
                return failed.map_or(Ok(()), Err);
            }
        }
    }

    /// Wakes, and draws panels whose block is buried: a chain that does not answer keeps no deadline waiting.
    async fn wake(&self, id: Id<Task>) -> Result<bool, AppError> {
        let woken = self.app.wake_task(id).await?;
        let drawn = self.app.record_draws(id).await?;
        Ok(drawn || woken.changed)
    }

    async fn until_next(&self) -> Duration {
        match self.app.0.parts.tasks.next_wake_at().await {
            Ok(Some(at)) => self.app.clock().now().until(at).clamp(SLEEP_MIN, SLEEP_MAX),
            Ok(None) => SLEEP_MAX,
            Err(_) => PAUSE,
        }
    }
}
