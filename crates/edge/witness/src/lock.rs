//! One process at a time: an advisory lock on `witness.lock`.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use crate::StateError;

/// The lock. The system gives it up when the process ends, however it ends; the empty file stays, because deleting it
/// would let two processes lock two files of one name.
#[derive(Debug)]
pub struct WitnessLock {
    file: File,
}

impl WitnessLock {
    /// Takes the lock of a witness's directory, without waiting.
    ///
    /// # Errors
    /// [`StateError::Locked`], [`StateError::Io`].
    pub fn take(dir: &Path) -> Result<Self, StateError> {
        let path = dir.join("witness.lock");
        let mut options = OpenOptions::new();
        let opened = options.write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(StateError::io(path.display().to_string()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => Err(StateError::Locked(dir.display().to_string())),
            Err(TryLockError::Error(source)) => Err(StateError::Io { what: path.display().to_string(), source }),
        }
    }
}

impl Drop for WitnessLock {
    fn drop(&mut self) {
        // A process that is started at this moment holds the file open too, until it has become another program: closing
        // alone would not be enough. If this fails, closing is what is left.
        drop(self.file.unlock());
    }
}
