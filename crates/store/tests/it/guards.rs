//! What acts on tables of itself: ours, as they are defined, and nothing of others.

use std::sync::Arc;
use tallystick_app::fsck::Damage;
use tallystick_app::port::snapshot::Snapshot;
use tallystick_store::{PostgresOptions, PostgresSnapshot, PostgresStore, SqliteSnapshot, SqliteStore};
use tallystick_testkit::Cluster;

use crate::tampering::{fsck, live};

/// What fsck says of each change; each is taken back.
async fn finds(now: impl AsyncFn() -> Arc<dyn Snapshot>, run: impl AsyncFn(&str), changes: &[(&str, &str, &str)]) {
    for (change, back, wanted) in changes {
        fsck(now().await).await.unwrap();
        run(change).await;
        let found = fsck(now().await).await.unwrap_err();
        assert!(matches!(&found, Damage::Database(why) if why == wanted), "{change}: {found}");
        run(back).await;
    }
    fsck(now().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_acts_on_a_table_of_itself_is_known_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    let store = SqliteStore::open(&path).unwrap();
    live(&store).await;
    store.close().await;
    let now = async || Arc::new(SqliteSnapshot::open(&path).unwrap()) as Arc<dyn Snapshot>;
    let run = async |sql: &str| rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    let changes = [
        (
            "CREATE TRIGGER eats AFTER INSERT ON facts BEGIN DELETE FROM outbox; END",
            "DROP TRIGGER eats",
            "the trigger eats on facts is none of this program's",
        ),
        (
            "CREATE UNIQUE INDEX one ON tasks (state, version, id)",
            "DROP INDEX one",
            "the index one on tasks is none of this program's",
        ),
    ];
    finds(now, run, &changes).await;
    // A table of somebody who copies the file, say, is no harm.
    run_all(&path, "CREATE TABLE _copied (seq INTEGER); CREATE INDEX _copied_by_seq ON _copied (seq)");
    fsck(Arc::new(SqliteSnapshot::open(&path).unwrap())).await.unwrap();
}

fn run_all(path: &std::path::Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

/// A database with a life in it.
async fn lived_in() -> (PostgresStore, tokio_postgres::Client, PostgresOptions) {
    let address = Cluster::shared().database();
    let options = PostgresOptions::try_new(&address).unwrap();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    live(&store).await;
    let (client, connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    (store, client, options)
}

fn ours(name: &str, table: &str) -> String {
    format!("{name} on {table} is not defined as this program defines it")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_acts_on_a_table_of_itself_is_known_on_postgres() {
    let (_store, client, options) = lived_in().await;
    let now = async || Arc::new(PostgresSnapshot::open(&options).await.unwrap()) as Arc<dyn Snapshot>;
    let run = async |sql: &str| client.batch_execute(sql).await.unwrap();
    let refuse = "CREATE OR REPLACE FUNCTION tallystick_refuse() RETURNS trigger LANGUAGE plpgsql AS $$";
    let (lame, back) = (
        format!("{refuse} BEGIN RETURN NEW; END $$"),
        format!(
            "{refuse} BEGIN RAISE EXCEPTION '% is never changed and nothing is deleted from it', TG_TABLE_NAME; END $$"
        ),
    );
    let (stay, function) = (ours("facts_stay", "facts"), ours("tallystick_refuse", "triggers"));
    let changes = [
        (
            "CREATE TRIGGER eats BEFORE INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION tallystick_refuse()",
            "DROP TRIGGER eats ON outbox",
            "eats on outbox is none of this program's",
        ),
        (
            "CREATE RULE nothing AS ON DELETE TO outbox DO INSTEAD NOTHING",
            "DROP RULE nothing ON outbox",
            "nothing on outbox is none of this program's",
        ),
        (
            "CREATE POLICY all_of_it ON tasks USING (true)",
            "DROP POLICY all_of_it ON tasks",
            "all_of_it on tasks is none of this program's",
        ),
        (
            "ALTER TABLE tasks ENABLE ROW LEVEL SECURITY",
            "ALTER TABLE tasks DISABLE ROW LEVEL SECURITY",
            "row level security on tasks is none of this program's",
        ),
        (
            "DROP TRIGGER facts_stay ON facts",
            "CREATE TRIGGER facts_stay BEFORE DELETE ON facts FOR EACH ROW EXECUTE FUNCTION tallystick_refuse()",
            &stay,
        ),
        (lame.as_str(), back.as_str(), &function),
    ];
    finds(now, run, &changes).await;
}

/// An index of somebody else may run a function of theirs; without one of ours a name can be held twice, or a task is never woken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn indexes_are_compared_on_postgres() {
    let (_store, client, options) = lived_in().await;
    let now = async || Arc::new(PostgresSnapshot::open(&options).await.unwrap()) as Arc<dyn Snapshot>;
    let run = async |sql: &str| client.batch_execute(sql).await.unwrap();
    let (wakes, versions) = (ours("tasks_by_wake_at", "tasks"), ours("facts_stream_version_key", "facts"));
    let changes = [
        ("CREATE INDEX evil ON tasks (view)", "DROP INDEX evil", "evil on tasks is none of this program's"),
        (
            "CREATE INDEX shown ON outbox (lower(key)) WHERE length(key) > 1",
            "DROP INDEX shown",
            "shown on outbox is none of this program's",
        ),
        (
            "DROP INDEX tasks_by_wake_at",
            "CREATE INDEX tasks_by_wake_at ON tasks (wake_at, id) WHERE wake_at IS NOT NULL",
            &wakes,
        ),
        (
            "ALTER TABLE facts DROP CONSTRAINT facts_stream_version_key; CREATE INDEX facts_stream_version_key ON facts (stream, version)",
            "DROP INDEX facts_stream_version_key; ALTER TABLE facts ADD UNIQUE (stream, version)",
            &versions,
        ),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'tasks_by_wake_at'::regclass",
            "UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'tasks_by_wake_at'::regclass",
            &wakes,
        ),
    ];
    finds(now, run, &changes).await;
}

#[tokio::test]
async fn a_table_that_a_crash_empties_is_refused() {
    let (store, client, options) = lived_in().await;
    store.close().await;
    // The numbers of effects begin again as well.
    for what in ["TABLE head", "SEQUENCE outbox_id_seq"] {
        client.batch_execute(&format!("ALTER {what} SET UNLOGGED")).await.unwrap();
        let said = fsck(Arc::new(PostgresSnapshot::open(&options).await.unwrap())).await.unwrap_err().to_string();
        assert!(said.contains(&format!("{what} is UNLOGGED")), "{said}");
        let refused = PostgresStore::open(options.clone()).await.map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains(&format!("ALTER {what} SET LOGGED")), "{refused}");
        client.batch_execute(&format!("ALTER {what} SET LOGGED")).await.unwrap();
    }
    PostgresStore::open(options).await.unwrap().close().await;
}
