//! The indexes by which a node finds what is due.

use rusqlite::Connection;

use crate::sqlite::outbox;

/// Timers find tasks by these, and the outbox its effects: index, table, column, and which rows are in it.
const DUE: [[&str; 4]; 3] = [
    ["tasks_by_wake_at", "tasks", "wake_at", "wake_at IS NOT NULL"],
    ["tasks_by_wake_height", "tasks", "wake_height", "wake_height IS NOT NULL"],
    [PENDING, "outbox", "due", "finished = 0"],
];
const PENDING: &str = "outbox_pending";

/// Whether [`mend_due`] has something to mend. It writes nothing: damage that only it finds stops no writer.
pub(crate) fn is_to_mend(conn: &Connection) -> rusqlite::Result<bool> {
    for due in DUE {
        if !agrees(conn, due)? {
            return Ok(true);
        }
    }
    outbox::is_damaged(conn)
}

/// Makes each of them again that does not say what its table holds, and effects that no program writes such that they can be
/// worked. Answers whether there was something to mend.
///
/// Each table is read, and each index: how many rows there are, and a sum over when and where they are.
pub(crate) fn mend_due(conn: &Connection) -> rusqlite::Result<bool> {
    // What the index alone calls unfinished stays so: an effect that is done twice does no harm, one that is not done does.
    let pending = format!("SELECT id FROM outbox INDEXED BY {PENDING} WHERE finished = 0");
    let pending = conn.prepare(&pending).and_then(|mut statement| {
        let ids = statement.query_map([], |row| row.get::<_, i64>(0))?;
        ids.collect::<rusqlite::Result<Vec<_>>>()
    });
    let mut mended = outbox::mend(conn)?;
    for due @ [index, ..] in DUE {
        if !agrees(conn, due)? {
            tracing::error!(
                index,
                "not all that is due would have been found: the index is made again; run `tally fsck`"
            );
            conn.execute_batch(&format!("REINDEX {index}"))?;
            mended = true;
        }
    }
    for id in pending.unwrap_or_default() {
        mended |= outbox::unfinish(conn, id)?;
    }
    Ok(mended)
}

fn agrees(conn: &Connection, [index, table, column, rows]: [&str; 4]) -> rusqlite::Result<bool> {
    let sums = |how: &str| -> rusqlite::Result<(u64, Option<i64>)> {
        let sql = format!(
            "SELECT count(*), sum((ifnull({column}, -1) % 2147483647) * (rowid % 2147483629) % 2147483587)
                FROM {table} {how} WHERE {rows}"
        );
        conn.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
    };
    let held = sums("NOT INDEXED")?;
    // One that cannot even be read is damaged as well.
    Ok(sums(&format!("INDEXED BY {index}")) == Ok(held))
}
