//! What the start and `verify_chain` find: each case damages a journal behind the store's back.

use crate::damaging::{DAMAGE, LOST_END, REFUSED};
use tallystick_app::port::journal::{AppendError, Journal, StoreError};
use tallystick_testkit::store_suite::fixture::append;

use super::{connection, fresh, open};

/// A closed journal of two streams with five facts each; odd numbers are stream 1, even ones stream 2.
async fn ten_facts() -> String {
    let (store, address) = fresh().await;
    for version in 0..5 {
        for task in [1, 2] {
            store.append(append(task, version)).await.unwrap();
        }
    }
    store.close().await;
    address
}

/// Runs `sql` without the guards that the schema has against it.
async fn damage(address: &str, sql: &str) {
    let guards = "ALTER TABLE facts DISABLE TRIGGER ALL; ALTER TABLE authorities DISABLE TRIGGER ALL;
        ALTER TABLE facts DROP CONSTRAINT facts_prev_check, DROP CONSTRAINT facts_hash_check;
        ALTER TABLE tasks DROP CONSTRAINT tasks_wake_at_check;";
    let client = connection(address).await;
    client.batch_execute(guards).await.unwrap();
    client.batch_execute(sql).await.unwrap();
}

/// A statement as PostgreSQL writes it.
fn here(sql: &str) -> String {
    sql.replace("ZERO", "decode(repeat('00', 32), 'hex')").replace("X(00)", r"'\x00'").replace("X(ff)", r"'\xff'")
}

#[tokio::test]
async fn a_sound_journal_verifies_from_anywhere() {
    let store = open(&ten_facts().await).await.unwrap();
    assert_eq!(store.verify_chain().await, Ok(10));
    for (count, checked) in [(0, 0), (1, 1), (4, 4), (10, 10), (11, 10), (u64::MAX, 10)] {
        assert_eq!(store.verify_tail(count).await, Ok(checked), "the last {count}");
    }
    let (store, _) = fresh().await;
    assert_eq!(store.verify_chain().await, Ok(0));
    assert_eq!(store.verify_tail(1_000).await, Ok(0));
}

#[tokio::test]
async fn the_first_bad_fact_is_named() {
    for (sql, wanted) in DAMAGE {
        let address = ten_facts().await;
        damage(&address, &here(sql)).await;
        let store = open(&address).await.expect("the last fact is sound");
        assert_eq!(store.verify_chain().await, Err(StoreError::Corrupt(wanted.into())), "{sql}");
    }
}

#[tokio::test]
async fn a_skipped_version_is_named() {
    let address = ten_facts().await;
    let store = open(&address).await.unwrap();
    let mut last = store.facts(9, 1).await.unwrap().remove(0);
    store.close().await;
    last.version = 7;
    let hash = last.link();
    let sql =
        format!(r"UPDATE facts SET version = 7, hash = '\x{hash}' WHERE seq = 10; UPDATE head SET hash = '\x{hash}'");
    damage(&address, &sql).await;
    let wanted = StoreError::Corrupt("fact 10 skips a version of its stream".into());
    assert_eq!(open(&address).await.unwrap().verify_chain().await, Err(wanted));
}

#[tokio::test]
async fn a_damaged_or_lost_end_is_found_at_the_start() {
    for (sql, wanted) in LOST_END {
        let address = ten_facts().await;
        damage(&address, &here(sql)).await;
        let opened = open(&address).await;
        assert!(matches!(&opened, Err(StoreError::Corrupt(why)) if why.contains(wanted)), "{sql}: {opened:?}");
    }
}

/// The same while the store is open: the next append finds it, and nothing is written on top.
#[tokio::test]
async fn an_end_lost_under_way_stops_the_writer() {
    let older =
        r"DELETE FROM facts WHERE seq = 10; UPDATE head SET seq = 9, hash = (SELECT hash FROM facts WHERE seq = 9)";
    for (sql, wanted) in [
        ("DELETE FROM facts WHERE seq = 10", "ends with fact 9"),
        ("DELETE FROM head", "is missing"),
        (older, "fact 10"),
    ] {
        let address = ten_facts().await;
        let store = open(&address).await.unwrap();
        damage(&address, sql).await;
        let refused = store.append(append(3, 0)).await;
        assert!(
            matches!(&refused, Err(AppendError::Store(StoreError::Corrupt(why))) if why.contains(wanted)),
            "{sql}: {refused:?}"
        );
        store.failed().await;
        assert_eq!(store.append(append(3, 0)).await, Err(StoreError::Unavailable("it is closed".into()).into()));
    }
}

#[tokio::test]
async fn values_of_a_wrong_shape_are_damage_and_no_panic() {
    let address = ten_facts().await;
    damage(&address, r"UPDATE facts SET prev = '\x00' WHERE seq = 4").await;
    let store = open(&address).await.unwrap();
    assert!(matches!(store.facts(0, 10).await, Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn the_schema_guards_facts_and_authorities() {
    let client = connection(&ten_facts().await).await;
    for sql in REFUSED.into_iter().chain(["TRUNCATE facts", "TRUNCATE authorities CASCADE"]) {
        let refused = client.batch_execute(&here(sql)).await.unwrap_err();
        let why = refused.as_db_error().unwrap().message().to_owned();
        assert!(why.contains("is never changed"), "{sql}: {why}");
    }
}
