//! Queries on the tasks' read model.

use deadpool_postgres::Object;
use tallystick_app::port::journal::StoreError;
use tallystick_app::port::limits::STATES_MAX;
use tallystick_app::port::tasks::{TaskQuery, TaskRow};
use tallystick_core::{BlockHeight, Id, Timestamp};
use tallystick_escrow::Task;
use tokio_postgres::{Row, types::ToSql};
use uuid::Uuid;

use crate::chain;
use crate::columns::page_of_both;
use crate::postgres::error::{OrStore, Result, bytes_32, column, digest, signed, unsigned, unsigned_32};
use crate::postgres::facts::page;
use crate::postgres::plan::storable;

const FORMAT: &str = "SELECT format FROM read_models WHERE name = 'tasks'";
const ROWS: &str = "SELECT id, version, state, requester, worker, wake_at, wake_height, view FROM tasks
    WHERE id > $1 ORDER BY id LIMIT $2";
const ONE: &str = "SELECT view FROM tasks WHERE id = $1";
const DUE_BY_HEIGHT: &str = "SELECT id FROM tasks WHERE wake_height <= $1 ORDER BY wake_height, id LIMIT $2";
const DUE_BY_TIME: &str = "SELECT id FROM tasks WHERE wake_at <= $1 ORDER BY wake_at, id LIMIT $2";
const NEXT_WAKE: &str = "SELECT wake_at FROM tasks WHERE wake_at > $1 ORDER BY wake_at LIMIT 1";

/// What is asked often, with the number of its values.
#[cfg(test)]
pub(crate) const STATEMENTS: &[(&str, usize)] =
    &[(FORMAT, 0), (ONE, 1), (DUE_BY_HEIGHT, 2), (DUE_BY_TIME, 2), (NEXT_WAKE, 1)];

/// A query's statement, with the number of its values.
#[cfg(test)]
pub(crate) fn statement(query: &TaskQuery) -> (String, usize) {
    let Select { sql, params } = Select::of(query);
    (sql, params.len())
}

/// The format of the rows; 0 while they are not complete.
pub(crate) async fn format(conn: &Object) -> Result<u32> {
    let statement = conn.prepare_cached(FORMAT).await.or_store()?;
    let row = conn.query_opt(&statement, &[]).await.or_store()?;
    row.map_or(Ok(0), |row| unsigned_32(&row, 0))
}

/// Rows as they are stored, after a task.
pub(crate) async fn rows(conn: &Object, after: Option<Id<Task>>, limit: u32) -> Result<Vec<TaskRow>> {
    let after = after.map_or_else(Uuid::nil, |id| Uuid::from_bytes(*id.as_bytes()));
    let statement = conn.prepare_cached(ROWS).await.or_store()?;
    let rows = conn.query(&statement, &[&after, &page(limit)]).await.or_store()?;
    rows.iter().map(task_row).collect()
}

fn task_row(row: &Row) -> Result<TaskRow> {
    let (wake_at, wake_height): (Option<i64>, Option<i64>) = (column(row, 5)?, column(row, 6)?);
    Ok(TaskRow {
        id: task_id(column(row, 0)?)?,
        version: unsigned(row, 1)?,
        state: column::<String>(row, 2)?.into(),
        requester: chain::key(digest(row, 3)?.0)?,
        worker: bytes_32(row, 4)?.map(chain::key).transpose()?,
        wake_at: wake_at.map(|_| unsigned(row, 5)).transpose()?.map(Timestamp::from_millis),
        wake_height: wake_height.map(|_| unsigned_32(row, 6)).transpose()?.map(BlockHeight),
        view: column(row, 7)?,
    })
}

fn task_id(id: Uuid) -> Result<Id<Task>> {
    Id::try_new(id).map_err(|error| StoreError::Corrupt(format!("task {id}: {error}")))
}

/// A task's view.
pub(crate) async fn view(conn: &Object, id: Id<Task>) -> Result<Option<String>> {
    let statement = conn.prepare_cached(ONE).await.or_store()?;
    let row = conn.query_opt(&statement, &[&Uuid::from_bytes(*id.as_bytes())]).await.or_store()?;
    row.map(|row| column(&row, 0)).transpose()
}

