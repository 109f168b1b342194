//! Unpacking a backup.

use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::Path;
use tallystick_app::port::journal::StoreError;

use super::place::unavailable;
use super::{APPLICATION_ID, ENCLOSED_BYTES_MAX, ENCLOSED_MAX, Enclosed, Unpacked, seal};
use crate::error::Result;
use crate::sqlite::{self, check_pages, identify, new_file, or_store, pragma};

/// What a SQLite file begins with: magic, page size at 16, pages at 28, `application_id` at 68, all big-endian
/// (the SQLite file format, section 1.3).
const HEADER_BYTES: usize = 100;
const MAGIC: &[u8] = b"SQLite format 3\0";
const FILES: &str = "SELECT name, bytes FROM backup_files ORDER BY name";
const TOO_MUCH: &str = "SELECT count(*) > ?1 OR coalesce(max(length(bytes)), 0) > ?2 FROM backup_files";

/// Makes the file `journal` out of a backup, which stays as it is, and answers what was enclosed. Blocks.
///
/// Every value is compared with what was backed up, and nothing else is: whoever goes on with it checks who made it, the
/// journal's chain, and that it is not older than what others have seen of it.
///
/// # Errors
/// [`StoreError::Unavailable`] if the backup cannot be read, is none, or was made by a newer program, or if the journal
/// is there already or cannot be written; [`StoreError::Corrupt`] if the backup is damaged.
pub fn unpack(backup: &Path, journal: &Path) -> Result<Unpacked, StoreError> {
    let mut from = File::open(backup).map_err(|error| unavailable(backup, &error))?;
    let bytes = size(backup, &mut from)?;
    let failed = |error| unavailable(journal, &error);
    let mut to = new_file().create_new(true).open(journal).map_err(failed)?;
    std::io::copy(&mut from.take(bytes), &mut to).map_err(failed)?;
    let unpacked = take_out(backup, journal)?;
    to.sync_all().map_err(failed)?;
    Ok(unpacked)
}

/// The size of a file that says that it is a backup, and is as long as it says: nothing else is copied.
fn size(backup: &Path, from: &mut File) -> Result<u64> {
    let failed = |error| unavailable(backup, &error);
    let metadata = from.metadata().map_err(failed)?;
    let mut header = [0; HEADER_BYTES];
    // A device or a pipe could go on for ever.
    let whole = metadata.is_file() && from.read_exact(&mut header).is_ok();
    if !whole || !header.starts_with(MAGIC) || i64::try_from(number(&header[68..72])) != Ok(APPLICATION_ID) {
        return Err(unavailable(backup, &"is no backup"));
    }
    let page = match number(&header[16..18]) {
        // It does not fit into two bytes.
        1 => 65_536,
        page => page,
    };
    if metadata.len() != page * number(&header[28..32]) {
        return Err(StoreError::Corrupt(format!("{} is not as long as it says", backup.display())));
    }
    from.rewind().map_err(failed)?;
    Ok(metadata.len())
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn take_out(backup: &Path, journal: &Path) -> Result<Unpacked> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = or_store(Connection::open_with_flags(journal, flags))?;
    or_store(conn.execute_batch(
        "PRAGMA journal_mode = MEMORY; PRAGMA trusted_schema = OFF; PRAGMA secure_delete = ON; PRAGMA synchronous = OFF",
    ))?;
    if pragma(&conn, "application_id")? != APPLICATION_ID {
        return Err(unavailable(backup, &"is no backup"));
    }
    check_pages(&conn)?;
    if !or_store(conn.column_exists(None, "backup_seal", "code"))? {
        return Err(unavailable(backup, &"was made by an older program, and nothing shows who made it"));
    }
    let seal = conn.query_row("SELECT digest, code FROM backup_seal", [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (sealed, code): ([u8; 32], [u8; 32]) = or_store(seal)?;
    let digest = seal::of(&conn)?;
    if digest.0 != sealed {
        return Err(StoreError::Corrupt(format!("{} does not hold what was backed up", backup.display())));
    }
    let enclosed = files(&conn)?;
    let transaction = or_store(conn.transaction())?;
    or_store(transaction.execute_batch("DROP TABLE backup_files; DROP TABLE backup_seal"))?;
    or_store(transaction.pragma_update(None, "application_id", sqlite::APPLICATION_ID))?;
    or_store(transaction.commit())?;
    identify(&conn, backup)?;
    or_store(conn.close().map_err(|(_, error)| error))?;
    Ok(Unpacked { enclosed, digest, code })
}

fn files(conn: &Connection) -> Result<Vec<Enclosed>> {
    let limits = [ENCLOSED_MAX, ENCLOSED_BYTES_MAX].map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let too_much: bool = or_store(conn.query_row(TOO_MUCH, limits, |row| row.get(0)))?;
    if too_much {
        return Err(StoreError::Limit("the backup encloses more than it may".into()));
    }
    let mut statement = or_store(conn.prepare(FILES))?;
    let found = or_store(statement.query_map([], |row| Ok(Enclosed { name: row.get(0)?, bytes: row.get(1)? })))?;
    or_store(found.collect())
}
