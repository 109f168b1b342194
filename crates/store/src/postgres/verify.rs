//! Recomputing the chain.

use deadpool_postgres::Object;
use std::collections::{BTreeMap, BTreeSet};
use tallystick_app::port::limits::PAGE_MAX;
use tallystick_core::{Digest32, Fact};
use tokio_postgres::Client;

use crate::chain::{self, Head};
use crate::postgres::error::{OrStore, Result, column, digest, signed, unsigned};
use crate::postgres::facts;

const LAST_SEQ: &str = "SELECT seq FROM facts ORDER BY seq DESC LIMIT 1";
const PREDECESSORS: &str = "SELECT a.seq, f.seq FROM unnest($1::bigint[], $2::text[], $3::bigint[])
    AS a (seq, stream, version) JOIN facts f ON f.stream = a.stream AND f.version = a.version - 1";
const AUTHORITIES: &str = "SELECT digest, bytes FROM authorities WHERE digest = ANY ($1::bytea[])";

/// Where to begin, so that the last `count` facts are checked: the head before them.
pub(crate) async fn tail(conn: &Object, count: u64) -> Result<Head> {
    let Some(last) = conn.query_opt(LAST_SEQ, &[]).await.or_store()? else { return Ok(Head::START) };
    let before = unsigned(&last, 0)?.saturating_sub(count);
    let Some(two_before) = before.checked_sub(1) else { return Ok(Head::START) };
    chain::tail_from(before, facts::after(conn, two_before, 1).await?.pop())
}

/// Checks one page after `head`: answers the head after it, the same if nothing follows.
///
/// The facts never change, so that pages read one after the other make one consistent whole, and no transaction stays
/// open long enough to keep the server from cleaning up. A page is so much work that its statements are not kept prepared.
pub(crate) async fn page(conn: &Client, mut head: Head) -> Result<Head> {
    let page = facts::after_by(conn, facts::AFTER, head.seq, PAGE_MAX).await?;
    let predecessors = predecessors(conn, &page).await?;
    let authorities = authorities(conn, &page).await?;
    for fact in &page {
        head = chain::link(head, fact)?;
        chain::check_predecessor(fact, predecessors.get(&fact.seq).copied())?;
        let bytes = authorities.get(&fact.authority);
        let read = bytes.map(|bytes| chain::decode_authority(fact.authority, bytes.as_deref())).transpose();
        chain::check_authority(fact, read)?;
    }
    Ok(head)
}

/// For each fact's number, that of its predecessor in its stream, if it is there.
async fn predecessors(conn: &Client, page: &[Fact]) -> Result<BTreeMap<u64, u64>> {
    let seqs: Vec<i64> = page.iter().map(|fact| signed(fact.seq)).collect();
    let streams: Vec<&str> = page.iter().map(|fact| fact.stream.as_str()).collect();
    let versions: Vec<i64> = page.iter().map(|fact| signed(fact.version)).collect();
    let rows = conn.query(PREDECESSORS, &[&seqs, &streams, &versions]).await.or_store()?;
    rows.iter().map(|row| Ok((unsigned(row, 0)?, unsigned(row, 1)?))).collect()
}

async fn authorities(conn: &Client, page: &[Fact]) -> Result<BTreeMap<Digest32, Option<Vec<u8>>>> {
    let wanted: BTreeSet<&[u8]> = page.iter().map(|fact| fact.authority.0.as_slice()).collect();
    let wanted: Vec<&[u8]> = wanted.into_iter().collect();
    let rows = conn.query(AUTHORITIES, &[&wanted]).await.or_store()?;
    rows.iter().map(|row| Ok((digest(row, 0)?, column(row, 1)?))).collect()
}
