//! The file beside its place.

use rusqlite::{Connection, OpenFlags};
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tallystick_app::port::journal::StoreError;

use super::APPLICATION_ID;
use crate::error::Result;
use crate::sqlite::{new_file, or_store, pragma};

/// A file that is not finished, and that nobody else writes.
pub(super) struct Place {
    pub(super) new: PathBuf,
    to: PathBuf,
    file: File,
    finished: bool,
}

/// What is not finished is nobody's: it holds what users wrote.
impl Drop for Place {
    fn drop(&mut self) {
        if !self.finished {
            drop(fs::remove_file(&self.new));
            sweep_beside(&self.new);
        }
    }
}

/// Removes what backups into this folder left that were killed. Those that are being made stay.
///
/// # Errors
/// [`StoreError::Unavailable`] if the folder cannot be read, or a file in it cannot be removed.
pub fn sweep(folder: &Path) -> Result<(), StoreError> {
    let failed = |error| unavailable(folder, &error);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if !path.is_file() || !path.as_os_str().as_encoded_bytes().ends_with(b".backup.new") {
            continue;
        }
        let file = File::open(&path).map_err(failed)?;
        if file.try_lock().is_ok() {
            fs::remove_file(&path).map_err(failed)?;
            sweep_beside(&path);
        }
    }
    Ok(())
}

/// Removes what SQLite puts beside a file. What is not there need not go.
fn sweep_beside(path: &Path) {
    for more in ["-wal", "-shm", "-journal"] {
        drop(fs::remove_file(beside(path, more)));
    }
}

impl Place {
    /// Makes room beside `to`. What an interrupted run left there goes.
    pub(super) fn take(to: &Path) -> Result<Self> {
        not_something_else(to)?;
        let new = beside(to, ".new");
        let failed = |error| unavailable(&new, &error);
        let file = new_file().open(&new).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(unavailable(&new, &"another process writes this backup")),
            Err(TryLockError::Error(error)) => return Err(unavailable(&new, &error)),
        }
        // Until the lock was ours, another run may have given the file its own name: it must not be cut then.
        let (ours, there) = (file.metadata().map_err(failed)?, fs::metadata(&new).map_err(failed)?);
        if (ours.dev(), ours.ino()) != (there.dev(), there.ino()) {
            return Err(unavailable(&new, &"another process has just written this backup"));
        }
        file.set_len(0).map_err(failed)?;
        sweep_beside(&new);
        Ok(Self { new, to: to.to_owned(), file, finished: false })
    }

    /// Makes the file durable and gives it its name. Answers its size.
    pub(super) fn finish(mut self) -> Result<u64> {
        let to = self.to.clone();
        let failed = |error| unavailable(&to, &error);
        self.file.sync_all().map_err(failed)?;
        let bytes = self.file.metadata().map_err(failed)?.len();
        fs::rename(&self.new, &self.to).map_err(failed)?;
        self.finished = true;
        let folder = self.to.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all()).map_err(failed)?;
        Ok(bytes)
    }
}

/// Refuses to replace what is no backup.
fn not_something_else(to: &Path) -> Result<()> {
    if !to.try_exists().map_err(|error| unavailable(to, &error))? {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let found = or_store(Connection::open_with_flags(to, flags)).and_then(|conn| pragma(&conn, "application_id"));
    if found == Ok(APPLICATION_ID) { Ok(()) } else { Err(unavailable(to, &"is there, and is no backup")) }
}

pub(super) fn unavailable(path: &Path, why: &impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("{}: {why}", path.display()))
}

fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    name.into()
}
