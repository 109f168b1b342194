//! Tables and migrations.

use rusqlite::Connection;

use crate::LightningError;

/// One script per version, applied in order; `PRAGMA user_version` counts them. A script that was released never changes.
const MIGRATIONS: &[&str] = &["
    CREATE TABLE manager (id INTEGER PRIMARY KEY CHECK (id = 0), body BLOB NOT NULL) STRICT;
    CREATE TABLE monitors (
        name TEXT PRIMARY KEY, archived INTEGER NOT NULL DEFAULT 0, body BLOB NOT NULL
    ) STRICT;
    CREATE TABLE monitor_updates (
        name TEXT NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (name, number)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE kv (
        spot1 TEXT NOT NULL, spot2 TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL,
        PRIMARY KEY (spot1, spot2, key)
    ) STRICT;
    CREATE TABLE payments (
        outbound INTEGER NOT NULL, id BLOB NOT NULL, kind INTEGER NOT NULL, hash BLOB NOT NULL,
        amount INTEGER NOT NULL, fee INTEGER, status INTEGER NOT NULL, reason INTEGER, height INTEGER,
        sealed BLOB, updated_at INTEGER NOT NULL,
        PRIMARY KEY (outbound, id)
    ) STRICT;
    CREATE INDEX payments_by_hash ON payments (hash);
    CREATE INDEX payments_pending ON payments (outbound) WHERE status = 0;
    CREATE INDEX payments_newest ON payments (updated_at);
    CREATE TABLE notices (
        number INTEGER PRIMARY KEY, kind INTEGER NOT NULL, id BLOB, hash BLOB NOT NULL, value INTEGER, height INTEGER
    ) STRICT;
    CREATE TABLE wallet (number INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
"];

/// Sets a connection up for writing: every commit is on the disk when it answers.
pub(super) fn prepare(connection: &Connection) -> Result<(), LightningError> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // What is erased, such as a sealed preimage, does not stay in free pages.
    connection.pragma_update(None, "secure_delete", true)?;
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(())
}

/// Brings the tables to the newest version.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), LightningError> {
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let numbered: Vec<(u32, &&str)> = (1..).zip(MIGRATIONS).collect();
    if numbered.last().is_some_and(|(newest, _)| version > *newest) {
        return Err(LightningError::Corrupt("tables of a newer version of this program"));
    }
    for (number, script) in numbered.into_iter().filter(|(number, _)| *number > version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(script)?;
        transaction.pragma_update(None, "user_version", number)?;
        transaction.commit()?;
    }
    Ok(())
}
