//! Queries on the tasks' read model.

use rusqlite::{Connection, OptionalExtension, params, params_from_iter, types::ToSqlOutput};
use tallystick_app::port::journal::StoreError;
use tallystick_app::port::limits::{PAGE_MAX, STATES_MAX};
use tallystick_app::port::tasks::{TaskQuery, TaskRow};
use tallystick_core::{BlockHeight, Id, Timestamp};
use tallystick_escrow::Task;

use crate::chain;
use crate::columns::page_of_both;
use crate::sqlite::error::{OrStore, Result};
use crate::sqlite::facts::bound;

const SHOW: &str = "INSERT INTO tasks (id, version, state, requester, worker, wake_at, wake_height, view)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state,
        requester = excluded.requester, worker = excluded.worker, wake_at = excluded.wake_at,
        wake_height = excluded.wake_height, view = excluded.view
    WHERE excluded.version > tasks.version";
const CLEAR: &str = "DELETE FROM tasks";
const FORMAT: &str = "SELECT format FROM read_models WHERE name = 'tasks'";
const SET_FORMAT: &str = "INSERT INTO read_models (name, format) VALUES ('tasks', ?1)
    ON CONFLICT (name) DO UPDATE SET format = excluded.format";
const ROWS: &str = "SELECT id, version, state, requester, worker, wake_at, wake_height, view FROM tasks
    WHERE id > ?1 ORDER BY id LIMIT ?2";
const ONE: &str = "SELECT view FROM tasks WHERE id = ?1";
const DUE_BY_HEIGHT: &str = "SELECT id FROM tasks WHERE wake_height <= ?1 ORDER BY wake_height, id LIMIT ?2";
const DUE_BY_TIME: &str = "SELECT id FROM tasks WHERE wake_at <= ?1 ORDER BY wake_at, id LIMIT ?2";
const NEXT_WAKE: &str = "SELECT wake_at FROM tasks WHERE wake_at > ?1 ORDER BY wake_at LIMIT 1";

/// Writes a row, unless the same or a later version of it is there.
pub(crate) fn show(conn: &Connection, row: &TaskRow) -> rusqlite::Result<()> {
    conn.prepare_cached(SHOW)?.execute(params![
        row.id.as_bytes(),
        row.version,
        &*row.state,
        row.requester.to_bytes(),
        row.worker.map(|worker| worker.to_bytes()),
        row.wake_at.map(|time| time.as_millis()),
        row.wake_height.map(|height| height.0),
        row.view
    ])?;
    Ok(())
}

/// Deletes all rows, and says that they are not complete.
pub(crate) fn clear(conn: &Connection) -> rusqlite::Result<()> {
    conn.prepare_cached(CLEAR)?.execute([])?;
    set_format(conn, 0)
}

/// The format of the rows; 0 while they are not complete.
pub(crate) fn format(conn: &Connection) -> Result<u32> {
    let format = conn
        .prepare_cached(FORMAT)
        .and_then(|mut statement| statement.query_row([], |row| row.get(0)).optional())
        .or_store()?;
    Ok(format.unwrap_or(0))
}

/// Sets the format of the rows.
pub(crate) fn set_format(conn: &Connection, format: u32) -> rusqlite::Result<()> {
    conn.prepare_cached(SET_FORMAT)?.execute([format])?;
    Ok(())
}

