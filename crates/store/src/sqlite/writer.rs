//! The one writing thread.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use tallystick_app::port::journal::StoreError;
use tokio::sync::{mpsc, oneshot};

use crate::alarm::{Alarm, Listener};
use crate::sqlite::error::{Result, closed};
use crate::sqlite::{ledger::Ledger, lock::LockFile};

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
    failed: Listener,
}

impl Writer {
    /// Starts the thread. It holds `lock` until its connection is closed.
    pub(crate) fn start(ledger: Ledger, lock: LockFile) -> Result<Self> {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let (alarm, failed) = Alarm::armed();
        let thread = Builder::new()
            .name("journal-writer".into())
            .spawn(move || {
                let closed = run(ledger, waiting);
                drop(lock);
                if closed {
                    alarm.disarm();
                }
            })
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)), failed })
    }

    /// Has `work` done in the next transaction, and waits until it is on disk. An error of `work` undoes `work` alone.
    /// Who stops waiting does not stop the work.
    pub(crate) async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Ledger) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Display + Send + 'static,
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

    /// Waits until the thread has ended without having been closed.
    pub(crate) async fn failed(&self) {
        self.failed.heard().await;
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

/// Until nobody can send any more: takes everything that waits, writes it in one transaction, replies. Answers false if
/// it had to stop before that.
fn run(mut ledger: Ledger, mut waiting: mpsc::Receiver<Job>) -> bool {
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
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Head;
    use crate::sqlite::{append::Prepared, facts, schema};
    use rusqlite::config::DbConfig;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
    use tallystick_app::port::journal::{Append, AppendError, Appended};
    use tallystick_testkit::store_suite::fixture::{append, name};
    use tempfile::TempDir;

    /// A writer whose COMMITs fail while the switch is on, and are counted.
    struct Rig {
        writer: Arc<Writer>,
        failing: Arc<AtomicBool>,
        commits: Arc<AtomicU32>,
        dir: TempDir,
    }

    fn rig(prepare: impl FnOnce(&rusqlite::Connection)) -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        let lock = LockFile::take(&path).unwrap();
        let mut conn = schema::open_writer(&path).unwrap();
        let (failing, commits) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
        let (switch, counter) = (Arc::clone(&failing), Arc::clone(&commits));
        conn.commit_hook(Some(move || {
            counter.fetch_add(1, SeqCst);
            switch.load(SeqCst)
        }))
        .unwrap();
        prepare(&conn);
        let writer = Arc::new(Writer::start(Ledger::new(conn).unwrap(), lock).unwrap());
        Rig { writer, failing, commits, dir }
    }

    impl Rig {
        async fn append(&self, append: Append) -> Result<Appended, AppendError> {
            let prepared = Prepared::try_new(append)?;
            self.writer.write(move |ledger| ledger.append(prepared)).await
        }

        /// Everything that the database holds, after the writer has ended.
        async fn facts(self) -> Vec<tallystick_core::Fact> {
            self.writer.close().await;
            facts::after(&schema::open_reader(&self.dir.path().join("journal.db")).unwrap(), 0, 1_000).unwrap()
        }
    }

    /// Jobs that wait together go into one transaction, and one that fails in it takes nobody with it.
    #[tokio::test]
    async fn a_batch_is_one_commit_and_each_job_has_its_own_fate() {
        let rig = rig(|_| ());
        // Holds the writer inside a transaction until the others wait.
        let (release, held) = std::sync::mpsc::channel::<()>();
        let writer = Arc::clone(&rig.writer);
        let (begun, begins) = oneshot::channel();
        let first = tokio::spawn(async move {
            writer
                .write(move |_| {
                    begun.send(()).map_err(|()| closed())?;
                    held.recv().map_err(|_| closed())
                })
                .await
        });
        begins.await.unwrap();
        let mut appends: Vec<Append> = (0..10).map(|n| append(n, 0)).collect();
        appends[3].expected_version = 7;
        appends[4].reservations = vec![name(1)];
        appends[5].reservations = vec![name(1)];
        let mut answers: Vec<_> = appends.into_iter().map(|append| Box::pin(rig.append(append))).collect();
        for answer in &mut answers {
            // Polled once, each job is in the channel.
            assert!(poll_once(answer).is_none());
        }
        let before = rig.commits.load(SeqCst);
        release.send(()).unwrap();
        first.await.unwrap().unwrap();
        let mut fates = Vec::new();
        for answer in answers {
            fates.push(answer.await);
        }
        assert_eq!(rig.commits.load(SeqCst) - before, 2, "one COMMIT for the first job, one for all others");
        assert_eq!(fates[3], Err(AppendError::Conflict { expected: 7, actual: 0 }));
        assert_eq!(fates[5], Err(AppendError::Taken { space: "payment_hash" }));
        let seqs: Vec<u64> = fates.into_iter().flatten().map(|appended| appended.seq).collect();
        assert_eq!(seqs, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(rig.facts().await.len(), 8);
    }

    /// An append that is undone after it was chained leaves no gap: the next one takes its place.
    #[tokio::test]
    async fn a_job_that_fails_late_leaves_no_gap() {
        let rig = rig(|_| ());
        rig.append(append(1, 0)).await.unwrap();
        let prepared = Prepared::try_new(append(2, 0)).unwrap();
        let late = rig.writer.write(move |ledger| {
            assert_eq!(ledger.append(prepared)?.seq, 2);
            Err::<(), AppendError>(closed().into())
        });
        assert_eq!(late.await, Err(closed().into()));
        assert_eq!(rig.append(append(3, 0)).await, Ok(Appended { seq: 2, version: 1 }));
        let facts = rig.facts().await;
        assert_eq!((facts.len(), facts[1].prev), (2, facts[0].hash));
    }

    /// Polls a future once.
    fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }

    /// Nobody is told of success when the COMMIT fails, and the chain goes on where the table ends.
    #[tokio::test]
    async fn a_failed_commit_fails_everybody_and_the_chain_goes_on() {
        let rig = rig(|_| ());
        rig.append(append(1, 0)).await.unwrap();
        rig.failing.store(true, SeqCst);
        let (one, two) = tokio::join!(rig.append(append(1, 1)), rig.append(append(2, 0)));
        assert!(matches!(one, Err(AppendError::Store(StoreError::Unavailable(_)))), "{one:?}");
        assert!(matches!(two, Err(AppendError::Store(StoreError::Unavailable(_)))), "{two:?}");
        rig.failing.store(false, SeqCst);
        assert_eq!(rig.append(append(3, 0)).await, Ok(Appended { seq: 2, version: 1 }));
        let facts = rig.facts().await;
        assert_eq!(facts.len(), 2);
        assert_eq!((facts[1].prev, facts[1].hash), (facts[0].hash, facts[1].link()));
    }

    /// A full disk refuses appends; once there is room again, they go on.
    #[tokio::test]
    async fn a_full_disk_is_an_answer_and_not_the_end() {
        let rig = rig(|conn| conn.execute_batch("PRAGMA max_page_count = 60").unwrap());
        let mut taken = 0;
        let full = loop {
            match rig.append(append(taken, 0)).await {
                Ok(appended) => taken = appended.seq,
                Err(error) => break error,
            }
        };
        assert!(matches!(&full, AppendError::Store(StoreError::Unavailable(why)) if why.contains("full")), "{full:?}");
        assert!(taken > 10, "only {taken} fitted");
        rig.writer
            .write(|ledger| {
                ledger.conn.pragma_update(None, "max_page_count", 100_000).map_err(|_| closed())?;
                Ok::<_, StoreError>(())
            })
            .await
            .unwrap();
        assert_eq!(rig.append(append(taken, 0)).await.unwrap().seq, taken + 1);
        assert_eq!(u64::try_from(rig.facts().await.len()).unwrap(), taken + 1);
    }

    /// A job that panics ends the writer: everybody gets an error, nothing half done is committed.
    #[tokio::test]
    async fn a_panic_commits_nothing_and_closes() {
        let rig = rig(|_| ());
        rig.append(append(1, 0)).await.unwrap();
        let prepared = Prepared::try_new(append(2, 0)).unwrap();
        let answer: Result<()> = rig
            .writer
            .write(move |ledger| {
                ledger.append(prepared).map_err(|_| closed())?;
                panic!("a fault in a job")
            })
            .await;
        assert_eq!(answer, Err(closed()));
        rig.writer.failed().await;
        assert_eq!(rig.append(append(3, 0)).await, Err(AppendError::Store(closed())));
        assert_eq!(rig.facts().await.len(), 1);
    }

    /// Damage, or a disk that fails, found by a statement of one job: nothing of its transaction counts, and the writer
    /// stops and says so.
    #[tokio::test]
    async fn a_fatal_error_in_a_job_ends_the_writer() {
        for code in [rusqlite::ffi::SQLITE_CORRUPT, rusqlite::ffi::SQLITE_IOERR_READ, rusqlite::ffi::SQLITE_NOTADB] {
            let rig = rig(|_| ());
            rig.append(append(1, 0)).await.unwrap();
            let error = rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None);
            let prepared = Prepared::try_new(append(2, 0)).unwrap();
            let answer: Result<()> = rig
                .writer
                .write(move |ledger| {
                    ledger.append(prepared).map_err(|_| closed())?;
                    ledger.note(Err(error))
                })
                .await;
            assert!(matches!(&answer, Err(StoreError::Unavailable(why)) if why.contains("given up")), "{answer:?}");
            rig.writer.failed().await;
            assert_eq!(rig.append(append(3, 0)).await, Err(AppendError::Store(closed())));
            assert_eq!(rig.facts().await.len(), 1);
        }
    }

    /// So does a head that cannot be read again after a transaction failed.
    #[tokio::test]
    async fn a_head_that_cannot_be_read_ends_the_writer() {
        let rig = rig(|_| ());
        rig.append(append(1, 0)).await.unwrap();
        let dropped = |ledger: &mut Ledger| ledger.note(ledger.conn.execute_batch("DELETE FROM head"));
        rig.writer.write(dropped).await.unwrap();
        rig.failing.store(true, SeqCst);
        assert!(rig.append(append(1, 1)).await.is_err());
        rig.writer.failed().await;
        assert_eq!(rig.append(append(1, 1)).await, Err(AppendError::Store(closed())));
    }

    /// An error that harms nobody else does not raise the alarm, and neither does closing.
    #[tokio::test]
    async fn a_writer_that_works_or_is_closed_has_not_failed() {
        let rig = rig(|_| ());
        assert!(rig.append(append(1, 7)).await.is_err());
        rig.failing.store(true, SeqCst);
        assert!(rig.append(append(1, 0)).await.is_err());
        assert!(poll_once(&mut Box::pin(rig.writer.failed())).is_none());
        rig.writer.close().await;
        assert!(poll_once(&mut Box::pin(rig.writer.failed())).is_none());
    }

    /// Binding new values does not make SQLite plan again; planning would cost as much as the append.
    #[tokio::test]
    async fn statements_are_prepared_once() {
        let rig = rig(|conn| {
            assert!(conn.db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG).unwrap());
        });
        for version in 0..50 {
            rig.append(append(1, version)).await.unwrap();
        }
        let again = rig
            .writer
            .write(|ledger| {
                assert_ne!(ledger.head, Head::START);
                Ok::<_, StoreError>(crate::sqlite::append::prepared_again(&ledger.conn))
            })
            .await;
        assert_eq!(again, Ok(0));
    }
}
