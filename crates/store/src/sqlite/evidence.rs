//! The vault's tables.

use rusqlite::{Connection, OptionalExtension, Row, params};
use tallystick_app::port::evidence::{Kept, Matter, Piece, Wrapped, WrappedKey};
use tallystick_app::port::limits::PAGE_MAX;
use tallystick_core::{Digest32, Id, NostrKey, Timestamp};
use uuid::Uuid;

use crate::evidence::{Joining, NewPiece, PART_BYTES, checked, keys_hash, whole};
use crate::sqlite::error::{OrStore, Result};

const UPLOADER: &str = "SELECT uploader FROM evidence WHERE task = ?1 AND dispute = ?2 AND hash = ?3";
const USED: &str = "SELECT count(*), coalesce(sum(bytes), 0) FROM evidence
    WHERE task = ?1 AND dispute = ?2 AND uploader = ?3";
const ADD: &str = "INSERT INTO evidence (task, dispute, hash, uploader, bytes, touched_at, filed)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)";
const ADD_PART: &str = "INSERT INTO evidence_parts (task, dispute, hash, part, content) VALUES (?1, ?2, ?3, ?4, ?5)";
const PIECES: &str = "SELECT task, dispute, hash, uploader, bytes, touched_at, filed FROM evidence
    WHERE task = ?1 AND dispute = ?2 ORDER BY hash";
const ALL: &str = "SELECT task, dispute, hash, uploader, bytes, touched_at, filed FROM evidence
    WHERE (task, dispute, hash) > (?1, ?2, ?3) ORDER BY task, dispute, hash LIMIT ?4";
const PARTS: &str = "SELECT content FROM evidence_parts WHERE task = ?1 AND dispute = ?2 AND hash = ?3 ORDER BY part";
const IS_THERE: &str = "SELECT 1 FROM evidence WHERE task = ?1 AND dispute = ?2 AND hash = ?3";
const TOUCH: &str = "UPDATE evidence SET touched_at = max(touched_at, ?4)
    WHERE task = ?1 AND dispute = ?2 AND hash = ?3";
const FILED: &str = "UPDATE evidence SET filed = 1 WHERE task = ?1 AND dispute = ?2 AND hash = ?3";
const DROP: &str = "DELETE FROM evidence
    WHERE task = ?1 AND dispute = ?2 AND hash = ?3 AND touched_at = ?4 AND filed = 0";
const WRAP: &str = "INSERT INTO evidence_keys (task, dispute, hash, reader, wrapped) VALUES (?1, ?2, ?3, ?4, ?5)
    ON CONFLICT (task, dispute, hash, reader) DO UPDATE SET wrapped = excluded.wrapped";
const WRITTEN: &str = "SELECT uploader, keys FROM evidence WHERE task = ?1 AND dispute = ?2 AND hash = ?3";
const UNWRAP: &str = "DELETE FROM evidence_keys WHERE task = ?1 AND dispute = ?2 AND hash = ?3";
const WRAPPED: &str = "SELECT reader, wrapped FROM evidence_keys
    WHERE task = ?1 AND dispute = ?2 AND hash = ?3 ORDER BY reader";
const MATTERS: &str = "SELECT DISTINCT task, dispute FROM evidence WHERE (task, dispute) > (?1, ?2)
    ORDER BY task, dispute LIMIT ?3";
const HASH_KEYS: &str = "UPDATE evidence SET keys = ?4 WHERE task = ?1 AND dispute = ?2 AND hash = ?3";
const KEYS_HASH: &str = "SELECT keys FROM evidence WHERE task = ?1 AND dispute = ?2 AND hash = ?3";
const WITH_KEYS: &str = "SELECT DISTINCT task, dispute, hash FROM evidence_keys";
const ERASE: &str = "DELETE FROM evidence WHERE task = ?1 AND dispute = ?2";

