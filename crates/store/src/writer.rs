//! The one writing thread.

use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use tallystick_app::port::journal::StoreError;
use tokio::sync::{mpsc, oneshot};

use crate::error::{Result, closed};
use crate::{ledger::Ledger, lock::LockFile};

/// Jobs in one transaction, at most.
const BATCH_MAX: usize = 512;
/// Jobs that wait for the writer, at most; who comes then waits for room.
const WAITING_MAX: usize = 1_024;

/// Something to be written: runs inside the batch's transaction.
type Job = Box<dyn FnOnce(&mut Ledger) -> Reply + Send>;
/// Tells the caller what came of its job: runs after the transaction, with the transaction's own fate.
type Reply = Box<dyn FnOnce(Result<()>) + Send>;

/// The way to the writing thread.
pub(crate) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// Starts the thread. It holds `lock` until its connection is closed.
    pub(crate) fn start(ledger: Ledger, lock: LockFile) -> Result<Self> {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let thread = Builder::new()
            .name("journal-writer".into())
            .spawn(move || {
                run(ledger, waiting);
                drop(lock);
            })
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)) })
    }

    /// Has `work` done in the next transaction, and waits until it is on disk. An error of `work` undoes `work` alone.
    /// Who stops waiting does not stop the work.
    pub(crate) async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Ledger) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let job: Job = Box::new(move |ledger| {
            let answer = ledger.savepoint(work);
            Box::new(move |committed| {
                let answer = committed.map_err(E::from).and(answer);
                // The caller may have stopped waiting.
                drop(sender.send(answer));
            })
        });
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)?;
        jobs.send(job).await.map_err(|_| closed())?;
        receiver.await.map_err(|_| closed())?
    }

    /// Writes what waits, then ends the thread, its connection and its lock.
    pub(crate) async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let ended = tokio::task::spawn_blocking(|| thread.join()).await;
            if !matches!(ended, Ok(Ok(()))) {
                tracing::error!("the journal's writer ended with a panic");
            }
        }
    }
}

/// Until nobody can send any more: takes everything that waits, writes it in one transaction, replies.
fn run(mut ledger: Ledger, mut waiting: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let (replies, outcome) =
            ledger.transaction(|ledger| batch.drain(..).map(|job| job(ledger)).collect::<Vec<Reply>>());
        for reply in replies {
            reply(outcome.as_ref().map(|_| ()).map_err(|failure| failure.error.clone()));
        }
        if let Err(failure) = outcome {
            tracing::error!(error = %failure.error, fatal = failure.fatal, "the journal could not be written");
            if failure.fatal {
                break;
            }
        }
    }
}
