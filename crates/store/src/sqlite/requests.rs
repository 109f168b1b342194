//! The register of signed requests that were seen.

use rusqlite::{Connection, params};
use tallystick_app::port::limits::PAGE_MAX;
use tallystick_core::{Digest32, Timestamp};

use crate::sqlite::facts::bound;

// One whose time is over counts as forgotten, purged or not.
const ADMIT: &str = "INSERT INTO seen_requests (id, forget_after) VALUES (?1, ?2)
    ON CONFLICT (id) DO UPDATE SET forget_after = excluded.forget_after WHERE seen_requests.forget_after < ?3";
// Each admission adds one row at most and takes two old ones away: the table shrinks back without ever being scanned.
const PURGE: &str = "DELETE FROM seen_requests WHERE id IN
    (SELECT id FROM seen_requests WHERE forget_after < ?1 ORDER BY forget_after LIMIT 2)";
const REMEMBERED: &str = "SELECT id, forget_after FROM seen_requests WHERE id > ?1 ORDER BY id LIMIT ?2";

/// Remembers a request; false if it is remembered already.
pub(crate) fn admit(
    conn: &Connection,
    id: Digest32,
    now: Timestamp,
    forget_after: Timestamp,
) -> rusqlite::Result<bool> {
    let now = bound(now.as_millis());
    let added = conn.prepare_cached(ADMIT)?.execute(params![id.0, forget_after.as_millis(), now])?;
    // A call that remembers nothing leaves no trace of its time: were it to forget others, fsck could not tell why.
    if added == 1 {
        conn.prepare_cached(PURGE)?.execute([now])?;
    }
    Ok(added == 1)
}

/// The requests that are remembered, by their ids.
pub(crate) fn remembered(
    conn: &Connection,
    after: Option<Digest32>,
    limit: u32,
) -> rusqlite::Result<Vec<(Digest32, Timestamp)>> {
    let mut statement = conn.prepare_cached(REMEMBERED)?;
    let after: &[u8] = after.as_ref().map_or(&[], |id| &id.0);
    let rows = statement.query_map(params![after, limit.min(PAGE_MAX)], |row| {
        Ok((Digest32(row.get(0)?), Timestamp::from_millis(row.get(1)?)))
    })?;
    rows.collect()
}
