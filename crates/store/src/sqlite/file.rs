//! The files: made for the owner alone, and known under one name.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tallystick_app::port::journal::StoreError;

use crate::sqlite::error::Result;

/// Readable and writable for the owner alone: the journal holds what users said.
const OWNER_ALONE: u32 = 0o600;

/// How files that may be made are opened.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(OWNER_ALONE);
    options
}

/// Makes the database's file if it is not there, before SQLite would make it for everybody. Answers its name with all
/// links resolved, so that whoever opens it under another name finds the same lock.
pub(crate) fn make(path: &Path) -> Result<PathBuf> {
    let made = options().open(path).and_then(|_| path.canonicalize());
    made.map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display())))
}
