//! A digest of every value in a backup.

use rusqlite::{Connection, types::ValueRef};
use tallystick_core::{Digest32, canonical::sha256};

use crate::error::Result;
use crate::sqlite::or_store;

const TABLES: &str = "SELECT name, sql FROM sqlite_schema
    WHERE sql IS NOT NULL AND name <> 'backup_seal' ORDER BY type, name";
const IS_TABLE: &str = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ?1";

/// Each step hashes the one before, and what is new.
struct Digest(Digest32);

impl Digest {
    fn add(&mut self, bytes: &[u8]) {
        self.0 = sha256(&[&self.0.0, bytes].concat());
    }
}

/// The digest of schema and rows, each row where its table keeps it: copying the file changes none of that.
pub(super) fn of(conn: &Connection) -> Result<Digest32> {
    let mut digest = Digest(Digest32([0; 32]));
    let mut statement = or_store(conn.prepare(TABLES))?;
    let named = or_store(statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))))?;
    let named: Vec<(String, String)> = or_store(named.collect())?;
    for (name, sql) in named {
        digest.add(sql.as_bytes());
        let tables: u64 = or_store(conn.query_row(IS_TABLE, [&name], |row| row.get(0)))?;
        if tables == 1 {
            or_store(rows(conn, &name, &mut digest))?;
        }
    }
    Ok(digest.0)
}

fn rows(conn: &Connection, table: &str, digest: &mut Digest) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(&format!("SELECT * FROM \"{}\"", table.replace('"', "\"\"")))?;
    let columns = statement.column_count();
    let mut rows = statement.query([])?;
    let mut bytes = Vec::new();
    while let Some(row) = rows.next()? {
        bytes.clear();
        for column in 0..columns {
            write(row.get_ref(column)?, &mut bytes);
        }
        digest.add(&bytes);
    }
    Ok(())
}

/// Type, length, content: two different rows never have the same bytes.
fn write(value: ValueRef<'_>, bytes: &mut Vec<u8>) {
    let (kind, content): (u8, &[u8]) = match value {
        ValueRef::Null => (0, &[]),
        ValueRef::Integer(number) => (1, &number.to_be_bytes()),
        ValueRef::Real(number) => (2, &number.to_be_bytes()),
        ValueRef::Text(text) => (3, text),
        ValueRef::Blob(blob) => (4, blob),
    };
    bytes.push(kind);
    bytes.extend_from_slice(&(content.len() as u64).to_be_bytes());
    bytes.extend_from_slice(content);
}
