//! The vault's tables.
//!
//! They are written in transactions of their own, on a connection of their own, so that a large piece keeps no fact waiting
//! and no checkpoint.

use deadpool_postgres::Object;
use tallystick_app::port::evidence::{Kept, Matter, Piece, Wrapped, WrappedKey};
use tallystick_app::port::journal::StoreError;
use tallystick_core::{Digest32, Id, NostrKey, Timestamp};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use crate::evidence::{Joining, NewPiece, PART_BYTES, checked, keys_hash, whole};
use crate::postgres::error::{OrStore, Result, bytes_32, column, digest, signed, unsigned};
use crate::postgres::facts::page;
use crate::postgres::log::LogWriter;

/// One upload to a matter at a time, so that what is left is counted right.
const LOCK: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
const UPLOADER: &str = "SELECT uploader FROM evidence WHERE task = $1 AND dispute = $2 AND hash = $3";
const USED: &str = "SELECT count(*), coalesce(sum(bytes), 0)::bigint FROM evidence
    WHERE task = $1 AND dispute = $2 AND uploader = $3";
const ADD: &str = "INSERT INTO evidence (task, dispute, hash, uploader, bytes, touched_at, filed)
    VALUES ($1, $2, $3, $4, $5, $6, false)";
const ADD_PARTS: &str = "INSERT INTO evidence_parts (task, dispute, hash, part, content)
    SELECT $1, $2, $3, part, content FROM unnest($4::bigint[], $5::bytea[]) AS new (part, content)";
const PIECES: &str = "SELECT task, dispute, hash, uploader, bytes, touched_at, filed FROM evidence
    WHERE task = $1 AND dispute = $2 ORDER BY hash";
const ALL: &str = "SELECT task, dispute, hash, uploader, bytes, touched_at, filed FROM evidence
    WHERE (task, dispute, hash) > ($1, $2, $3) ORDER BY task, dispute, hash LIMIT $4";
const PARTS: &str = "SELECT content FROM evidence_parts WHERE task = $1 AND dispute = $2 AND hash = $3 ORDER BY part";
const TOUCH: &str = "UPDATE evidence SET touched_at = greatest(touched_at, $4)
    WHERE task = $1 AND dispute = $2 AND hash = $3";
const FILED: &str = "UPDATE evidence SET filed = true WHERE task = $1 AND dispute = $2 AND hash = $3";
const DROP: &str = "DELETE FROM evidence
    WHERE task = $1 AND dispute = $2 AND hash = $3 AND touched_at = $4 AND NOT filed";
const WRAP: &str = "INSERT INTO evidence_keys (task, dispute, hash, reader, wrapped)
    SELECT $1, $2, $3, reader, wrapped FROM unnest($4::bytea[], $5::text[]) AS new (reader, wrapped)
    ON CONFLICT (task, dispute, hash, reader) DO UPDATE SET wrapped = excluded.wrapped";
/// Nobody drops the piece meanwhile, nor gives keys to it.
const HOLD: &str = "SELECT uploader, keys FROM evidence WHERE task = $1 AND dispute = $2 AND hash = $3 FOR UPDATE";
const UNWRAP: &str = "DELETE FROM evidence_keys WHERE task = $1 AND dispute = $2 AND hash = $3";
const WRAPPED: &str = "SELECT reader, wrapped FROM evidence_keys
    WHERE task = $1 AND dispute = $2 AND hash = $3 ORDER BY reader";
const MATTERS: &str = "SELECT DISTINCT task, dispute FROM evidence WHERE (task, dispute) > ($1, $2)
    ORDER BY task, dispute LIMIT $3";
const HASH_KEYS: &str = "UPDATE evidence SET keys = $4 WHERE task = $1 AND dispute = $2 AND hash = $3";
const KEYS_HASH: &str = "SELECT keys FROM evidence WHERE task = $1 AND dispute = $2 AND hash = $3";
const WITH_KEYS: &str = "SELECT DISTINCT task, dispute, hash FROM evidence_keys";
const ERASE: &str = "DELETE FROM evidence WHERE task = $1 AND dispute = $2";