/// Rows as they are stored, after a task.
pub(crate) fn rows(conn: &Connection, after: Option<Id<Task>>, limit: u32) -> Result<Vec<TaskRow>> {
    let after = after.map_or_else(Vec::new, |id| id.as_bytes().to_vec());
    let mut statement = conn.prepare_cached(ROWS).or_store()?;
    let mut rows = statement.query(params![after, limit.min(PAGE_MAX)]).or_store()?;
    let mut found = Vec::new();
    while let Some(row) = rows.next().or_store()? {
        let worker: Option<[u8; 32]> = row.get(4).or_store()?;
        let state: String = row.get(2).or_store()?;
        found.push(TaskRow {
            id: task_id(row.get(0).or_store()?)?,
            version: row.get(1).or_store()?,
            state: state.into(),
            requester: chain::key(row.get(3).or_store()?)?,
            worker: worker.map(chain::key).transpose()?,
            wake_at: row.get::<_, Option<u64>>(5).or_store()?.map(Timestamp::from_millis),
            wake_height: row.get::<_, Option<u32>>(6).or_store()?.map(BlockHeight),
            view: row.get(7).or_store()?,
        });
    }
    Ok(found)
}

/// A task's view.
pub(crate) fn view(conn: &Connection, id: Id<Task>) -> Result<Option<String>> {
    conn.prepare_cached(ONE)
        .and_then(|mut statement| statement.query_row([id.as_bytes()], |row| row.get(0)).optional())
        .or_store()
}

/// Views, the newest task first.
pub(crate) fn views(conn: &Connection, query: &TaskQuery) -> Result<Vec<String>> {
    if query.states.len() > STATES_MAX {
        return Err(StoreError::Limit(format!("{} states in a query, {STATES_MAX} at most", query.states.len())));
    }
    let Select { sql, params } = Select::of(query);
    let mut statement = conn.prepare_cached(&sql).or_store()?;
    let rows = statement.query_map(params_from_iter(params), |row| row.get(0)).or_store()?;
    rows.collect::<rusqlite::Result<_>>().or_store()
}

/// Tasks that are due: those by height first, as heights guard money.
pub(crate) fn due(
    conn: &Connection,
    now: Timestamp,
    height: BlockHeight,
    skip: u32,
    limit: u32,
) -> Result<Vec<Id<Task>>> {
    // What comes after the first `skip` of both may be due by either.
    let most = skip.saturating_add(limit.min(PAGE_MAX));
    let by_height = ids(conn, DUE_BY_HEIGHT, u64::from(height.0), most)?;
    let by_time = ids(conn, DUE_BY_TIME, bound(now.as_millis()), most)?;
    Ok(page_of_both(by_height, by_time, skip, limit))
}

/// The first wake-up time of any task after this one.
pub(crate) fn next_wake(conn: &Connection, time: Timestamp) -> Result<Option<Timestamp>> {
    let wake = conn
        .prepare_cached(NEXT_WAKE)
        .and_then(|mut statement| statement.query_row([bound(time.as_millis())], |row| row.get(0)).optional())
        .or_store()?;
    Ok(wake.map(Timestamp::from_millis))
}

fn ids(conn: &Connection, sql: &str, until: u64, limit: u32) -> Result<Vec<Id<Task>>> {
    let mut statement = conn.prepare_cached(sql).or_store()?;
    let rows = statement.query_map(params![until, limit], |row| row.get::<_, [u8; 16]>(0)).or_store()?;
    rows.map(|bytes| task_id(bytes.or_store()?)).collect()
}

fn task_id(bytes: [u8; 16]) -> Result<Id<Task>> {
    let id = uuid::Uuid::from_bytes(bytes);
    Id::try_new(id).map_err(|error| StoreError::Corrupt(format!("task {id}: {error}")))
}

/// A query with its values.
struct Select<'a> {
    sql: String,
    params: Vec<ToSqlOutput<'a>>,
}

