//! Whether each index says what its table holds: by queries alone, as the extension that does so needs rights that few roles
//! have.
//!
//! Each index is asked in four ways, and all must agree with what the table says when it is read from its first page to its
//! last: by its own keys in both directions; by the rows that they lead to; and for each key, from its root down.

use tallystick_app::port::journal::StoreError;
use tallystick_postgres::{PostgresOptions, connect_with};
use tokio_postgres::{Client, Row};

use crate::evidence::{ORPHANS, orphan};
use crate::postgres::error::{OrStore, Result, column};

/// Names of index and table, the condition of a partial index, and its columns.
const INDEXES: &str = "SELECT i.indexrelid::regclass::text, i.indrelid::regclass::text,
        coalesce(pg_get_expr(i.indpred, i.indrelid), 'true'),
        ARRAY(SELECT pg_get_indexdef(i.indexrelid, n, true) FROM generate_series(1, i.indnkeyatts) AS n ORDER BY n)
    FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relkind = 'r' AND t.relnamespace = quote_ident(current_schema())::regnamespace AND i.indisvalid
    ORDER BY 1";
const TABLES: &str = "SELECT oid::regclass::text FROM pg_class
    WHERE relkind = 'r' AND relnamespace = quote_ident(current_schema())::regnamespace ORDER BY 1";
/// What is set here ends with the savepoint. All of a table is read, however long it takes.
const BEGIN: &str = "SAVEPOINT indexes; SET LOCAL statement_timeout = 0; SET LOCAL max_parallel_workers_per_gather = 0;
    SET LOCAL enable_bitmapscan = off; SET LOCAL enable_incremental_sort = off";
const END: &str = "ROLLBACK TO SAVEPOINT indexes";
const BY_TABLE: &str =
    "SET LOCAL enable_seqscan = on; SET LOCAL enable_indexscan = off; SET LOCAL enable_indexonlyscan = off";
/// An order that cannot be sorted is that of the one index that has it.
const BY_INDEX: &str = "SET LOCAL enable_seqscan = off; SET LOCAL enable_indexscan = on;
    SET LOCAL enable_indexonlyscan = on; SET LOCAL enable_sort = off";
/// Timers find tasks by these, and the outbox its effects: index, table, column, and which rows are in it.
const DUE: [[&str; 4]; 3] = [
    ["tasks_by_wake_at", "tasks", "wake_at", "wake_at IS NOT NULL"],
    ["tasks_by_wake_height", "tasks", "wake_height", "wake_height IS NOT NULL"],
    [PENDING, "outbox", "due", "NOT finished"],
];
/// The outbox's.
const PENDING: &str = "outbox_pending";
/// No limit, for as long as the session lasts.
const UNLIMITED: &str = "SET statement_timeout = 0";

/// How many there are, with a sum of all keys and one of all rows: whatever their order.
#[derive(PartialEq)]
struct Sums {
    count: i64,
    keys: Option<String>,
    rows: Option<String>,
}

struct Index {
    name: String,
    table: String,
    condition: String,
    columns: Vec<String>,
}

/// Checks every index of this schema, and that no evidence is without its piece, within a transaction that only reads.
pub(crate) async fn check(conn: &Client) -> Result<()> {
    conn.batch_execute(BEGIN).await.or_store()?;
    let indexes = conn.query(INDEXES, &[]).await.or_store()?;
    for index in indexes.iter().map(Index::of) {
        let index = index?;
        if !index.agrees(conn).await? {
            let Index { name, table, .. } = index;
            return Err(StoreError::Corrupt(format!("the index {name} does not say what {table} holds")));
        }
    }
    conn.batch_execute(BY_TABLE).await.or_store()?;
    if conn.query_opt(ORPHANS, &[]).await.or_store()?.is_some() {
        return Err(orphan());
    }
    conn.batch_execute(END).await.or_store()
}

/// Makes each index again by which timers find tasks and the outbox its effects, if it does not say what the table holds. Answers
/// whether one did not.
///
/// For a start this is enough, and takes an eighth of what [`check`] does: the keys that each index tells from its first to its
/// last, as timers and outbox read them.
pub(crate) async fn mend_due(options: &PostgresOptions) -> Result<bool> {
    let conn = connect_with(options, "-c lock_timeout=15s").await?;
    conn.batch_execute(UNLIMITED).await.or_store()?;
    let mut mended = false;
    for due @ [index, ..] in DUE {
        // What is compared must not change meanwhile.
        conn.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.or_store()?;
        conn.batch_execute(BEGIN).await.or_store()?;
        let agrees = due_agrees(&conn, due).await;
        conn.batch_execute("ROLLBACK").await.or_store()?;
        // One that cannot even be read is damaged as well.
        if agrees != Ok(true) {
            tracing::error!(
                index,
                "not all that is due would have been found: the index is made again; run `tally fsck`"
            );
            if index == PENDING {
                unfinish(&conn).await?;
            }
            conn.batch_execute(&format!("REINDEX INDEX {index}")).await.or_store()?;
            mended = true;
        }
    }
    Ok(mended)
}

