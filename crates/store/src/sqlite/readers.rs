//! The pool of read-only connections.

use rusqlite::Connection;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tallystick_app::port::journal::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::sqlite::error::{Result, closed};
use crate::sqlite::schema;

/// Connections in the pool.
const READERS: u32 = 4;

type Idle = Arc<Mutex<Vec<Connection>>>;

/// Read-only connections, each used by one reader at a time.
pub(crate) struct Readers {
    idle: Idle,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// Opens all of them. The schema must be there.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let idle = (0..READERS).map(|_| schema::open_reader(path)).collect::<Result<Vec<_>>>()?;
        Ok(Self { permits: Arc::new(Semaphore::new(idle.len())), idle: Arc::new(Mutex::new(idle)) })
    }

    /// Runs `work` on a connection, on a thread that may block.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let idle = Arc::clone(&self.idle);
        tokio::task::spawn_blocking(move || {
            let lease = Lease::take(idle, permit)?;
            work(lease.conn.as_ref().ok_or_else(closed)?)
        })
        .await
        .map_err(|error| StoreError::Unavailable(error.to_string()))?
    }

    /// Waits for the readers under way, and closes all connections.
    pub(crate) async fn close(&self) {
        let all = self.permits.acquire_many(READERS).await;
        self.permits.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        drop(all);
    }
}

/// A connection out of the pool; goes back when dropped, also by a panic.
struct Lease {
    conn: Option<Connection>,
    idle: Idle,
    _permit: OwnedSemaphorePermit,
}

impl Lease {
    fn take(idle: Idle, permit: OwnedSemaphorePermit) -> Result<Self> {
        let conn = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if conn.is_none() {
            return Err(closed());
        }
        Ok(Self { conn, idle, _permit: permit })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).extend(self.conn.take());
    }
}
