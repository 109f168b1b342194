//! Making a backup.

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags, params};
use std::path::Path;
use tallystick_app::port::journal::StoreError;
use tallystick_core::Digest32;

use super::place::{Place, unavailable};
use super::{APPLICATION_ID, BackedUp, ENCLOSED_BYTES_MAX, ENCLOSED_MAX, Enclosed, seal};
use crate::chain::{self, Head};
use crate::error::Result;
use crate::sqlite::{check_pages, facts, identify, or_store, reader, verify_page};

/// Pages between two words of progress: 4 MiB.
const PAGES: i32 = 1024;

/// Nothing is kept beside the file, and nothing waits for the disk before the end does.
const SETTINGS: &str = "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA trusted_schema = OFF";
const SEAL: &str = "
    CREATE TABLE backup_files (name TEXT PRIMARY KEY NOT NULL, bytes BLOB NOT NULL) STRICT;
    CREATE TABLE backup_seal (one INTEGER PRIMARY KEY CHECK (one = 1), digest BLOB NOT NULL, code BLOB NOT NULL) STRICT;";

/// Copies the journal as it is at this moment into the file `to`, also while a node writes to it, checks the copy from
/// its first fact, and encloses more. `authenticate` makes a code of the digest of everything in it. A backup that is there
/// is replaced, by a whole one or not at all. `progress` hears how many pages are copied, and how many there are. Blocks.
///
/// The journal's write-ahead log is not cut while the copy is made, and grows meanwhile.
///
/// # Errors
/// [`StoreError::Unavailable`] if there is no journal, the file cannot be written, another process writes it, or
/// something else lies in its place; [`StoreError::Corrupt`] if the journal is damaged; [`StoreError::Limit`] if too
/// much is enclosed.
pub fn back_up(
    journal: &Path,
    to: &Path,
    enclosed: &[Enclosed],
    authenticate: impl FnOnce(Digest32) -> [u8; 32],
    progress: impl FnMut(u64, u64),
) -> Result<BackedUp, StoreError> {
    if enclosed.len() > ENCLOSED_MAX || enclosed.iter().any(|one| one.bytes.len() > ENCLOSED_BYTES_MAX) {
        return Err(StoreError::Limit(format!("{ENCLOSED_MAX} things of {ENCLOSED_BYTES_MAX} bytes can be enclosed")));
    }
    let source = reader(journal)?;
    identify(&source, journal)?;
    let place = Place::take(to)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut copy = or_store(Connection::open_with_flags(&place.new, flags))?;
    or_store(copy.execute_batch(SETTINGS))?;
    pages(&source, &mut copy, progress)?;
    drop(source);
    // The copy says that it has a write-ahead log, as its source does.
    let mode: String = or_store(copy.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0)))?;
    if mode != "delete" {
        return Err(unavailable(&place.new, &"cannot do without a write-ahead log"));
    }
    or_store(copy.execute_batch(SETTINGS))?;
    let head = check(&copy)?;
    enclose(&mut copy, enclosed, authenticate)?;
    or_store(copy.close().map_err(|(_, error)| error))?;
    let bytes = place.finish()?;
    Ok(BackedUp { facts: head.seq, head: head.hash, bytes })
}

fn pages(source: &Connection, copy: &mut Connection, mut progress: impl FnMut(u64, u64)) -> Result<()> {
    // One moment for all pages. Without it the copy would begin again whenever the node writes, and never end.
    or_store(source.execute_batch("BEGIN; SELECT seq FROM head"))?;
    let backup = or_store(Backup::new(source, copy))?;
    loop {
        let step = or_store(backup.step(PAGES))?;
        let at = backup.progress();
        let (all, left) = (u64::try_from(at.pagecount).unwrap_or(0), u64::try_from(at.remaining).unwrap_or(0));
        progress(all.saturating_sub(left), all);
        match step {
            StepResult::Done => break,
            StepResult::More => {}
            _ => return Err(StoreError::Unavailable("the journal, or its copy, is locked".into())),
        }
    }
    drop(backup);
    or_store(source.execute_batch("ROLLBACK"))
}

/// Recomputes the chain of the copy.
fn check(copy: &Connection) -> Result<Head> {
    check_pages(copy)?;
    let mut head = Head::START;
    loop {
        let next = verify_page(copy, head)?;
        if next == head {
            break;
        }
        head = next;
    }
    chain::check_end(head, facts::head(copy)?)?;
    Ok(head)
}

fn enclose(
    copy: &mut Connection,
    enclosed: &[Enclosed],
    authenticate: impl FnOnce(Digest32) -> [u8; 32],
) -> Result<()> {
    let transaction = or_store(copy.transaction())?;
    or_store(transaction.execute_batch(SEAL))?;
    for Enclosed { name, bytes } in enclosed {
        let insert = "INSERT INTO backup_files (name, bytes) VALUES (?1, ?2)";
        or_store(transaction.execute(insert, params![name, bytes]))?;
    }
    let digest = seal::of(&transaction)?;
    let insert = "INSERT INTO backup_seal (one, digest, code) VALUES (1, ?1, ?2)";
    or_store(transaction.execute(insert, [digest.0, authenticate(digest)]))?;
    or_store(transaction.pragma_update(None, "application_id", APPLICATION_ID))?;
    or_store(transaction.commit())
}
