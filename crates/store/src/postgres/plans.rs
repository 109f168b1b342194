//! The plans of what is asked often: none of them reads a whole table.

use tallystick_app::port::tasks::TaskQuery;
use tallystick_testkit::Cluster;
use tokio_postgres::{Client, NoTls};

use crate::postgres::{facts, outbox, readers, snapshot, tasks};
use tallystick_postgres::PostgresOptions;

/// So many rows that reading all of them costs more than an index.
const FILL: &str = "
    INSERT INTO authorities SELECT sha256(n::text::bytea), 'a' FROM generate_series(1, 20000) n;
    INSERT INTO facts (seq, stream, version, kind, body, authority, recorded_at, height, prev, hash)
        SELECT n, 'stream ' || n / 10, n % 10 + 1, 'kind', 'body', sha256(n::text::bytea), n, 1,
            sha256(n::text::bytea), sha256(n::text::bytea) FROM generate_series(1, 20000) n;
    INSERT INTO outbox (key, stream, body, due, attempts, finished)
        SELECT 'key ' || n, 'stream', 'body', n, 0, n % 4 > 0 FROM generate_series(1, 40000) n;
    INSERT INTO reservations SELECT 'space', n::text::bytea, 'stream' FROM generate_series(1, 20000) n;
    INSERT INTO seen_requests SELECT sha256(n::text::bytea), n FROM generate_series(1, 20000) n;
    INSERT INTO tasks SELECT gen_random_uuid(), 1, 'state ' || n % 8, sha256((n % 50)::text::bytea),
        CASE WHEN n % 2 = 0 THEN sha256((n % 50)::text::bytea) END, n, n, 'view' FROM generate_series(1, 20000) n;
    ANALYZE";

async fn filled() -> Client {
    let address = Cluster::shared().database();
    let options = PostgresOptions::try_new(&address).unwrap();
    crate::PostgresStore::open(options).await.unwrap().close().await;
    let (client, connection) = tokio_postgres::connect(&address, NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(FILL).await.unwrap();
    client
}

/// The plan of a statement whose values nobody knows yet, as a prepared one has it for good.
async fn plan(client: &Client, sql: &str, values: usize) -> String {
    let nulls = if values == 0 { String::new() } else { format!("({})", vec!["NULL"; values].join(", ")) };
    client.batch_execute(&format!("SET plan_cache_mode = force_generic_plan; PREPARE asked AS {sql}")).await.unwrap();
    let rows = client.query(&format!("EXPLAIN EXECUTE asked{nulls}"), &[]).await.unwrap();
    client.batch_execute("DEALLOCATE asked").await.unwrap();
    rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect()
}

/// `head` and `read_models` have a row or two: those may be read whole.
fn check(sql: &str, plan: &str) {
    let whole = plan.lines().filter(|line| line.contains("Seq Scan"));
    let whole: Vec<&str> = whole.filter(|line| !line.contains("on head") && !line.contains("on read_models")).collect();
    assert!(whole.is_empty(), "{sql}\nreads a whole table:\n{plan}");
    assert!(!plan.contains("Sort  (cost") || plan.contains("Limit") || !plan.contains("on facts"), "{sql}\n{plan}");
}

#[tokio::test]
async fn what_readers_ask_goes_through_an_index() {
    let client = filled().await;
    // What has no index is found out.
    let bad = plan(&client, "SELECT seq FROM facts WHERE kind = $1", 1).await;
    assert!(bad.contains("Seq Scan on facts"), "{bad}");
    let asked = facts::STATEMENTS.iter().chain(outbox::STATEMENTS).chain(tasks::STATEMENTS).chain(snapshot::STATEMENTS);
    for (sql, values) in asked {
        check(sql, &plan(&client, sql, *values).await);
    }
    let key = tallystick_testkit::store_suite::fixture::key(1);
    let states = vec!["state 1".to_owned(), "state 2".to_owned()];
    let queries = [
        TaskQuery { limit: 10, ..TaskQuery::default() },
        TaskQuery { limit: 10, states: states.clone(), ..TaskQuery::default() },
        TaskQuery { limit: 10, requester: Some(key), ..TaskQuery::default() },
        TaskQuery { limit: 10, worker: Some(key), states, ..TaskQuery::default() },
    ];
    for query in queries {
        let (sql, values) = tasks::statement(&query);
        check(&sql, &plan(&client, &sql, values).await);
    }
}

/// Claiming is a read of the index of what is pending, and a write of the rows that it found.
#[tokio::test]
async fn a_claim_goes_through_an_index() {
    let client = filled().await;
    for setting in readers::CLAIMER_SETTINGS.split("-c ").filter_map(|setting| setting.trim().split_once('=')) {
        client.batch_execute(&format!("SET {} = '{}'", setting.0, setting.1)).await.unwrap();
    }
    let (sql, values) = outbox::CLAIM_STATEMENT;
    let plan = plan(&client, sql, values).await;
    check(sql, &plan);
    assert!(plan.contains("outbox_pending"), "{plan}");
}
