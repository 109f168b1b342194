//! The store's tables in one SQLite file.

mod read;
mod rows;
mod schema;
mod write;

use std::path::Path;

use rusqlite::Connection;

use super::backend::{Pair, Reader as _};
use crate::LightningError;
pub(crate) use read::sealed_preimages;

/// The file's name in the node's directory.
pub const FILE_NAME: &str = "lightning.sqlite";

/// Opens the file, makes it if there is none, and brings its tables to the newest version.
pub(super) fn open(path: &Path) -> Result<Pair, LightningError> {
    let mut writer = Connection::open(path)?;
    schema::prepare(&writer)?;
    schema::migrate(&mut writer)?;
    Ok((Box::new(write::SqliteWriter(writer)), Box::new(read::SqliteReader(open_reader(path)?))))
}

/// Brings the tables of a file that no node has open to the newest version, and writes the write-ahead log back into it.
/// Waits for readers, and refuses if one reads on: what is newest would be beside the file and not in it.
pub(super) fn settle(path: &Path) -> Result<(), LightningError> {
    let mut writer = Connection::open(path)?;
    schema::prepare(&writer)?;
    schema::migrate(&mut writer)?;
    let busy: bool = writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy { Err(LightningError::Read(path.to_owned())) } else { Ok(()) }
}

/// The sealed channel manager in a file.
pub(super) fn manager(path: &Path) -> Result<Option<Vec<u8>>, LightningError> {
    read::SqliteReader(open_reader(path)?).manager()
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> Result<Connection, LightningError> {
    let reader = Connection::open(path)?;
    reader.pragma_update(None, "query_only", true)?;
    reader.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(reader)
}
