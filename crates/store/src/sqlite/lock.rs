//! One process at a time.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use tallystick_app::port::journal::StoreError;

use crate::sqlite::error::Result;
use crate::sqlite::file;

/// The exclusive advisory lock on `<database>.lock`. The system gives it up when the process ends, however it ends;
/// the empty file stays, because deleting it would let two processes lock two files of one name.
pub(crate) struct LockFile {
    file: File,
}

impl LockFile {
    /// Takes the lock, without waiting.
    pub(crate) fn take(database: &Path) -> Result<Self> {
        let path = beside(database);
        let unavailable = |why: &str| StoreError::Unavailable(format!("{}: {why}", path.display()));
        let file = file::options().open(&path).map_err(|error| unavailable(&error.to_string()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(unavailable("another process has this database open; stop it first")),
            Err(TryLockError::Error(error)) => Err(unavailable(&error.to_string())),
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Closing alone is not enough: a process that another thread starts at this moment holds the file open too,
        // until it has become another program. If this fails, closing is what is left.
        drop(self.file.unlock());
    }
}

fn beside(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    path.into()
}
