//! The databases that the tests run on, and what is done to them behind the store's back.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use tallystick_postgres::tokio_postgres::{Client, NoTls, Row};
use tallystick_postgres::{Lease, Leases, PostgresOptions};
use tallystick_testkit::Cluster;
use tempfile::TempDir;

use super::super::{Notices, SQLITE_FILE, Store};
use crate::LightningError;
use crate::config::Database;

/// Everything at one moment, sealed as it is.
pub(super) struct Snapshot {
    pub(super) manager: Option<Vec<u8>>,
    pub(super) monitors: Vec<(String, Vec<u8>)>,
    pub(super) updates: Vec<(String, i64, Vec<u8>)>,
    pub(super) rows: i64,
}

/// A database.
pub(super) struct Place {
    dir: PathBuf,
    /// Removes the folder afterwards.
    _own: Option<TempDir>,
    postgres: Option<Server>,
    /// SQLite's eyes.
    watcher: Mutex<Option<Connection>>,
}

struct Server {
    runtime: Option<tokio::runtime::Runtime>,
    options: PostgresOptions,
    client: Mutex<Client>,
    lease: Mutex<Lease>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may be dropped by a test that runs on a runtime itself.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Runs on a thread of its own: the test may be running on a runtime.
fn apart<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| scope.spawn(work).join().unwrap())
}

impl Place {
    pub(super) fn sqlite() -> Arc<Self> {
        Self::new(None)
    }

    /// The same in a folder of somebody else's.
    pub(super) fn sqlite_in(dir: PathBuf) -> Arc<Self> {
        Arc::new(Self { dir, _own: None, postgres: None, watcher: Mutex::default() })
    }

    fn new(postgres: Option<Server>) -> Arc<Self> {
        let own = tempfile::tempdir().unwrap();
        let dir = own.path().to_owned();
        Arc::new(Self { dir, _own: Some(own), postgres, watcher: Mutex::default() })
    }

    pub(super) fn postgres() -> Arc<Self> {
        Self::postgres_at(&Cluster::shared().database())
    }

    /// The same in a database of somebody else's.
    pub(super) fn postgres_at(address: &str) -> Arc<Self> {
        let options = PostgresOptions::try_new(address).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (client, lease) = apart(|| {
            runtime.block_on(async {
                let (client, connection) = tallystick_postgres::tokio_postgres::connect(address, NoTls).await.unwrap();
                tokio::spawn(connection);
                let mut leases = Leases::open(options.clone(), "a test".to_owned()).await.unwrap();
                (client, leases.take("lightning", Duration::ZERO).await.unwrap().unwrap())
            })
        });
        let (client, lease) = (Mutex::new(client), Mutex::new(lease));
        let server = Server { runtime: Some(runtime), options, client, lease };
        Self::new(Some(server))
    }

    pub(super) fn open(&self) -> Result<(Arc<Store>, Notices), LightningError> {
        let database = self.postgres.as_ref().map_or(Database::Sqlite, |server| Database::Postgres {
            options: Box::new(server.options.clone()),
            lease: *server.lease.lock().unwrap(),
        });
        Store::open(&self.dir, &database, super::vault())
    }

    /// Opens it with a lease that somebody else has taken since.
    pub(super) fn open_with_old_lease(&self) -> Result<(), LightningError> {
        let server = self.postgres.as_ref().unwrap();
        let lease = *server.lease.lock().unwrap();
        let lease = Lease { token: lease.token - 1, ..lease };
        let database = Database::Postgres { options: Box::new(server.options.clone()), lease };
        Store::open(&self.dir, &database, super::vault()).map(|_| ())
    }

    /// Somebody else takes the lease, whose time is over.
    pub(super) fn take_lease(&self) {
        let server = self.postgres.as_ref().unwrap();
        let taken = apart(|| {
            server.run(async |_| {
                let mut leases = Leases::open(server.options.clone(), "another".to_owned()).await.unwrap();
                leases.take("lightning", Duration::from_secs(60)).await.unwrap().unwrap()
            })
        });
        *server.lease.lock().unwrap() = taken;
    }

    /// The database is put back to before the lease was taken, and somebody else takes it.
    pub(super) fn go_back_and_take_lease(&self) {
        self.execute("", "DELETE FROM leases");
        self.take_lease();
    }

