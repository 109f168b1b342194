//! Reading the outbox. What changes it goes through the writer.

use deadpool_postgres::Object;
use tallystick_app::port::journal::PendingEffect;
use tallystick_app::port::limits::EFFECT_PAUSE_MAX;
use tallystick_core::Timestamp;
use tokio_postgres::Row;

use crate::postgres::error::{OrStore, Result, column, signed, unsigned, unsigned_32};
use crate::postgres::facts::page;

const DUE: &str = "SELECT key, stream, body, attempts, due FROM outbox
    WHERE NOT finished AND (due <= $1 OR due > $3) ORDER BY due, id LIMIT $2";
const NEXT_DUE: &str = "SELECT due FROM outbox WHERE NOT finished ORDER BY due LIMIT 1";

/// Unfinished effects that are due, the longest due first; those that only a clock that was ahead can have put off so
/// far come last.
pub(crate) async fn due(conn: &Object, now: Timestamp, limit: u32) -> Result<Vec<PendingEffect>> {
    let horizon = signed(now.after(EFFECT_PAUSE_MAX).as_millis());
    let statement = conn.prepare_cached(DUE).await.or_store()?;
    let rows = conn.query(&statement, &[&signed(now.as_millis()), &page(limit), &horizon]).await.or_store()?;
    rows.iter().map(pending).collect()
}

/// When the next unfinished effect is due.
pub(crate) async fn next_due(conn: &Object) -> Result<Option<Timestamp>> {
    let statement = conn.prepare_cached(NEXT_DUE).await.or_store()?;
    let row = conn.query_opt(&statement, &[]).await.or_store()?;
    row.map(|row| unsigned(&row, 0).map(Timestamp::from_millis)).transpose()
}

fn pending(row: &Row) -> Result<PendingEffect> {
    Ok(PendingEffect {
        key: column(row, 0)?,
        stream: column(row, 1)?,
        body: column(row, 2)?,
        attempts: unsigned_32(row, 3)?,
        due: Timestamp::from_millis(unsigned(row, 4)?),
    })
}