/// Views, the newest task first.
pub(crate) async fn views(conn: &Object, query: &TaskQuery) -> Result<Vec<String>> {
    if query.states.len() > STATES_MAX {
        return Err(StoreError::Limit(format!("{} states in a query, {STATES_MAX} at most", query.states.len())));
    }
    let Select { sql, params } = Select::of(query);
    let statement = conn.prepare_cached(&sql).await.or_store()?;
    let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| &**param as _).collect();
    let rows = conn.query(&statement, &params).await.or_store()?;
    rows.iter().map(|row| column(row, 0)).collect()
}

/// Tasks that are due: those by height first, as heights guard money.
pub(crate) async fn due(
    conn: &Object,
    now: Timestamp,
    height: BlockHeight,
    skip: u32,
    limit: u32,
) -> Result<Vec<Id<Task>>> {
    // What comes after the first `skip` of both may be due by either.
    let most = i64::from(skip).saturating_add(page(limit));
    let by_height = ids(conn, DUE_BY_HEIGHT, i64::from(height.0), most).await?;
    let by_time = ids(conn, DUE_BY_TIME, signed(now.as_millis()), most).await?;
    Ok(page_of_both(by_height, by_time, skip, limit))
}

/// The first wake-up time of any task after this one.
pub(crate) async fn next_wake(conn: &Object, time: Timestamp) -> Result<Option<Timestamp>> {
    let statement = conn.prepare_cached(NEXT_WAKE).await.or_store()?;
    let row = conn.query_opt(&statement, &[&signed(time.as_millis())]).await.or_store()?;
    row.map(|row| unsigned(&row, 0).map(Timestamp::from_millis)).transpose()
}

async fn ids(conn: &Object, sql: &str, until: i64, limit: i64) -> Result<Vec<Id<Task>>> {
    let statement = conn.prepare_cached(sql).await.or_store()?;
    let rows = conn.query(&statement, &[&until, &limit]).await.or_store()?;
    rows.iter().map(|row| task_id(column(row, 0)?)).collect()
}

/// A query with its values.
struct Select<'a> {
    sql: String,
    params: Vec<Box<dyn ToSql + Sync + Send + 'a>>,
}

impl<'a> Select<'a> {
    /// With a party, that party's index is read from its newest task down, and the states are only a filter. With
    /// states alone, each state's index gives its newest page, and the newest of these are the answer. Either way, what
    /// is read does not grow with what others have.
    fn of(query: &'a TaskQuery) -> Self {
        let mut select = Self { sql: String::new(), params: Vec::new() };
        let party = query.requester.is_some() || query.worker.is_some();
        let limit = select.bind(page(query.limit));
        let mut common = String::new();
        for (column, key) in [("requester", query.requester), ("worker", query.worker)] {
            if let Some(key) = key {
                let place = select.bind(key.to_bytes().to_vec());
                common += &format!(" AND {column} = {place}");
            }
        }
        if let Some(before) = query.before {
            let place = select.bind(Uuid::from_bytes(*before.as_bytes()));
            common += &format!(" AND id < {place}");
        }
        let order = format!("ORDER BY id DESC LIMIT {limit}");
        if query.states.is_empty() {
            select.sql = format!("SELECT view FROM tasks WHERE true{common} {order}");
            return select;
        }
        // No task is in a state that cannot be stored.
        let states: Vec<&str> = query.states.iter().map(String::as_str).filter(|state| storable(state)).collect();
        let states = select.bind(states);
        select.sql = if party {
            // The empty text keeps PostgreSQL from choosing the states' index.
            format!("SELECT view FROM tasks WHERE state || '' = ANY ({states}::text[]){common} {order}")
        } else {
            format!(
                "SELECT view FROM tasks WHERE id IN (SELECT page.id FROM unnest({states}::text[]) AS wanted,
                    LATERAL (SELECT id FROM tasks WHERE state = wanted{common} {order}) AS page) {order}"
            )
        };
        select
    }

    /// Adds a value, and answers its place in the text.
    fn bind(&mut self, value: impl ToSql + Sync + Send + 'a) -> String {
        self.params.push(Box::new(value));
        format!("${}", self.params.len())
    }
}
