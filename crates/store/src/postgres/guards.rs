//! What acts on the tables of itself: the triggers that keep facts as they are, and nothing of others. A trigger, a rule or a
//! policy changes what a write means, or hides rows from whoever reads.

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

/// Checks that all of ours are there, and nothing else. One that is disabled is no damage: it lets through what the chain tells.
pub(crate) async fn check(conn: &Client) -> Result<()> {
    let mut found = Vec::new();
    for row in conn.query(FOUND, &[]).await.or_store()? {
        let [name, table, definition]: [String; 3] = [column(&row, 0)?, column(&row, 1)?, column(&row, 2)?];
        let definition = cut(&name, &definition);
        found.push([name, table, definition]);
    }
    let bad = |what: String| Err(StoreError::Corrupt(what));
    if let Some([name, table, _]) = OURS.iter().find(|own| !found.iter().any(|one| one == *own)) {
        return bad(format!("{name} on {table} is not defined as this program defines it"));
    }
    match found.iter().find(|one| !OURS.iter().any(|own| *one == own)) {
        None => Ok(()),
        Some([name, table, _]) => bad(format!("{name} on {table} is none of this program's")),
    }
}