/// Keeps a piece, if there is room for it.
pub(crate) fn keep(conn: &Connection, new: &NewPiece) -> rusqlite::Result<Kept> {
    let NewPiece { matter, uploader, content, hash, bytes, now, room } = new;
    let (task, dispute) = (matter.task.as_bytes(), matter.dispute.as_bytes());
    let by: Option<[u8; 32]> =
        conn.prepare_cached(UPLOADER)?.query_row(params![task, dispute, hash.0], |row| row.get(0)).optional()?;
    if let Some(by) = by {
        if by != uploader.to_bytes() {
            return Ok(Kept::Foreign);
        }
        touch(conn, *matter, *hash, *now)?;
        return Ok(Kept::Kept);
    }
    let used = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let (pieces, sum): (u64, u64) =
        conn.prepare_cached(USED)?.query_row(params![task, dispute, uploader.to_bytes()], used)?;
    let left = room.bytes.saturating_sub(sum);
    if pieces >= room.pieces {
        return Ok(Kept::TooMany);
    }
    if *bytes > left {
        return Ok(Kept::TooLarge { left });
    }
    let row = params![task, dispute, hash.0, uploader.to_bytes(), bytes, now.as_millis()];
    conn.prepare_cached(ADD)?.execute(row)?;
    let mut add = conn.prepare_cached(ADD_PART)?;
    for (part, content) in (0u64..).zip(content.chunks(PART_BYTES)) {
        add.execute(params![task, dispute, hash.0, part, content])?;
    }
    Ok(Kept::Kept)
}

