//! The mark in a SQLite file whose content was copied: where its node went. It is written before the copy is committed, and
//! stays: what has it is not used again, but for the end of that same copy.

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use std::path::Path;
use std::time::Duration;
use tallystick_app::port::journal::StoreError;
use tallystick_core::Timestamp;
use uuid::Uuid;

use crate::error::Result;
use crate::sqlite::{cut_log, or_store, reader};

/// The mark's table. It is not copied.
pub(super) const TABLE: &str = "moved_to";
const MAKE: &str = "CREATE TABLE IF NOT EXISTS moved_to (one INTEGER PRIMARY KEY CHECK (one = 1),
    copy BLOB NOT NULL CHECK (length(copy) = 16), place TEXT NOT NULL, at INTEGER NOT NULL) STRICT";
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the node of a SQLite file went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedTo {
    /// The copy that took it there: the target knows it until it is whole.
    pub(super) copy: Uuid,
    /// The database and its host, without a password.
    pub place: String,
    /// When.
    pub at: Timestamp,
}

impl MovedTo {
    /// Why a file with this mark is not used.
    #[must_use]
    pub fn refusal(&self, file: &Path) -> StoreError {
        StoreError::Moved(format!(
            "{} is what `tally store copy` left when it moved this node, to {} at {}. What is here is older: a second node on it \
             could lose its channels' money. Run the node with [store] url naming that database; if the copy did not come to \
             its end, give the same command again. `tally store take-back` is the way back from one that failed (docs/runbooks/backup-and-restore.md)",
            file.display(),
            self.place,
            self.at
        ))
    }
}

/// Where the node of a SQLite file went; nothing if it is here, or there is no such file. Blocks.
///
/// # Errors
/// [`StoreError::Unavailable`] if the file cannot be read.
pub fn moved_to(path: &Path) -> Result<Option<MovedTo>, StoreError> {
    if !path.is_file() {
        return Ok(None);
    }
    let conn = reader(path)?;
    if !or_store(conn.table_exists(None, TABLE))? {
        return Ok(None);
    }
    let read = conn.query_row("SELECT copy, place, at FROM moved_to", [], |row| {
        let copy = Uuid::from_bytes(row.get::<_, [u8; 16]>(0)?);
        Ok(MovedTo { copy, place: row.get(1)?, at: Timestamp::from_millis(row.get(2)?) })
    });
    or_store(read.optional())
}

/// Marks a file that nobody else uses. On disk, and in the file itself, when it answers. Blocks.
pub(super) fn mark(path: &Path, moved: &MovedTo) -> Result<()> {
    let mut conn = writer(path)?;
    let transaction = or_store(conn.transaction())?;
    or_store(transaction.execute_batch(MAKE))?;
    let MovedTo { copy, place, at } = moved;
    let insert = "INSERT OR REPLACE INTO moved_to (one, copy, place, at) VALUES (1, ?1, ?2, ?3)";
    or_store(transaction.execute(insert, params![copy.as_bytes(), place, at.as_millis()]))?;
    or_store(transaction.commit())?;
    written_back(conn, path)
}

/// Takes a file's mark away, if it has one. On disk, and in the file itself, when it answers. Blocks.
pub(super) fn unmark(path: &Path) -> Result<()> {
    let conn = writer(path)?;
    or_store(conn.execute_batch("DROP TABLE IF EXISTS moved_to"))?;
    written_back(conn, path)
}

fn writer(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = or_store(Connection::open_with_flags(path, flags))?;
    or_store(conn.busy_timeout(BUSY_TIMEOUT))?;
    or_store(conn.execute_batch("PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF"))?;
    Ok(conn)
}

/// A file that gets another name leaves its write-ahead log behind.
fn written_back(conn: Connection, path: &Path) -> Result<()> {
    drop(conn);
    if cut_log(path)? { Ok(()) } else { Err(StoreError::Unavailable(format!("{} is being read", path.display()))) }
}
