//! A journal on SQLite that nobody else opens meanwhile.

use std::path::Path;
use tallystick_app::port::journal::StoreError;

use crate::chain::Head;
use crate::error::Result;
use crate::sqlite::{Ledger, LockFile, cut_log, open_writer, own_file, reader, verify_page};

/// The journal, whole and in one file.
pub(super) struct Stopped {
    pub(super) facts: u64,
    /// Nobody else opens it as long as this lives.
    _lock: LockFile,
}

impl Stopped {
    /// Takes the journal's lock, brings it to the newest version and checks it from its first fact. Blocks.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let path = own_file(path)?;
        let lock = LockFile::take(&path)?;
        drop(Ledger::new(open_writer(&path)?)?);
        let conn = reader(&path)?;
        let mut head = Head::START;
        loop {
            let next = verify_page(&conn, head)?;
            if next == head {
                break;
            }
            head = next;
        }
        drop(conn);
        // What stands beside the file is written back: it may be renamed.
        if !cut_log(&path)? {
            return Err(StoreError::Unavailable("the write-ahead log is being read: end whoever reads it".into()));
        }
        Ok(Self { facts: head.seq, _lock: lock })
    }
}