/// Keeps a piece, if there is room for it.
pub(crate) async fn keep(writer: &LogWriter, new: &NewPiece) -> Result<Kept> {
    let NewPiece { matter, uploader, content, hash, bytes, now, room } = new;
    let ((task, dispute), uploader) = (ids(*matter), uploader.to_bytes());
    let (hash, uploader): (&[u8], &[u8]) = (&hash.0, &uploader);
    let mut kept = Kept::Kept;
    writer
        .write(async |conn| {
            conn.execute(LOCK, &[&format!("evidence/{dispute}")]).await.or_store()?;
            if let Some(row) = conn.query_opt(UPLOADER, &[&task, &dispute, &hash]).await.or_store()? {
                if column::<&[u8]>(&row, 0)? != uploader {
                    kept = Kept::Foreign;
                    return Ok(false);
                }
                let at = signed(now.as_millis());
                return Ok(conn.execute(TOUCH, &[&task, &dispute, &hash, &at]).await.or_store()? == 1);
            }
            let used = conn.query_one(USED, &[&task, &dispute, &uploader]).await.or_store()?;
            let left = room.bytes.saturating_sub(unsigned(&used, 1)?);
            if unsigned(&used, 0)? >= room.pieces {
                kept = Kept::TooMany;
                return Ok(false);
            }
            if *bytes > left {
                kept = Kept::TooLarge { left };
                return Ok(false);
            }
            let (bytes, at) = (signed(*bytes), signed(now.as_millis()));
            conn.execute(ADD, &[&task, &dispute, &hash, &uploader, &bytes, &at]).await.or_store()?;
            let parts: Vec<&[u8]> = content.chunks(PART_BYTES).collect();
            let numbers: Vec<i64> = (0..).take(parts.len()).collect();
            conn.execute(ADD_PARTS, &[&task, &dispute, &hash, &numbers, &parts]).await.or_store()?;
            Ok(true)
        })
        .await?;
    Ok(kept)
}

/// The pieces of a matter.
pub(crate) async fn pieces(conn: &Object, matter: Matter) -> Result<Vec<Piece>> {
    let (task, dispute) = ids(matter);
    let statement = conn.prepare_cached(PIECES).await.or_store()?;
    conn.query(&statement, &[&task, &dispute]).await.or_store()?.iter().map(piece).collect()
}

/// All pieces, in order, after one.
pub(crate) async fn all(conn: &Object, after: Option<(Matter, Digest32)>, limit: u32) -> Result<Vec<Piece>> {
    let (task, dispute) = after.map_or((Uuid::nil(), Uuid::nil()), |(matter, _)| ids(matter));
    let hash: &[u8] = after.as_ref().map_or(&[], |(_, hash)| &hash.0);
    let statement = conn.prepare_cached(ALL).await.or_store()?;
    let rows = conn.query(&statement, &[&task, &dispute, &hash, &page(limit)]).await.or_store()?;
    rows.iter().map(piece).collect()
}

/// A piece's bytes.
pub(crate) async fn content(conn: &Object, matter: Matter, hash: Digest32) -> Result<Option<Vec<u8>>> {
    let ((task, dispute), name) = (ids(matter), hash.0.as_slice());
    let uploader = conn.prepare_cached(UPLOADER).await.or_store()?;
    if conn.query_opt(&uploader, &[&task, &dispute, &name]).await.or_store()?.is_none() {
        return Ok(None);
    }
    let statement = conn.prepare_cached(PARTS).await.or_store()?;
    let mut content = Vec::new();
    for row in conn.query(&statement, &[&task, &dispute, &name]).await.or_store()? {
        content.extend_from_slice(column(&row, 0)?);
    }
    let checked = move || whole(matter, hash, content).map(Some);
    tokio::task::spawn_blocking(checked).await.map_err(|_| crate::error::closed())?
}

/// Notes when a piece was last asked for.
pub(crate) async fn touch(writer: &LogWriter, matter: Matter, hash: Digest32, now: Timestamp) -> Result<bool> {
    let ((task, dispute), hash, at) = (ids(matter), hash.0.as_slice(), signed(now.as_millis()));
    writer.write(async |conn| Ok(conn.execute(TOUCH, &[&task, &dispute, &hash, &at]).await.or_store()? == 1)).await
}

/// Notes that a piece is filed.
pub(crate) async fn set_filed(writer: &LogWriter, matter: Matter, hash: Digest32) -> Result<()> {
    let ((task, dispute), hash) = (ids(matter), hash.0.as_slice());
    writer.write(async |conn| Ok(conn.execute(FILED, &[&task, &dispute, &hash]).await.or_store()? == 1)).await?;
    Ok(())
}

/// Drops a piece that is still as it was read.
pub(crate) async fn drop_unfiled(writer: &LogWriter, piece: &Piece) -> Result<bool> {
    let Piece { matter, hash, touched_at, .. } = piece;
    let ((task, dispute), hash, at) = (ids(*matter), hash.0.as_slice(), signed(touched_at.as_millis()));
    writer.write(async |conn| Ok(conn.execute(DROP, &[&task, &dispute, &hash, &at]).await.or_store()? == 1)).await
}

