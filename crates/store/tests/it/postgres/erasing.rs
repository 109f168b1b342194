//! What is left of an erasure in the pages of the tables.

use tallystick_app::port::journal::{Append, Journal, StoreError};
use tallystick_testkit::store_suite::fixture::{append, effect, erasing};
use tokio_postgres::Client;

use super::{connection, fresh};

/// Rows of a table, dead ones as well, that hold these words.
async fn holding(client: &Client, table: &str, words: &str) -> i64 {
    let sql = format!(
        "SELECT count(*) FROM generate_series(0, pg_relation_size('{table}') / 8192 - 1) AS page,
        heap_page_items(get_raw_page('{table}', page::int)) WHERE position('{words}'::bytea IN t_data) > 0"
    );
    client.query_one(&sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn what_was_erased_is_in_no_dead_row() {
    let (store, address) = fresh().await;
    let client = connection(&address).await;
    client.batch_execute("CREATE EXTENSION pageinspect").await.unwrap();
    store.append(Append { effects: vec![effect("pay", 0)], ..append(1, 0) }).await.unwrap();
    store.finish_effect("pay").await.unwrap();
    store.append(erasing(1, 1)).await.unwrap();
    let tables = [("facts", "version 1"), ("authorities", "version 1"), ("tasks", "version 1"), ("outbox", "do pay")];
    for (table, words) in tables {
        assert!(holding(&client, table, words).await > 0, "{table}: the test looks in vain");
    }
    store.scrub().await.unwrap();
    for (table, words) in tables {
        assert_eq!(holding(&client, table, words).await, 0, "{table}");
    }
}

/// An old snapshot, whoever has it, may still read what was erased: it is not called scrubbed before it is gone.
#[tokio::test]
async fn what_an_old_snapshot_keeps_is_not_called_scrubbed() {
    let (store, address) = fresh().await;
    let (client, old) = (connection(&address).await, connection(&address).await);
    client.batch_execute("CREATE EXTENSION pageinspect").await.unwrap();
    store.append(append(1, 0)).await.unwrap();
    old.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM facts").await.unwrap();
    store.append(erasing(1, 1)).await.unwrap();
    let refused = store.scrub().await.unwrap_err();
    assert!(matches!(&refused, StoreError::ErasingWaits(why) if why.contains("old transaction")), "{refused}");
    assert!(holding(&client, "facts", "version 1").await > 0);
    old.batch_execute("COMMIT").await.unwrap();
    store.scrub().await.unwrap();
    assert_eq!(holding(&client, "facts", "version 1").await, 0);
}