impl<'a> Select<'a> {
    /// With a party, that party's index is read from its newest task down, and the states are only a filter (the `+`
    /// keeps SQLite from choosing their index). With states alone, each state's index gives its newest page, and
    /// the newest of these are the answer. Either way, what is read does not grow with what others have.
    fn of(query: &'a TaskQuery) -> Self {
        let mut select = Self { sql: String::new(), params: Vec::new() };
        let party = query.requester.is_some() || query.worker.is_some();
        let limit = select.bind(query.limit.min(PAGE_MAX));
        let mut common = String::new();
        for (column, key) in [("requester", query.requester), ("worker", query.worker)] {
            if let Some(key) = key {
                let place = select.bind(key.to_bytes().to_vec());
                common += &format!(" AND {column} = {place}");
            }
        }
        if let Some(before) = query.before {
            let place = select.bind(before.as_bytes().to_vec());
            common += &format!(" AND id < {place}");
        }
        let states: Vec<String> = query.states.iter().map(|state| select.bind(state.as_str())).collect();
        let order = format!("ORDER BY id DESC LIMIT {limit}");
        select.sql = if states.is_empty() {
            format!("SELECT view FROM tasks WHERE true{common} {order}")
        } else if party {
            format!("SELECT view FROM tasks WHERE +state IN ({}){common} {order}", states.join(", "))
        } else {
            let pages: Vec<String> = states
                .iter()
                .map(|state| format!("SELECT * FROM (SELECT id FROM tasks WHERE state = {state}{common} {order})"))
                .collect();
            format!("SELECT view FROM tasks WHERE id IN ({}) {order}", pages.join(" UNION "))
        };
        select
    }

    /// Adds a value, and answers its place in the text.
    fn bind(&mut self, value: impl Into<ToSqlOutput<'a>>) -> String {
        self.params.push(value.into());
        format!("?{}", self.params.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ToSql;
    use tallystick_core::NodeKey;

    /// Every kind of query is served by an index, and none sorts the table.
    #[test]
    fn queries_use_their_indexes() {
        let conn = Connection::open_in_memory().expect("a database in memory opens");
        conn.execute_batch(include_str!("../../migrations/sqlite/0001_journal.sql")).expect("the schema is valid");
        let key = NodeKey::try_new(&[1; 32]).expect("a valid key").public();
        let states = vec!["held".to_owned(), "open".to_owned()];
        let page = TaskQuery { limit: 10, before: Some(Id::from_parts(1, [0; 10])), ..TaskQuery::default() };
        let cases = [
            (page.clone(), "sqlite_autoindex_tasks_1"),
            (TaskQuery { states: states.clone(), ..page.clone() }, "tasks_by_state"),
            (TaskQuery { requester: Some(key), ..page.clone() }, "tasks_by_requester"),
            (TaskQuery { worker: Some(key), ..page.clone() }, "tasks_by_worker"),
            (TaskQuery { requester: Some(key), states: states.clone(), ..page.clone() }, "tasks_by_requester"),
            (TaskQuery { worker: Some(key), states, ..page }, "tasks_by_worker"),
        ];
        for (query, index) in cases {
            let Select { sql, params } = Select::of(&query);
            let plan = plan(&conn, &sql, params);
            assert!(
                plan.contains(&format!("SEARCH tasks USING INDEX {index}"))
                    || plan.contains(&format!("SEARCH tasks USING COVERING INDEX {index}")),
                "{sql}\n{plan}"
            );
            assert!(!plan.contains("SCAN tasks"), "{sql}\n{plan}");
        }
        for (sql, index) in [(DUE_BY_HEIGHT, "tasks_by_wake_height"), (DUE_BY_TIME, "tasks_by_wake_at")] {
            let plan = plan(&conn, sql, vec![1.into(), 1.into()]);
            assert!(plan.contains(&format!("SEARCH tasks USING INDEX {index}")), "{sql}\n{plan}");
        }
        assert!(plan(&conn, NEXT_WAKE, vec![1.into()]).contains("tasks_by_wake_at"));
    }

    fn plan(conn: &Connection, sql: &str, params: Vec<ToSqlOutput<'_>>) -> String {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a valid query");
        let params = params.iter().map(|value| value as &dyn ToSql).collect::<Vec<_>>();
        let rows = statement.query_map(params.as_slice(), |row| row.get::<_, String>(3)).expect("a plan");
        rows.collect::<rusqlite::Result<Vec<_>>>().expect("text").join("\n")
    }
}
