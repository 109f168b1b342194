//! What acts on the tables of itself: the triggers that keep facts as they are, the indexes, and nothing of others. A trigger, a rule
//! or a policy changes what a write means, or hides rows from whoever reads; an index of somebody else may run a function of theirs,
//! and without one of ours a name can be held twice.

use tallystick_app::port::journal::StoreError;
use tokio_postgres::Client;

use crate::postgres::error::{OrStore, Result, column};

/// Each as PostgreSQL tells it. Foreign keys are not among them.
const FOUND: &str = "SELECT t.tgname::text, c.relname::text,
        pg_get_triggerdef(t.oid, true)
    FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND NOT t.tgisinternal
    UNION ALL SELECT p.proname::text, 'triggers', p.prosrc FROM pg_proc p
    WHERE p.pronamespace = quote_ident(current_schema())::regnamespace AND p.proname LIKE 'tallystick%'
    UNION ALL SELECT r.rulename::text, c.relname::text, pg_get_ruledef(r.oid)
    FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND c.relkind IN ('r', 'p')
    UNION ALL SELECT p.polname::text, c.relname::text, 'POLICY'
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
    UNION ALL SELECT 'row level security', c.relname::text, 'ON' FROM pg_class c
    WHERE c.relnamespace = quote_ident(current_schema())::regnamespace AND (c.relrowsecurity OR c.relforcerowsecurity)
    ORDER BY 1";
/// The indexes of these tables, each as PostgreSQL tells it, but for what is alike in all of ours.
const INDEXES: &str = "SELECT c.relname::text, t.relname::text,
        CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END
            || coalesce(substring(pg_get_indexdef(i.indexrelid, 0, true) FROM ' USING btree (.*)$'), 'another kind')
            || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
    WHERE t.relnamespace = quote_ident(current_schema())::regnamespace AND t.relname = ANY ($1) ORDER BY 1";
/// Tables that are emptied after a crash, and sequences that begin again.
const UNLOGGED: &str =
    "SELECT CASE relkind WHEN 'r' THEN 'TABLE ' ELSE 'SEQUENCE ' END || quote_ident(relname) FROM pg_class
    WHERE relkind IN ('r', 'S') AND relpersistence <> 'p' AND relnamespace = quote_ident(current_schema())::regnamespace
    ORDER BY 1 LIMIT 1";

/// Ours: name, table, columns with condition.
const OUR_INDEXES: [[&str; 3]; 25] = [
    ["authorities_pkey", "authorities", "UNIQUE (digest)"],
    ["copying_pkey", "copying", "UNIQUE (one)"],
    ["evidence_keys_pkey", "evidence_keys", "UNIQUE (task, dispute, hash, reader)"],
    ["evidence_parts_pkey", "evidence_parts", "UNIQUE (task, dispute, hash, part)"],
    ["evidence_pkey", "evidence", "UNIQUE (task, dispute, hash)"],
    ["facts_pkey", "facts", "UNIQUE (seq)"],
    ["facts_stream_version_key", "facts", "UNIQUE (stream, version)"],
    ["head_pkey", "head", "UNIQUE (one)"],
    ["log_damaged_pkey", "log_damaged", "UNIQUE (one)"],
    ["log_state_pkey", "log_state", "UNIQUE (one)"],
    ["log_tiles_pkey", "log_tiles", "UNIQUE (level, idx)"],
    ["node_pkey", "node", "UNIQUE (one)"],
    ["outbox_key_key", "outbox", "UNIQUE (key)"],
    ["outbox_pending", "outbox", "(due, id) WHERE NOT finished"],
    ["outbox_pkey", "outbox", "UNIQUE (id)"],
    ["read_models_pkey", "read_models", "UNIQUE (name)"],
    ["reservations_pkey", "reservations", "UNIQUE (space, name)"],
    ["seen_requests_oldest", "seen_requests", "(forget_after)"],
    ["seen_requests_pkey", "seen_requests", "UNIQUE (id)"],
    ["tasks_by_requester", "tasks", "(requester, id)"],
    ["tasks_by_state", "tasks", "(state, id)"],
    ["tasks_by_wake_at", "tasks", "(wake_at, id) WHERE wake_at IS NOT NULL"],
    ["tasks_by_wake_height", "tasks", "(wake_height, id) WHERE wake_height IS NOT NULL"],
    ["tasks_by_worker", "tasks", "(worker, id) WHERE worker IS NOT NULL"],
    ["tasks_pkey", "tasks", "UNIQUE (id)"],
];
/// Ours: name, table, definition.
const OURS: [[&str; 3]; 7] = [
    ["authorities_stay", "authorities", "BEFORE DELETE ON authorities FOR EACH ROW"],
    ["authorities_stay_all", "authorities", "BEFORE TRUNCATE ON authorities FOR EACH STATEMENT"],
    ["authorities_stay_as_they_are", "authorities", "BEFORE UPDATE ON authorities FOR EACH ROW"],
    ["facts_stay", "facts", "BEFORE DELETE ON facts FOR EACH ROW"],
    ["facts_stay_all", "facts", "BEFORE TRUNCATE ON facts FOR EACH STATEMENT"],
    ["facts_stay_as_they_are", "facts", "BEFORE UPDATE ON facts FOR EACH ROW"],
    [
        "tallystick_refuse",
        "triggers",
        " BEGIN RAISE EXCEPTION '% is never changed and nothing is deleted from it', TG_TABLE_NAME; END ",
    ],
];

