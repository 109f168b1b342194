//! The node's own store: one SQLite file, or tables in a PostgreSQL database; one writer.
//!
//! # The rule that everything here serves
//! The disk never holds a channel monitor that is newer than the channel manager, and never a manager that has handled
//! an event whose consequences (a sealed preimage, a payment's state, a notice) are not beside it. So all of them are
//! only *queued* by whoever causes them; a single thread takes the queue, has the manager encoded afresh, and writes
//! everything in one transaction. Only then is a monitor's update acknowledged, and only then may LDK send what
//! follows from it.
//!
//! ```text
//! flush:  take monitors and waiters → encode monitors → encode manager → take rows → one transaction → acknowledge
//! ```
//! * A monitor's change is in the queue before the manager can be encoded without it: LDK holds the manager's lock over
//!   both. The manager is encoded after the monitors, so it is at least as new as each of them.
//! * A row is queued before its event counts as handled, and rows are taken after the manager was encoded, so a manager
//!   without the event never comes without the row.
//! * Whoever waits is taken before the manager is encoded: what the waiter did is in it.
//!
//! Manager, monitors and their updates hold preimages: they are sealed ([`Vault`]).
//!
//! On PostgreSQL several replicas share the database, and one of them has the node: the one that holds the lease. Each
//! flush locks the lease's row and finds its own token there, or writes nothing: a node that lost the lease can
//! acknowledge nothing any more, so that nothing new leaves it.
//!
//! When a write fails, the store is down for good: nothing more is acknowledged, and the node stops.

mod backend;
mod flush;
mod kv;
mod monitors;
mod postgres;
mod queue;
mod read;
mod rows;
mod sqlite;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use lightning::ln::types::ChannelId;
use tallystick_app::port::rail::RailNotice;
use tokio::sync::{mpsc, oneshot, watch};

use crate::LightningError;
use crate::config::Database;
use crate::secret::{RootKeys, Seed, Vault};
pub(crate) use kv::LdkStore;
pub(crate) use monitors::StoredMonitor;
pub(crate) use postgres::PaidHashes;
pub use postgres::prepare as prepare_postgres;
pub(crate) use queue::MonitorChange;
use queue::Queue;
pub(crate) use rows::{Kind, PaymentRow};
pub use sqlite::FILE_NAME as SQLITE_FILE;
pub(crate) use sqlite::sealed_preimages;

const LOCK_NAME: &str = "lightning.lock";
/// Where a sealed body stands: it opens there only.
const MANAGER: &str = "manager";

fn monitor_place(name: &str) -> String {
    format!("monitor {name}")
}

fn update_place(name: &str, number: u64) -> String {
    format!("update {number} of {name}")
}

/// What is written to the disk besides manager and monitors.
pub(crate) enum Write {
    /// A value in one of LDK's namespaces; `None` removes it.
    Kv { address: KvAddress, value: Option<Vec<u8>> },
    /// A payment's newest state.
    Payment(PaymentRow),
    /// A notice for the listener, which is told once this is durable.
    Notice(u64, RailNotice),
    /// A notice that was heard.
    Heard(u64),
    /// A change of the on-chain wallet.
    Wallet(Vec<u8>),
    /// All changes of the on-chain wallet so far, as one.
    WholeWallet(Vec<u8>),
    /// A channel is resolved for good; its monitor is not loaded any more.
    Archive(String),
}

/// A place in LDK's key-value store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KvAddress {
    pub(crate) primary: String,
    pub(crate) secondary: String,
    pub(crate) key: String,
}

/// What a flush asks of the running node.
pub(crate) trait NodeState: Send + Sync {
    /// The channel manager as it is now.
    fn manager(&self) -> Vec<u8>;
    /// A channel's monitor as it is now, with the id of its newest update; `None` if it is gone.
    fn monitor(&self, channel: ChannelId) -> Option<(Vec<u8>, u64)>;
    /// These updates are on the disk.
    fn durable(&self, updates: &[(ChannelId, u64)]);
}

/// Durable notices on their way to the listener, with their numbers.
pub(crate) type Notices = mpsc::UnboundedReceiver<(u64, RailNotice)>;

/// The store is down: a write failed, or it is closed. Nothing is acknowledged any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Lightning node's database is down")]
pub(crate) struct StoreDown;

/// The store. See the module's rule.
pub(crate) struct Store {
    queue: Mutex<Queue>,
    wake: Condvar,
    reader: Mutex<Box<dyn backend::Reader>>,
    state: Mutex<Option<Arc<dyn NodeState>>>,
    notices: mpsc::UnboundedSender<(u64, RailNotice)>,
    /// Becomes true once, when a write failed.
    down: watch::Sender<bool>,
    thread: Mutex<Option<JoinHandle<()>>>,
    vault: Vault,
    /// Held as long as the store lives, so that no second process runs on the directory.
    lock: File,
}