/// Calls each effect unfinished that the index does, if it can be read: made again of the table it would not name one any more that a
/// bit marks as done, and to do an effect twice harms nobody.
async fn unfinish(conn: &Client) -> Result<()> {
    conn.batch_execute("BEGIN").await.or_store()?;
    conn.batch_execute(BEGIN).await.or_store()?;
    conn.batch_execute(BY_INDEX).await.or_store()?;
    let rows = conn.query("SELECT id FROM outbox WHERE NOT finished ORDER BY due, id", &[]).await;
    conn.batch_execute("ROLLBACK").await.or_store()?;
    let Ok(rows) = rows else { return Ok(()) };
    let ids = rows.iter().map(|row| column::<i64>(row, 0)).collect::<Result<Vec<_>>>()?;
    let sql = "UPDATE outbox SET finished = false WHERE id = ANY ($1) AND finished";
    let count = conn.execute(sql, &[&ids]).await.or_store()?;
    if count > 0 {
        tracing::error!(count, "effects seemed to be done that the index calls unfinished: they are done now");
    }
    Ok(())
}

async fn due_agrees(conn: &Client, [_, table, column, rows]: [&str; 4]) -> Result<bool> {
    let sums = async |how: &str, order: &str| -> Result<(i64, Option<i64>)> {
        conn.batch_execute(how).await.or_store()?;
        let sql = format!(
            "SELECT count(*), sum(hashtext(id::text) # ({column} % 2147483647)::int)
                FROM (SELECT {column}, id FROM {table} WHERE {rows} {order} OFFSET 0) AS due"
        );
        let row = conn.query_one(&sql, &[]).await.or_store()?;
        Ok((self::column(&row, 0)?, self::column(&row, 1)?))
    };
    let held = sums(BY_TABLE, "").await?;
    Ok(sums(BY_INDEX, &format!("ORDER BY {column}, id")).await? == held)
}

/// Makes every index of this schema again from its table.
pub(crate) async fn make_again(options: &PostgresOptions) -> Result<()> {
    let conn = connect_with(options, "-c lock_timeout=15s").await?;
    conn.batch_execute(UNLIMITED).await.or_store()?;
    for row in conn.query(TABLES, &[]).await.or_store()? {
        let table: String = column(&row, 0)?;
        conn.batch_execute(&format!("REINDEX TABLE {table}")).await.or_store()?;
    }
    Ok(())
}

impl Index {
    fn of(row: &Row) -> Result<Self> {
        Ok(Self { name: column(row, 0)?, table: column(row, 1)?, condition: column(row, 2)?, columns: column(row, 3)? })
    }

    async fn agrees(&self, conn: &Client) -> Result<bool> {
        conn.batch_execute(BY_TABLE).await.or_store()?;
        let held = sums(&conn.query_one(&self.sums(&self.columns.join(", "), ""), &[]).await.or_store()?)?;
        conn.batch_execute(BY_INDEX).await.or_store()?;
        let by_rows = conn.query_one(&self.sums(&self.columns.join(", "), &self.order("")), &[]).await.or_store()?;
        if sums(&by_rows)? != held {
            return Ok(false);
        }
        for (direction, wrong) in [("", "<"), (" DESC", ">")] {
            let keys = conn.query_one(&self.keys(direction, wrong), &[]).await.or_store()?;
            let (count, keys, disorder): (i64, Option<String>, i64) =
                (column(&keys, 0)?, column(&keys, 1)?, column(&keys, 2)?);
            if (count, keys, disorder) != (held.count, held.keys.clone(), 0) {
                return Ok(false);
            }
        }
        let lost: i64 = column(&conn.query_one(&self.lost(), &[]).await.or_store()?, 0)?;
        Ok(lost == 0)
    }

    fn order(&self, direction: &str) -> String {
        let columns: Vec<String> = self.columns.iter().map(|column| format!("{column}{direction}")).collect();
        format!("ORDER BY {}", columns.join(", "))
    }

    /// The rows themselves, which no index holds, in this order or in the table's own.
    fn sums(&self, columns: &str, order: &str) -> String {
        let Self { table, condition, .. } = self;
        format!(
            "SELECT count(*), sum(hashtextextended(key, 0)::numeric)::text, sum(hashtextextended(place, 0)::numeric)::text
                FROM (SELECT ROW({columns})::text AS key, ROW({columns}, ctid)::text AS place
                    FROM {table} WHERE {condition} {order} OFFSET 0) AS held"
        )
    }

    /// The keys as the index holds them, and how many follow one that they must not.
    fn keys(&self, direction: &str, wrong: &str) -> String {
        let Self { table, condition, .. } = self;
        let (columns, order) = (self.columns.join(", "), self.order(direction));
        format!(
            "SELECT count(*), sum(hashtextextended(key::text, 0)::numeric)::text, count(*) FILTER (WHERE key {wrong} before)
                FROM (SELECT key, lag(key) OVER () AS before
                    FROM (SELECT ROW({columns}) AS key FROM {table} WHERE {condition} {order} OFFSET 0) AS keys) AS pairs"
        )
    }

    /// How many keys are not found from the root down.
    fn lost(&self) -> String {
        let Self { table, condition, .. } = self;
        let (columns, order) = (self.columns.join(", "), self.order(""));
        let of = |alias: &str| {
            let columns: Vec<String> = self.columns.iter().map(|column| format!("{alias}.{column}")).collect();
            format!("ROW({})", columns.join(", "))
        };
        let (found, own) = (of("found"), of("own"));
        format!(
            "SELECT count(*) FROM (SELECT {columns} FROM {table} WHERE {condition} {order} OFFSET 0) AS own
                WHERE (SELECT {found} FROM {table} AS found WHERE {condition} AND {found} >= {own} {order} LIMIT 1)
                    IS DISTINCT FROM {own}"
        )
    }
}

fn sums(row: &Row) -> Result<Sums> {
    Ok(Sums { count: column(row, 0)?, keys: column(row, 1)?, rows: column(row, 2)? })
}