/// A trigger's definition without what is alike in all of ours, and without its condition: each version of PostgreSQL may write
/// that in a way of its own, and what it lets through, the chain tells.
fn cut(name: &str, definition: &str) -> String {
    let inner = definition
        .strip_prefix(&format!("CREATE TRIGGER {name} "))
        .and_then(|rest| rest.strip_suffix(" EXECUTE FUNCTION tallystick_refuse()"));
    let inner = inner.map(|inner| inner.split_once(" WHEN (").map_or(inner, |(inner, _)| inner));
    inner.unwrap_or(definition).to_owned()
}

/// Checks that nothing is emptied after a crash, be it of the journal or of the Lightning node.
///
/// # Errors
/// [`StoreError::Unavailable`] tells what to do.
pub(crate) async fn check_logged(conn: &Client) -> Result<()> {
    match conn.query_opt(UNLOGGED, &[]).await.or_store()? {
        None => Ok(()),
        Some(row) => {
            let what: String = column(&row, 0)?;
            Err(StoreError::Unavailable(format!(
                "{what} is UNLOGGED, and PostgreSQL empties it after a crash: ALTER {what} SET LOGGED, and start again"
            )))
        }
    }
}

/// Checks that all of ours are there, and nothing else. A trigger that is disabled is no damage: it lets through what the chain tells.
pub(crate) async fn check(conn: &Client) -> Result<()> {
    check_logged(conn).await?;
    let mut found = Vec::new();
    for row in conn.query(FOUND, &[]).await.or_store()? {
        let [name, table, definition]: [String; 3] = [column(&row, 0)?, column(&row, 1)?, column(&row, 2)?];
        let definition = cut(&name, &definition);
        found.push([name, table, definition]);
    }
    compare(&found, &OURS)?;
    let tables: Vec<_> = OUR_INDEXES.iter().map(|[_, table, _]| *table).collect();
    let rows = conn.query(INDEXES, &[&tables]).await.or_store()?;
    let found: Result<Vec<[String; 3]>> =
        rows.iter().map(|row| Ok([column(row, 0)?, column(row, 1)?, column(row, 2)?])).collect();
    compare(&found?, &OUR_INDEXES)
}

fn compare(found: &[[String; 3]], ours: &[[&str; 3]]) -> Result<()> {
    let bad = |what: String| Err(StoreError::Corrupt(what));
    if let Some([name, table, _]) = ours.iter().find(|own| !found.iter().any(|one| one == *own)) {
        return bad(format!("{name} on {table} is not defined as this program defines it"));
    }
    match found.iter().find(|one| !ours.iter().any(|own| *one == own)) {
        None => Ok(()),
        Some([name, table, _]) => bad(format!("{name} on {table} is none of this program's")),
    }
}
