//! The pool of connections that only read.

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, TimeoutType};
use std::time::Duration;
use tallystick_app::port::journal::StoreError;

use crate::postgres::error::{Result, closed, store_error};
use crate::postgres::options::PostgresOptions;

/// Connections in the pool.
const READERS: usize = 8;
/// How long a reader waits for a connection.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// Settings of the sessions. A reader that hangs holds nothing up, and ends.
const SETTINGS: &str = "-c default_transaction_read_only=on -c statement_timeout=30s -c jit=off";

/// Connections that cannot write, each used by one reader at a time.
pub(crate) struct Readers {
    pool: Pool,
}

impl Readers {
    /// A pool without connections: they are made as they are needed, and made again when they were lost.
    pub(crate) fn new(options: &PostgresOptions) -> Result<Self> {
        let manager = Manager::from_config(
            options.config_with(SETTINGS),
            options.tls(),
            ManagerConfig { recycling_method: RecyclingMethod::Fast },
        );
        let pool = Pool::builder(manager)
            .max_size(READERS)
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