    /// The server waits for a synchronous standby that is not there, a moment later.
    pub(super) fn lose_standby(&self) {
        self.execute("", "ALTER SYSTEM SET synchronous_standby_names = 'ghost'");
        self.execute("", "SELECT pg_reload_conf()");
    }

    /// Breaks off what waits for a standby; answers whether anything did.
    pub(super) fn break_off(&self) -> bool {
        const CANCEL: &str =
            "SELECT count(pg_cancel_backend(pid)) > 0 FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        let server = self.postgres.as_ref().unwrap();
        apart(|| server.run(async |client| client.query_one(CANCEL, &[]).await.unwrap().get(0)))
    }

    /// The last statement of a flush fails from now on, after manager and monitors were written.
    pub(super) fn break_notices(&self) {
        self.execute(
            "CREATE TRIGGER broken BEFORE INSERT ON notices BEGIN SELECT RAISE(ABORT, 'broken'); END",
            "ALTER TABLE lightning_notices ADD CONSTRAINT broken CHECK (number < 0) NOT VALID",
        );
    }

    /// It does not any more.
    pub(super) fn mend_notices(&self) {
        self.execute("DROP TRIGGER broken", "ALTER TABLE lightning_notices DROP CONSTRAINT broken");
    }

    /// A later program has been at work.
    pub(super) fn age(&self) {
        self.execute(
            "PRAGMA user_version = 1000",
            "UPDATE tallystick_parts SET version = 1000 WHERE part = 'lightning'",
        );
    }

    fn execute(&self, sqlite: &str, postgres: &str) {
        match &self.postgres {
            None => Connection::open(self.dir.join(SQLITE_FILE)).unwrap().execute_batch(sqlite).unwrap(),
            Some(server) => apart(|| server.run(async |client| client.batch_execute(postgres).await.unwrap())),
        }
    }

    /// What SQLite finds wrong in its file; `ok` if nothing.
    pub(super) fn integrity(&self) -> String {
        let file = Connection::open(self.dir.join(SQLITE_FILE)).unwrap();
        file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        match &self.postgres {
            None => self.sqlite_snapshot(),
            Some(server) => apart(|| server.run(async |client| postgres_snapshot(client).await)),
        }
    }

    fn sqlite_snapshot(&self) -> Snapshot {
        let mut watcher = self.watcher.lock().unwrap();
        let open = || Connection::open(self.dir.join(SQLITE_FILE)).unwrap();
        let snapshot = watcher.get_or_insert_with(open).transaction().unwrap();
        let manager = snapshot.query_row("SELECT body FROM manager", [], |row| row.get(0)).optional().unwrap();
        let mut whole = snapshot.prepare("SELECT name, body FROM monitors").unwrap();
        let monitors = whole.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let mut later =
            snapshot.prepare("SELECT name, number, body FROM monitor_updates ORDER BY name, number").unwrap();
        let updates = later.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        Snapshot {
            manager,
            monitors: monitors.map(Result::unwrap).collect(),
            updates: updates.map(Result::unwrap).collect(),
            rows: snapshot.query_row("SELECT COUNT(*) FROM payments", [], |row| row.get(0)).unwrap(),
        }
    }
}

impl Server {
    fn run<T>(&self, work: impl AsyncFnOnce(&Client) -> T) -> T {
        let client = self.client.lock().unwrap();
        self.runtime.as_ref().unwrap().block_on(work(&client))
    }
}

async fn postgres_snapshot(client: &Client) -> Snapshot {
    let rows = async |sql: &str| -> Vec<Row> { client.query(sql, &[]).await.unwrap() };
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.unwrap();
    let manager = rows("SELECT body FROM lightning_manager").await;
    let monitors = rows("SELECT name, body FROM lightning_monitors").await;
    let updates = rows("SELECT name, number, body FROM lightning_monitor_updates ORDER BY name, number").await;
    let payments = rows("SELECT count(*) FROM lightning_payments").await;
    client.batch_execute("COMMIT").await.unwrap();
    Snapshot {
        manager: manager.first().map(|row| row.get(0)),
        monitors: monitors.iter().map(|row| (row.get(0), row.get(1))).collect(),
        updates: updates.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect(),
        rows: payments[0].get(0),
    }
}
