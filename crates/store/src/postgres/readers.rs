//! The pool of connections that only read.

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType};
use std::time::Duration;
use tallystick_app::port::journal::StoreError;
use tallystick_postgres::PostgresOptions;

use crate::postgres::error::{Result, closed, store_error};

/// Connections in the pool.
const READERS: usize = 8;
/// How long a reader waits for a connection.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Settings of the sessions. A reader that hangs holds nothing up, and ends.
const SETTINGS: &str = "-c default_transaction_read_only=on -c statement_timeout=30s -c jit=off";

/// Settings of the sessions that claim effects. A claim that a crash of the server forgets was never needed: nobody
/// waits for the disk. They pass over what the writer has locked, and so never wait for it either.
pub(crate) const CLAIMER_SETTINGS: &str = "-c synchronous_commit=off -c statement_timeout=10s -c lock_timeout=5s -c jit=off \
    -c enable_seqscan=off";
/// Connections that claim.
const CLAIMERS: usize = 2;

/// Connections of a pool beside the first.
const READERS_APART: usize = 2;

/// Connections that cannot write, each used by one reader at a time. A clone is the same pool.
#[derive(Clone)]
pub(crate) struct Readers {
    pool: Pool,
}

impl Readers {
    /// A pool without connections: they are made as they are needed, and made again when they were lost.
    pub(crate) fn new(options: &PostgresOptions) -> Result<Self> {
        Self::with(options, SETTINGS, READERS)
    }

    /// A smaller one beside it.
    pub(crate) fn apart(options: &PostgresOptions) -> Result<Self> {
        Self::with(options, SETTINGS, READERS_APART)
    }

    /// The same of one connection, for a transaction that lasts.
    pub(crate) fn one(options: &PostgresOptions) -> Result<Self> {
        Self::with(options, SETTINGS, 1)
    }

    /// The same of connections that claim effects, and write nothing else.
    pub(crate) fn claimers(options: &PostgresOptions) -> Result<Self> {
        Self::with(options, CLAIMER_SETTINGS, CLAIMERS)
    }

    fn with(options: &PostgresOptions, settings: &str, connections: usize) -> Result<Self> {
        let manager = Manager::from_config(
            options.config_with(settings),
            options.tls(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(connections)
            .wait_timeout(Some(WAIT_MAX))
            .create_timeout(Some(WAIT_MAX))
            .recycle_timeout(Some(WAIT_MAX))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { pool })
    }

    /// A connection out of the pool.
    pub(crate) async fn get(&self) -> Result<Object> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Closed => closed(),
            PoolError::Backend(error) => store_error(&error),
            PoolError::Timeout(TimeoutType::Wait) => StoreError::Unavailable("all readers are busy".into()),
            other => StoreError::Unavailable(format!("PostgreSQL: {other}")),
        })
    }

    /// Closes all connections that are idle now, and the others when their readers are through.
    pub(crate) fn close(&self) {
        self.pool.close();
    }
}
