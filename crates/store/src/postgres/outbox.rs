//! Reading the outbox, and claiming effects. What changes anything else in it goes through the writer.

use deadpool_postgres::Object;
use tallystick_app::port::journal::PendingEffect;
use tallystick_app::port::limits::EFFECT_PAUSE_MAX;
use tallystick_core::Timestamp;
use tokio_postgres::Row;

use crate::postgres::error::{OrStore, Result, column, signed, unsigned, unsigned_32};
use crate::postgres::facts::page;

const DUE: &str = "SELECT textsend(key), textsend(stream), body, attempts, greatest(due, 0) FROM outbox
    WHERE NOT finished AND (due <= $1 OR due > $3) ORDER BY due, id LIMIT $2";
/// No claimer waits for another, nor for the writer: rows that somebody has locked are passed over. A count or a time that is
/// none, on a damaged disk, keeps no effect from being done, and no other either; nor do words that are no text.
const CLAIM: &str = "UPDATE outbox SET claim_epoch = $4, claimed_until = $5, due = greatest(due, 0),
        attempts = greatest(0, least(attempts, 4294967295)) WHERE id = ANY (ARRAY(
        SELECT id FROM outbox WHERE NOT finished AND (due <= $1 OR due > $3)
            AND (coalesce(claim_epoch, 0) < $4 OR coalesce(claimed_until, 0) <= $1 OR claimed_until > $3)
        ORDER BY due, id LIMIT $2 FOR UPDATE SKIP LOCKED))
    RETURNING textsend(key), textsend(stream), body, attempts, due, id";
const NEXT_DUE: &str = "SELECT greatest(due, 0) FROM outbox WHERE NOT finished ORDER BY due LIMIT 1";

/// What is asked often, with the number of its values.
#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, usize)] = &[(DUE, 3), (NEXT_DUE, 0)];
/// The same for a claim.
#[cfg(test)]
pub(crate) const CLAIM_STATEMENT: (&str, usize) = (CLAIM, 5);

/// Unfinished effects that are due, the longest due first; those that only a clock that was ahead can have put off so
/// far come last.
pub(crate) async fn due(conn: &Object, now: Timestamp, limit: u32) -> Result<Vec<PendingEffect>> {
    let horizon = signed(now.after(EFFECT_PAUSE_MAX).as_millis());
    let statement = conn.prepare_cached(DUE).await.or_store()?;
    let rows = conn.query(&statement, &[&signed(now.as_millis()), &page(limit), &horizon]).await.or_store()?;
    rows.iter().map(pending).collect()
}

/// Takes what is due for a worker, the longest due first.
pub(crate) async fn claim(
    conn: &Object,
    now: Timestamp,
    until: Timestamp,
    epoch: u64,
    limit: u32,
) -> Result<Vec<PendingEffect>> {
    let (horizon, epoch) = (signed(now.after(EFFECT_PAUSE_MAX).as_millis()), signed(epoch));
    let (now, until) = (signed(now.as_millis()), signed(until.as_millis()));
    let statement = conn.prepare_cached(CLAIM).await.or_store()?;
    let rows = conn.query(&statement, &[&now, &page(limit), &horizon, &epoch, &until]).await;
    if rows.is_err() {
        // A statement that was prepared before a table changed fails for as long as its connection lives.
        conn.statement_cache.clear();
    }
    let rows = rows.or_store()?;
    let mut claimed = rows.iter().map(|row| Ok((column::<i64>(row, 5)?, pending(row)?))).collect::<Result<Vec<_>>>()?;
    // What an update answers comes in no order.
    claimed.sort_by_key(|(id, effect)| (effect.due, *id));
    Ok(claimed.into_iter().map(|(_, effect)| effect).collect())
}

/// When the next unfinished effect is due.
pub(crate) async fn next_due(conn: &Object) -> Result<Option<Timestamp>> {
    let statement = conn.prepare_cached(NEXT_DUE).await.or_store()?;
    let row = conn.query_opt(&statement, &[]).await.or_store()?;
    row.map(|row| unsigned(&row, 0).map(Timestamp::from_millis)).transpose()
}

fn pending(row: &Row) -> Result<PendingEffect> {
    Ok(PendingEffect {
        key: String::from_utf8_lossy(column(row, 0)?).into_owned(),
        stream: String::from_utf8_lossy(column(row, 1)?).into_owned(),
        body: column(row, 2)?,
        attempts: unsigned_32(row, 3)?,
        due: Timestamp::from_millis(unsigned(row, 4)?),
    })
}
