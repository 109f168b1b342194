//! Reading facts and the authorities behind them.

use deadpool_postgres::Object;
use tallystick_app::port::limits::{PAGE_MAX, behind_prefix};
use tallystick_core::{BlockHeight, Digest32, Fact, Timestamp};
use tokio_postgres::{Client, Row, ToStatement};

use crate::chain::{self, Head, Kept};
use crate::columns;
use crate::postgres::error::{OrStore, Result, bytes_32, column, digest, signed, unsigned, unsigned_32};
use crate::postgres::plan::storable;

pub(crate) const AFTER: &str = "SELECT seq, stream, version, kind, body, commitment, salt, authority, recorded_at,
        height, prev, hash FROM facts
    WHERE seq > $1 ORDER BY seq LIMIT $2";
const OF_STREAM: &str = "SELECT seq, stream, version, kind, body, commitment, salt, authority, recorded_at,
        height, prev, hash FROM facts
    WHERE stream = $1 AND version > $2 ORDER BY version";
/// `+ 0` keeps PostgreSQL from reading all facts by their number.
const BELOW: &str = "SELECT seq, stream, version, kind, body, commitment, salt, authority, recorded_at,
        height, prev, hash FROM facts
    WHERE stream >= $1 AND stream < $2 AND seq + 0 > $3 ORDER BY seq + 0 LIMIT $4";
/// Facts without their openings.
const ENTRIES: &str = "SELECT seq, stream, version, kind, CASE WHEN commitment IS NULL THEN body END, commitment,
        NULL::bytea, authority, recorded_at, height, prev, hash FROM facts
    WHERE seq > $1 AND seq <= $2 ORDER BY seq";
const LAST: &str = "SELECT seq, stream, version, kind, body, commitment, salt, authority, recorded_at,
        height, prev, hash FROM facts
    ORDER BY seq DESC LIMIT 1";
const HEAD: &str = "SELECT seq, hash FROM head";
const AUTHORITY: &str = "SELECT bytes FROM authorities WHERE digest = $1";
const AUTHORITIES: &str = "SELECT digest FROM authorities WHERE digest > $1 ORDER BY digest LIMIT $2";
const HOLDER: &str = "SELECT stream FROM reservations WHERE space = $1 AND name = $2";

/// What is asked often, with the number of its values.
#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, usize)] = &[
    (AFTER, 2),
    (OF_STREAM, 2),
    (BELOW, 4),
    (ENTRIES, 2),
    (LAST, 0),
    (HEAD, 0),
    (AUTHORITY, 1),
    (AUTHORITIES, 2),
    (HOLDER, 2),
];

/// A page's size as SQL has it.
pub(crate) fn page(limit: u32) -> i64 {
    i64::from(limit.min(PAGE_MAX))
}

/// Facts after `seq`, in order.
pub(crate) async fn after(conn: &Object, seq: u64, limit: u32) -> Result<Vec<Fact>> {
    let statement = conn.prepare_cached(AFTER).await.or_store()?;
    after_by(conn, &statement, seq, limit).await
}

/// The same by [`AFTER`], prepared or not.
pub(crate) async fn after_by(
    client: &Client,
    statement: &(impl ToStatement + ?Sized + Sync),
    seq: u64,
    limit: u32,
) -> Result<Vec<Fact>> {
    let rows = client.query(statement, &[&signed(seq), &page(limit)]).await.or_store()?;
    rows.iter().map(fact).collect()
}

/// A stream's facts after `version`, in order.
pub(crate) async fn of_stream(conn: &Object, stream: &str, version: u64) -> Result<Vec<Fact>> {
    if !storable(stream) {
        return Ok(Vec::new());
    }
    let statement = conn.prepare_cached(OF_STREAM).await.or_store()?;
    let rows = conn.query(&statement, &[&stream, &signed(version)]).await.or_store()?;
    rows.iter().map(fact).collect()
}

/// The facts of all streams below a prefix, after `seq`.
pub(crate) async fn below(conn: &Object, prefix: &str, seq: u64, limit: u32) -> Result<Vec<Fact>> {
    if !storable(prefix) {
        return Ok(Vec::new());
    }
    let statement = conn.prepare_cached(BELOW).await.or_store()?;
    let behind = behind_prefix(prefix);
    let rows = conn.query(&statement, &[&prefix, &behind, &signed(seq), &page(limit)]).await.or_store()?;
    rows.iter().map(fact).collect()
}

/// The entries of the facts after `from` and up to `to`.
pub(crate) async fn entries(conn: &Object, from: u64, to: u64) -> Result<Vec<Vec<u8>>> {
    let statement = conn.prepare_cached(ENTRIES).await.or_store()?;
    let rows = conn.query(&statement, &[&signed(from), &signed(to)]).await.or_store()?;
    rows.iter().map(|row| Ok(fact(row)?.entry())).collect()
}

/// The last fact of all.
pub(crate) async fn last(client: &Client) -> Result<Option<Fact>> {
    client.query_opt(LAST, &[]).await.or_store()?.as_ref().map(fact).transpose()
}

/// The head as the last append wrote it.
pub(crate) async fn head(client: &Client) -> Result<Head> {
    let row = client.query_opt(HEAD, &[]).await.or_store()?.ok_or_else(chain::no_head)?;
    Ok(Head { seq: unsigned(&row, 0)?, hash: digest(&row, 1)? })
}

/// The authority under a digest.
pub(crate) async fn authority(conn: &Object, digest: Digest32) -> Result<Option<Kept>> {
    let statement = conn.prepare_cached(AUTHORITY).await.or_store()?;
    let row = conn.query_opt(&statement, &[&digest.0.as_slice()]).await.or_store()?;
    row.map(|row| chain::decode_authority(digest, column(&row, 0)?)).transpose()
}

/// The digests of all authorities, in their order.
pub(crate) async fn authorities(conn: &Object, after: Option<Digest32>, limit: u32) -> Result<Vec<Digest32>> {
    let after: &[u8] = after.as_ref().map_or(&[], |digest| &digest.0);
    let statement = conn.prepare_cached(AUTHORITIES).await.or_store()?;
    let rows = conn.query(&statement, &[&after, &page(limit)]).await.or_store()?;
    rows.iter().map(|row| digest(row, 0)).collect()
}

/// The stream that holds a name.
pub(crate) async fn holder(conn: &Object, space: &str, name: &[u8]) -> Result<Option<String>> {
    if !storable(space) {
        return Ok(None);
    }
    let statement = conn.prepare_cached(HOLDER).await.or_store()?;
    let row = conn.query_opt(&statement, &[&space, &name]).await.or_store()?;
    row.map(|row| column(&row, 0)).transpose()
}

fn fact(row: &Row) -> Result<Fact> {
    Ok(Fact {
        seq: unsigned(row, 0)?,
        stream: column(row, 1)?,
        version: unsigned(row, 2)?,
        kind: column(row, 3)?,
        body: columns::body(column(row, 4)?, bytes_32(row, 5)?, bytes_32(row, 6)?)?,
        authority: digest(row, 7)?,
        recorded_at: Timestamp::from_millis(unsigned(row, 8)?),
        height: BlockHeight(unsigned_32(row, 9)?),
        prev: digest(row, 10)?,
        hash: digest(row, 11)?,
    })
}
