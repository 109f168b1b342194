//! Connections, their settings, and migrations.

use rusqlite::{Connection, OpenFlags, TransactionBehavior, config::DbConfig};
use std::{collections::BTreeSet, path::Path, time::Duration};
use tallystick_app::port::journal::StoreError;

use crate::evidence::{ORPHANS, orphan};
use crate::sqlite::error::{OrStore, Result};
use crate::sqlite::evidence;

/// All migrations, in order; the database's `user_version` counts those that it has. A released one never changes.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/sqlite/0001_journal.sql"),
    include_str!("../../migrations/sqlite/0002_claims.sql"),
    include_str!("../../migrations/sqlite/0003_evidence.sql"),
    include_str!("../../migrations/sqlite/0004_evidence_keys.sql"),
];
/// The migration that adds hashes of keys, which SQL alone cannot make.
const KEYS_HASHED: usize = 4;

/// How many there are.
pub(crate) fn migrations() -> u64 {
    u64::try_from(MIGRATIONS.len()).unwrap_or(u64::MAX)
}

/// `application_id` of our databases (`TLYS`), so that a wrong path cannot make a journal out of somebody else's file.
pub(crate) const APPLICATION_ID: i64 = 0x544c_5953;

/// How long a statement waits for another connection's lock before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Prepared statements kept per connection: more than there are in this crate.
const STATEMENTS_MAX: usize = 96;

/// Opens the connection that writes, and brings the schema up to date.
pub(crate) fn open_writer(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags).or_store()?;
    settings(&conn)?;
    identify(&conn, path)?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).or_store()?;
    if mode != "wal" {
        return Err(StoreError::Unavailable(format!("{} cannot have a write-ahead log here", path.display())));
    }
    // FULL: each COMMIT waits until the log is on disk. The checkpoint limit is in pages of 4 KiB: fewer, larger
    // checkpoints cost less per commit; the log is cut back to the size limit after one. What is erased is overwritten.
    conn.execute_batch(
        "PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON; PRAGMA cache_size = -65536;
         PRAGMA wal_autocheckpoint = 4000; PRAGMA journal_size_limit = 67108864;",
    )
    .or_store()?;
    migrate(&mut conn)?;
    Ok(conn)
}

/// Opens a connection that cannot write.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    reader(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Opens a connection that does not write, and checks constraints when it is asked for damage: SQLite leaves them out where it
/// could not write. Whoever closes it last leaves the write-ahead log as it is.
pub(crate) fn open_checker(path: &Path) -> Result<Connection> {
    let conn = reader(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).or_store()?;
    Ok(conn)
}

fn reader(path: &Path, access: OpenFlags) -> Result<Connection> {
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX).or_store()?;
    settings(&conn)?;
    conn.execute_batch("PRAGMA query_only = ON").or_store()?;
    Ok(conn)
}

/// Writes the write-ahead log into the database, and cuts it to nothing. Waits for readers; false if one reads on.
pub(crate) fn cut_log(path: &Path) -> Result<bool> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).or_store()?;
    settings(&conn)?;
    let busy: bool = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).or_store()?;
    Ok(!busy)
}

fn settings(conn: &Connection) -> Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT).or_store()?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
    // Plans depend on the schema alone. Without this SQLite prepares a statement again for many a newly bound value.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).or_store()?;
    conn.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY").or_store()
}

/// Refuses a database that is not ours, and one that a later program wrote.
pub(crate) fn identify(conn: &Connection, path: &Path) -> Result<()> {
    let refuse = |why: String| Err(StoreError::Unavailable(format!("{} {why}", path.display())));
    let tables: u64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).or_store()?;
    if tables > 0 && pragma(conn, "application_id")? != APPLICATION_ID {
        return refuse("is a database of another program".into());
    }
    let version = pragma(conn, "user_version")?;
    let known = MIGRATIONS.len();
    if usize::try_from(version).is_ok_and(|version| version <= known) {
        return Ok(());
    }
    refuse(format!("has schema version {version}, and this program knows {known} at most: run a newer one"))
}

/// Applies what is missing, each migration in a transaction of its own.
fn migrate(conn: &mut Connection) -> Result<()> {
    let applied = usize::try_from(pragma(conn, "user_version")?).unwrap_or(usize::MAX);
    for (index, sql) in MIGRATIONS.iter().enumerate().skip(applied) {
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).or_store()?;
        transaction.execute_batch(sql).or_store()?;
        if index + 1 == KEYS_HASHED {
            evidence::hash_all_keys(&transaction).or_store()?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION_ID).or_store()?;
        transaction.pragma_update(None, "user_version", u64::try_from(index + 1).unwrap_or(u64::MAX)).or_store()?;
        transaction.commit().or_store()?;
    }
    Ok(())
}

/// Checks pages, tables and indexes, and that each is defined as the migrations define it, with nothing of others on them: a bit
/// that turns in a definition, or a trigger, changes what a write means.
pub(crate) fn check_structure(conn: &Connection) -> Result<()> {
    check_pages(conn)?;
    if conn.prepare(ORPHANS).and_then(|mut statement| statement.exists([])).or_store()? {
        return Err(orphan());
    }
    let mut fresh = Connection::open_in_memory().or_store()?;
    migrate(&mut fresh)?;
    let (found, ours) = (objects(conn)?, objects(&fresh)?);
    if let Some([name, ..]) = ours.difference(&found).next() {
        let name = name.as_deref().unwrap_or_default();
        return Err(StoreError::Corrupt(format!("{name} is not defined as this program defines it")));
    }
    let is_on_ours = |[_, _, table, _]: &&[Option<String>; 4]| ours.iter().any(|[_, _, own, _]| own == table);
    match found.difference(&ours).find(is_on_ours) {
        None => Ok(()),
        Some([name, kind, table, _]) => {
            let [name, kind, table] = [name, kind, table].map(|text| text.as_deref().unwrap_or_default());
            Err(StoreError::Corrupt(format!("the {kind} {name} on {table} is none of this program's")))
        }
    }
}

/// Has SQLite look at every page, row and index.
pub(crate) fn check_pages(conn: &Connection) -> Result<()> {
    let told: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).or_store()?;
    if told == "ok" { Ok(()) } else { Err(StoreError::Corrupt(told)) }
}

/// Tables, indexes and triggers: name, type, table and definition. What others put beside them has tables of its own.
fn objects(conn: &Connection) -> Result<BTreeSet<[Option<String>; 4]>> {
    let mut statement = conn.prepare("SELECT name, type, tbl_name, sql FROM sqlite_schema").or_store()?;
    let rows = statement.query_map([], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?])).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// A number that the database says of itself.
pub(crate) fn pragma(conn: &Connection, name: &str) -> Result<i64> {
    conn.pragma_query_value(None, name, |row| row.get(0)).or_store()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the promise of durability rests on, as the connection itself tells it.
    #[test]
    fn the_writer_waits_for_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let conn = open_writer(&dir.path().join("journal.db")).unwrap();
        let mode: String = conn.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
        assert_eq!(mode, "wal");
        assert_eq!(pragma(&conn, "synchronous"), Ok(2), "FULL");
        assert_eq!(pragma(&conn, "foreign_keys"), Ok(1));
        assert_eq!(pragma(&conn, "trusted_schema"), Ok(0));
    }

    #[test]
    fn readers_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal.db");
        drop(open_writer(&path).unwrap());
        let conn = open_reader(&path).unwrap();
        assert_eq!(pragma(&conn, "query_only"), Ok(1));
        assert!(conn.execute_batch("DELETE FROM tasks").is_err());
    }
}