impl Store {
    /// Opens the store, makes it if there is none, and starts its writer. Notices come out of the receiver once they
    /// are durable; those of an earlier run first.
    pub(crate) fn open(dir: &Path, database: &Database, vault: Vault) -> Result<(Arc<Self>, Notices), LightningError> {
        let lock = lock(dir)?;
        let (writer, mut reader) = match database {
            Database::Sqlite => sqlite::open(&dir.join(SQLITE_FILE))?,
            Database::Postgres { options, lease } => postgres::open(options, *lease)?,
        };
        let (notices, receiver) = mpsc::unbounded_channel();
        let unheard = reader.notices()?;
        let next_notice = unheard.last().map_or(0, |(number, _)| number + 1);
        for notice in unheard {
            // The receiver is ours, and alive.
            let _ = notices.send(notice);
        }
        let store = Arc::new(Self {
            queue: Mutex::new(Queue::new(next_notice)),
            wake: Condvar::new(),
            reader: Mutex::new(reader),
            state: Mutex::new(None),
            notices,
            down: watch::Sender::new(false),
            thread: Mutex::new(None),
            vault,
            lock,
        });
        let flusher = flush::Flusher::new(Arc::clone(&store), writer);
        let thread = std::thread::Builder::new()
            .name("lightning-store".to_owned())
            .spawn(move || flusher.run())
            .map_err(LightningError::io("the database's thread cannot be started"))?;
        *lock_of(&store.thread) = Some(thread);
        Ok((store, receiver))
    }

    /// From now on every flush holds the manager.
    pub(crate) fn attach(&self, state: Arc<dyn NodeState>) {
        *lock_of(&self.state) = Some(state);
    }

    /// Queues a write, and has it written soon.
    pub(crate) fn write(&self, write: Write) {
        lock_of(&self.queue).push(write);
        self.wake.notify_one();
    }

    /// Queues a write that may wait for the next flush: losing it does no harm.
    pub(crate) fn write_lazily(&self, write: Write) {
        lock_of(&self.queue).push_lazily(write);
    }

    /// Queues a notice for the listener.
    pub(crate) fn notify(&self, notice: RailNotice) {
        lock_of(&self.queue).push_notice(notice);
        self.wake.notify_one();
    }

    /// Queues a change of a channel's monitor.
    pub(crate) fn monitor_changed(&self, channel: ChannelId, name: String, change: MonitorChange) {
        lock_of(&self.queue).push_monitor(channel, name, change);
        self.wake.notify_one();
    }

    /// Waits until everything that was done or queued before this call is on the disk.
    pub(crate) async fn flush(&self) -> Result<(), StoreDown> {
        let (sender, receiver) = oneshot::channel();
        lock_of(&self.queue).wait(sender)?;
        self.wake.notify_one();
        receiver.await.map_err(|_| StoreDown)
    }

    /// Tells when the store goes down.
    pub(crate) fn down(&self) -> watch::Receiver<bool> {
        self.down.subscribe()
    }

    /// Writes what is queued, and stops. Blocks.
    pub(crate) fn close(&self) {
        lock_of(&self.queue).stop();
        self.wake.notify_one();
        let thread = lock_of(&self.thread).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the database's thread panicked");
        }
        // The node's parts hold the store, so they would hold each other for ever.
        lock_of(&self.state).take();
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, "the data directory cannot be unlocked");
        }
    }
}

/// Takes the directory's lock: held as long as the file is open.
fn lock(dir: &Path) -> Result<File, LightningError> {
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join(LOCK_NAME))
        .map_err(LightningError::io("the lock file cannot be opened"))?;
    lock.try_lock().map_err(|_| LightningError::Locked)?;
    Ok(lock)
}

/// The SQLite file of a node that does not run, and cannot be started as long as this lives.
#[derive(Debug)]
pub struct StoppedDatabase {
    path: PathBuf,
    _lock: File,
}

impl StoppedDatabase {
    /// Takes the directory's lock, brings the tables in this file to the newest version, and all that was written into the
    /// file itself; `None` if there is no such file. Its name is [`SQLITE_FILE`], or what it was renamed to so that no
    /// node runs on it.
    ///
    /// # Errors
    /// [`LightningError::Locked`] if the node runs; [`LightningError::Read`] if somebody reads the file; others if it
    /// cannot be used.
    pub fn open(dir: &Path, name: &str) -> Result<Option<Self>, LightningError> {
        let path = dir.join(name);
        if !path.is_file() {
            return Ok(None);
        }
        let lock = lock(dir)?;
        sqlite::settle(&path)?;
        Ok(Some(Self { path, _lock: lock }))
    }

    /// Whether this seed opens what is in it. A database of a node that has never run is anybody's.
    ///
    /// # Errors
    /// [`LightningError`] if it cannot be read.
    pub fn opens_with(&self, seed: &[u8; 32]) -> Result<bool, LightningError> {
        let Some(sealed) = sqlite::manager(&self.path)? else { return Ok(true) };
        // Private keys are the same on every network.
        let keys = RootKeys::new(&Seed::restored(*seed, 0), bitcoin::Network::Bitcoin);
        Ok(keys.vault()?.open("the channel manager", MANAGER, &sealed).is_ok())
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Takes a lock. A thread that panicked while holding it left whole values: every holder only moves them.
fn lock_of<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