/// The pieces of a matter.
pub(crate) fn pieces(conn: &Connection, matter: Matter) -> Result<Vec<Piece>> {
    let mut statement = conn.prepare_cached(PIECES).or_store()?;
    let rows = statement.query_map(params![matter.task.as_bytes(), matter.dispute.as_bytes()], piece).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// All pieces, in order, after one.
pub(crate) fn all(conn: &Connection, after: Option<(Matter, Digest32)>, limit: u32) -> Result<Vec<Piece>> {
    let nothing: &[u8] = &[];
    let (task, dispute, hash) = match &after {
        Some((matter, hash)) => {
            (matter.task.as_bytes().as_slice(), matter.dispute.as_bytes().as_slice(), hash.0.as_slice())
        }
        None => (nothing, nothing, nothing),
    };
    let mut statement = conn.prepare_cached(ALL).or_store()?;
    let rows = statement.query_map(params![task, dispute, hash, limit.min(PAGE_MAX)], piece).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// A piece's bytes.
pub(crate) fn content(conn: &Connection, matter: Matter, hash: Digest32) -> Result<Option<Vec<u8>>> {
    let read = || {
        let name = params![matter.task.as_bytes(), matter.dispute.as_bytes(), hash.0];
        if !conn.prepare_cached(IS_THERE)?.exists(name)? {
            return Ok(None);
        }
        let mut statement = conn.prepare_cached(PARTS)?;
        let mut rows = statement.query(name)?;
        let mut content = Vec::new();
        while let Some(row) = rows.next()? {
            content.extend_from_slice(row.get_ref(0)?.as_blob()?);
        }
        Ok(Some(content))
    };
    let content: rusqlite::Result<Option<Vec<u8>>> = read();
    content.or_store()?.map(|content| whole(matter, hash, content)).transpose()
}

/// Notes when a piece was last asked for.
pub(crate) fn touch(conn: &Connection, matter: Matter, hash: Digest32, now: Timestamp) -> rusqlite::Result<bool> {
    let row = params![matter.task.as_bytes(), matter.dispute.as_bytes(), hash.0, now.as_millis()];
    Ok(conn.prepare_cached(TOUCH)?.execute(row)? == 1)
}

/// Notes that a piece is filed.
pub(crate) fn set_filed(conn: &Connection, matter: Matter, hash: Digest32) -> rusqlite::Result<()> {
    conn.prepare_cached(FILED)?.execute(params![matter.task.as_bytes(), matter.dispute.as_bytes(), hash.0]).map(drop)
}

/// Drops a piece that is still as it was read.
pub(crate) fn drop_unfiled(conn: &Connection, piece: &Piece) -> rusqlite::Result<bool> {
    let Piece { matter, hash, touched_at, .. } = piece;
    let row = params![matter.task.as_bytes(), matter.dispute.as_bytes(), hash.0, touched_at.as_millis()];
    Ok(conn.prepare_cached(DROP)?.execute(row)? == 1)
}

/// Adds wrapped keys, unless those that are there were damaged.
pub(crate) fn wrap(
    conn: &Connection,
    matter: Matter,
    hash: Digest32,
    keys: &[WrappedKey],
) -> rusqlite::Result<Wrapped> {
    let (task, dispute) = (matter.task.as_bytes(), matter.dispute.as_bytes());
    let name = params![task, dispute, hash.0];
    let read = |row: &Row<'_>| Ok((key(row, 0)?, Digest32(row.get(1)?)));
    let Some((uploader, written)) = conn.prepare_cached(WRITTEN)?.query_row(name, read).optional()? else {
        return Ok(Wrapped::NoPiece);
    };
    let there = match wrapped(conn, matter, hash) {
        Err(rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::InvalidColumnType(..)) => None,
        there => Some(there?),
    };
    match Joining::of(there.as_deref(), written, keys, uploader) {
        Joining::Beside => {}
        Joining::Instead => drop(conn.prepare_cached(UNWRAP)?.execute(name)?),
        Joining::Refused => return Ok(Wrapped::Damaged),
    }
    let mut statement = conn.prepare_cached(WRAP)?;
    for WrappedKey { reader, wrapped } in keys {
        statement.execute(params![task, dispute, hash.0, reader.to_bytes(), wrapped])?;
    }
    hash_keys(conn, matter, hash)?;
    Ok(Wrapped::Kept)
}

/// Writes the hash of a piece's keys as they are now.
fn hash_keys(conn: &Connection, matter: Matter, hash: Digest32) -> rusqlite::Result<()> {
    let keys = keys_hash(&wrapped(conn, matter, hash)?);
    let row = params![matter.task.as_bytes(), matter.dispute.as_bytes(), hash.0, keys.0];
    conn.prepare_cached(HASH_KEYS)?.execute(row).map(drop)
}

/// Writes the hashes of all keys.
pub(crate) fn hash_all_keys(conn: &Connection) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(WITH_KEYS)?;
    let pieces = statement.query_map([], |row| Ok((matter(row)?, Digest32(row.get(2)?))))?;
    for piece in pieces.collect::<rusqlite::Result<Vec<_>>>()? {
        hash_keys(conn, piece.0, piece.1)?;
    }
    Ok(())
}

/// The wrapped keys of a piece.
pub(crate) fn wrapped(conn: &Connection, matter: Matter, hash: Digest32) -> rusqlite::Result<Vec<WrappedKey>> {
    let mut statement = conn.prepare_cached(WRAPPED)?;
    let read = |row: &Row<'_>| Ok(WrappedKey { reader: key(row, 0)?, wrapped: row.get(1)? });
    statement.query_map(params![matter.task.as_bytes(), matter.dispute.as_bytes(), hash.0], read)?.collect()
}

/// The wrapped keys of a piece, if they are those that were written.
pub(crate) fn checked_keys(conn: &Connection, matter: Matter, hash: Digest32) -> Result<Vec<WrappedKey>> {
    let name = params![matter.task.as_bytes(), matter.dispute.as_bytes(), hash.0];
    let written = conn.prepare_cached(KEYS_HASH).and_then(|mut it| it.query_row(name, |row| row.get(0))).or_store()?;
    checked(matter, hash, wrapped(conn, matter, hash).or_store()?, Digest32(written))
}

/// The matters with pieces.
pub(crate) fn matters(conn: &Connection, after: Option<Matter>, limit: u32) -> Result<Vec<Matter>> {
    let nothing: &[u8] = &[];
    let (task, dispute) = match &after {
        Some(matter) => (matter.task.as_bytes().as_slice(), matter.dispute.as_bytes().as_slice()),
        None => (nothing, nothing),
    };
    let mut statement = conn.prepare_cached(MATTERS).or_store()?;
    let rows = statement.query_map(params![task, dispute, limit.min(PAGE_MAX)], matter).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Erases all of a matter. `secure_delete` overwrites it.
pub(crate) fn erase(conn: &Connection, matter: Matter) -> rusqlite::Result<()> {
    conn.prepare_cached(ERASE)?.execute(params![matter.task.as_bytes(), matter.dispute.as_bytes()]).map(drop)
}

fn piece(row: &Row<'_>) -> rusqlite::Result<Piece> {
    Ok(Piece {
        matter: matter(row)?,
        hash: Digest32(row.get(2)?),
        uploader: key(row, 3)?,
        bytes: row.get(4)?,
        touched_at: Timestamp::from_millis(row.get(5)?),
        filed: row.get(6)?,
    })
}

fn matter(row: &Row<'_>) -> rusqlite::Result<Matter> {
    Ok(Matter { task: id(row, 0)?, dispute: id(row, 1)? })
}

fn id<T>(row: &Row<'_>, index: usize) -> rusqlite::Result<Id<T>> {
    let uuid = Uuid::from_bytes(row.get(index)?);
    Id::try_new(uuid).map_err(|error| bad(index, error))
}

fn key(row: &Row<'_>, index: usize) -> rusqlite::Result<NostrKey> {
    NostrKey::try_new(row.get(index)?).map_err(|error| bad(index, error))
}

fn bad(index: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Blob, Box::new(error))
}
