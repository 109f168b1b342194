//! The one writing task of this process.

use std::sync::{Mutex, PoisonError};
use tallystick_app::port::journal::{AppendError, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::alarm::{Alarm, Listener};
use crate::postgres::error::{Result, closed};
use crate::postgres::plan::{Answer, Work};
use crate::postgres::session::{Failure, Session};

/// Jobs in one transaction, at most.
const BATCH_MAX: usize = 512;
/// Bytes of bodies in one transaction, at most; one job that is larger has a transaction of its own.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// Jobs that wait for the writer, at most; who comes then waits for room.
const WAITING_MAX: usize = 1_024;

struct Job {
    work: Work,
    reply: oneshot::Sender<Result<Answer, AppendError>>,
}

/// The way to the writing task.
pub(crate) struct Writer {
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
    failed: Listener,
}

impl Writer {
    /// Starts the task.
    pub(crate) fn start(session: Session) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let (alarm, failed) = Alarm::armed();
        let task = tokio::spawn(async move {
            if run(session, waiting).await {
                alarm.disarm();
            }
        });
        Self { jobs: Mutex::new(Some(jobs)), task: tokio::sync::Mutex::new(Some(task)), failed }
    }

    /// Has `work` done in the next transaction, and waits until it is on disk. Who stops waiting does not stop the work.
    pub(crate) async fn write(&self, work: Work) -> Result<Answer, AppendError> {
        work.check_text()?;
        let (reply, answer) = oneshot::channel();
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner).clone().ok_or_else(closed)?;
        jobs.send(Job { work, reply }).await.map_err(|_| closed())?;
        drop(jobs);
        answer.await.map_err(|_| closed())?
    }

    /// Waits until the task has ended without having been closed.
    pub(crate) async fn failed(&self) {
        self.failed.heard().await;
    }

    /// Writes what waits, then ends the task and its connection.
    pub(crate) async fn close(&self) {
        drop(self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take());
        // Whoever closes as well waits for the same end.
        let mut task = self.task.lock().await;
        if let Some(task) = task.take()
            && task.await.is_err()
        {
            tracing::error!("the journal's writer ended with a panic");
        }
    }
}

/// Until nobody can send any more: takes everything that waits, writes it in one transaction, replies. Answers false if
/// it had to stop before that.
async fn run(mut session: Session, mut waiting: mpsc::Receiver<Job>) -> bool {
    let mut queue = Vec::with_capacity(BATCH_MAX);
    loop {
        if queue.is_empty() && waiting.recv_many(&mut queue, BATCH_MAX).await == 0 {
            return true;
        }
        let batch: Vec<Job> = queue.drain(..cut(&queue)).collect();
        let written = write(&mut session, batch).await;
        if let Err(error) = written {
            tracing::error!(%error, "the journal's writer stops");
            return false;
        }
    }
}

/// How many of the jobs go into the next transaction.
fn cut(queue: &[Job]) -> usize {
    let mut bytes = 0;
    for (count, Job { work, .. }) in queue.iter().enumerate() {
        bytes += work.bytes();
        let alone = work.is_alone();
        if count > 0 && (alone || bytes > BATCH_BYTES_MAX) {
            return count;
        }
        if alone {
            return 1;
        }
    }
    queue.len()
}

/// Writes a batch and replies. A value that the server does not take fails the job that brought it, and no other.
///
/// # Errors
/// Why the writer must stop.
async fn write(session: &mut Session, batch: Vec<Job>) -> Result<()> {
    let works: Vec<&Work> = batch.iter().map(|job| &job.work).collect();
    match session.write(&works).await {
        Ok(answers) => {
            for (job, answer) in batch.into_iter().zip(answers) {
                // The caller may have stopped waiting.
                drop(job.reply.send(answer));
            }
            Ok(())
        }
        Err(Failure::Poisoned(_)) if batch.len() > 1 => {
            for job in batch {
                Box::pin(write(session, vec![job])).await?;
            }
            Ok(())
        }
        Err(Failure::Fatal(error)) => {
            fail(batch, &error);
            Err(error)
        }
        Err(Failure::Passing(error) | Failure::Poisoned(error) | Failure::Refused(error) | Failure::Unknown(error)) => {
            tracing::error!(%error, "the journal could not be written");
            fail(batch, &error);
            Ok(())
        }
    }
}

fn fail(batch: Vec<Job>, error: &StoreError) {
    for job in batch {
        drop(job.reply.send(Err(error.clone().into())));
    }
}