/// Adds wrapped keys, unless those that are there were damaged.
pub(crate) async fn wrap(writer: &LogWriter, matter: Matter, hash: Digest32, keys: &[WrappedKey]) -> Result<Wrapped> {
    let mut outcome = Wrapped::NoPiece;
    let ((task, dispute), name) = (ids(matter), hash.0.as_slice());
    let (readers, wrapped): (Vec<Vec<u8>>, Vec<&str>) =
        keys.iter().map(|key| (key.reader.to_bytes().to_vec(), key.wrapped.as_str())).unzip();
    writer
        .write(async |conn| {
            let Some(piece) = conn.query_opt(HOLD, &[&task, &dispute, &name]).await.or_store()? else {
                return Ok(false);
            };
            let there = conn.query(WRAPPED, &[&task, &dispute, &name]).await.or_store()?;
            let there = there.iter().map(wrapped_key).collect::<Result<Vec<_>>>().ok();
            match Joining::of(there.as_deref(), digest(&piece, 1)?, keys, key(&piece, 0)?) {
                Joining::Beside => {}
                Joining::Instead => drop(conn.execute(UNWRAP, &[&task, &dispute, &name]).await.or_store()?),
                Joining::Refused => {
                    outcome = Wrapped::Damaged;
                    return Ok(false);
                }
            }
            conn.execute(WRAP, &[&task, &dispute, &name, &readers, &wrapped]).await.or_store()?;
            hash_keys(conn, matter, hash).await?;
            outcome = Wrapped::Kept;
            Ok(true)
        })
        .await?;
    Ok(outcome)
}

/// Writes the hash of a piece's keys as they are now.
async fn hash_keys(conn: &Client, matter: Matter, hash: Digest32) -> Result<()> {
    let ((task, dispute), name) = (ids(matter), hash.0.as_slice());
    let rows = conn.query(WRAPPED, &[&task, &dispute, &name]).await.or_store()?;
    let keys = keys_hash(&rows.iter().map(wrapped_key).collect::<Result<Vec<_>>>()?);
    conn.execute(HASH_KEYS, &[&task, &dispute, &name, &keys.0.as_slice()]).await.or_store().map(drop)
}

/// Writes the hashes of all keys.
pub(crate) async fn hash_all_keys(conn: &Client) -> Result<()> {
    for row in conn.query(WITH_KEYS, &[]).await.or_store()? {
        hash_keys(conn, matter_of(&row)?, digest(&row, 2)?).await?;
    }
    Ok(())
}

/// The wrapped keys of a piece.
pub(crate) async fn wrapped(conn: &Object, matter: Matter, hash: Digest32) -> Result<Vec<WrappedKey>> {
    let ((task, dispute), hash) = (ids(matter), hash.0.as_slice());
    let statement = conn.prepare_cached(WRAPPED).await.or_store()?;
    let rows = conn.query(&statement, &[&task, &dispute, &hash]).await.or_store()?;
    rows.iter().map(wrapped_key).collect()
}

/// The wrapped keys of a piece, if they are those that were written.
pub(crate) async fn checked_keys(conn: &Object, matter: Matter, hash: Digest32) -> Result<Vec<WrappedKey>> {
    let ((task, dispute), name) = (ids(matter), hash.0.as_slice());
    let statement = conn.prepare_cached(KEYS_HASH).await.or_store()?;
    let written = digest(&conn.query_one(&statement, &[&task, &dispute, &name]).await.or_store()?, 0)?;
    checked(matter, hash, wrapped(conn, matter, hash).await?, written)
}

/// The matters with pieces.
pub(crate) async fn matters(conn: &Object, after: Option<Matter>, limit: u32) -> Result<Vec<Matter>> {
    let (task, dispute) = after.map_or((Uuid::nil(), Uuid::nil()), ids);
    let statement = conn.prepare_cached(MATTERS).await.or_store()?;
    conn.query(&statement, &[&task, &dispute, &page(limit)]).await.or_store()?.iter().map(matter_of).collect()
}

/// Erases all of a matter.
pub(crate) async fn erase(writer: &LogWriter, matter: Matter) -> Result<()> {
    let (task, dispute) = ids(matter);
    writer.write(async |conn| Ok(conn.execute(ERASE, &[&task, &dispute]).await.or_store()? > 0)).await?;
    Ok(())
}

fn ids(matter: Matter) -> (Uuid, Uuid) {
    (Uuid::from_bytes(*matter.task.as_bytes()), Uuid::from_bytes(*matter.dispute.as_bytes()))
}

fn piece(row: &Row) -> Result<Piece> {
    Ok(Piece {
        matter: matter_of(row)?,
        hash: digest(row, 2)?,
        uploader: key(row, 3)?,
        bytes: unsigned(row, 4)?,
        touched_at: Timestamp::from_millis(unsigned(row, 5)?),
        filed: column(row, 6)?,
    })
}

fn wrapped_key(row: &Row) -> Result<WrappedKey> {
    Ok(WrappedKey { reader: key(row, 0)?, wrapped: column(row, 1)? })
}

fn matter_of(row: &Row) -> Result<Matter> {
    Ok(Matter { task: id(row, 0)?, dispute: id(row, 1)? })
}

fn id<T>(row: &Row, index: usize) -> Result<Id<T>> {
    Id::try_new(column(row, index)?).map_err(|error| StoreError::Corrupt(format!("an id of evidence: {error}")))
}

fn key(row: &Row, index: usize) -> Result<NostrKey> {
    let bytes = bytes_32(row, index)?.unwrap_or_default();
    NostrKey::try_new(bytes).map_err(|error| StoreError::Corrupt(format!("a key of evidence: {error}")))
}
