//! The indexes by which a node finds what is due.

use rusqlite::Connection;

use crate::sqlite::outbox;

/// Timers find tasks by these, and the outbox its effects: index, table, column, and which rows are in it.
const DUE: [[&str; 4]; 3] = [
    ["tasks_by_wake_at", "tasks", "wake_at", "wake_at IS NOT NULL"],
    ["tasks_by_wake_height", "tasks", "wake_height", "wake_height IS NOT NULL"],
    ["outbox_pending", "outbox", "due", "finished = 0"],
];

/// Makes each of them again that does not say what its table holds, and effects that no program writes such that they can be
/// worked. Answers whether there was something to mend.
///
/// Each table is read, and each index: how many rows there are, and a sum over when and where they are.
pub(crate) fn mend_due(conn: &Connection) -> rusqlite::Result<bool> {
    let mut mended = outbox::mend(conn)?;
    for [index, table, column, rows] in DUE {
        let sums = |how: &str| -> rusqlite::Result<(u64, Option<i64>)> {
            let sql = format!(
                "SELECT count(*), sum((ifnull({column}, -1) % 2147483647) * (rowid % 2147483629) % 2147483587)
                    FROM {table} {how} WHERE {rows}"
            );
            conn.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))
        };
        let held = sums("NOT INDEXED")?;
        // One that cannot even be read is damaged as well.
        if sums(&format!("INDEXED BY {index}")) != Ok(held) {
            tracing::error!(
                index,
                "not all that is due would have been found: the index is made again; run `tally fsck`"
            );
            conn.execute_batch(&format!("REINDEX {index}"))?;
            mended = true;
        }
    }
    Ok(mended)
}
