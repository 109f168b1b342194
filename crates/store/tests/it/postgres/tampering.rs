//! The same as on SQLite: every value of every row in turn, and lies.

use std::sync::Arc;
use tallystick_app::port::journal::Journal;
use tallystick_app::port::snapshot::Snapshot;

use tallystick_store::{PostgresOptions, PostgresSnapshot};
use tokio_postgres::Client;

use super::{connection, fresh};
use crate::tampering::{
    EVIDENCE, EVIDENCE_LIES, FREE, LIES, SOUND, TABLES, a_log_that_is_behind_is_told, a_snapshot_stands_still, argue,
    fsck, is_said_of, kept_checkpoints_are_compared, live, outbox_numbers, tiles_are_made_again,
    what_a_clock_may_have_made_is_told,
};

/// The database as it is now.
async fn now(address: &str) -> Arc<dyn Snapshot> {
    Arc::new(PostgresSnapshot::open(&PostgresOptions::try_new(address).unwrap()).await.unwrap())
}

/// What an intruder with all rights would do first.
const UNGUARD: &str = "ALTER TABLE facts DISABLE TRIGGER USER; ALTER TABLE authorities DISABLE TRIGGER USER";

#[tokio::test]
async fn fsck_finds_lies() {
    for (lie, wanted) in LIES {
        let (store, address) = fresh().await;
        live(&store).await;
        assert_eq!(fsck(now(&address).await).await, Ok(SOUND));
        let client = connection(&address).await;
        client.batch_execute(UNGUARD).await.unwrap();
        client.batch_execute(lie).await.unwrap();
        let found = fsck(now(&address).await).await.unwrap_err().to_string();
        assert!(found.starts_with(wanted), "{lie}: {found}");
    }
    for (lie, wanted) in EVIDENCE_LIES {
        let (store, address) = fresh().await;
        argue(&store, 10).await;
        let client = connection(&address).await;
        client.batch_execute(UNCHECKED).await.unwrap();
        client.batch_execute(lie).await.unwrap();
        let found = fsck(now(&address).await).await.unwrap_err().to_string();
        assert!(found.ends_with(wanted), "{lie}: {found}");
    }
}

#[tokio::test]
async fn no_number_in_the_outbox_stops_it() {
    let (store, address) = fresh().await;
    live(&store).await;
    let client = connection(&address).await;
    // What is on the disk asks no constraint; what is written over it does.
    let checks = "SELECT string_agg(format('ALTER TABLE outbox ADD CONSTRAINT %I %s NOT VALID', conname,
        pg_get_constraintdef(oid)), ';') FROM pg_constraint WHERE conrelid = 'outbox'::regclass AND contype = 'c'";
    let checks: String = client.query_one(checks, &[]).await.unwrap().get(0);
    let run = async |sql: &str| {
        for sql in [UNCHECKED, sql, &checks] {
            client.batch_execute(sql).await.unwrap();
        }
    };
    outbox_numbers(&store, async || now(&address).await, run).await;
}

/// Databases that values are changed in at once, each in its share.
const SHARES: usize = 4;
/// An intruder would not stop at constraints.
const UNCHECKED: &str = "DO $$ DECLARE c record; BEGIN
    FOR c IN SELECT conrelid::regclass AS t, conname FROM pg_constraint
        WHERE connamespace = current_schema()::regnamespace AND contype IN ('c', 'f')
    LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname); END LOOP; END $$";

/// A value of each column of each row is changed at its beginning, in its middle and at its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fsck_finds_every_changed_value() {
    let mut shares = tokio::task::JoinSet::new();
    for share in 0..SHARES {
        shares.spawn(async move {
            let (store, address) = fresh().await;
            live(&store).await;
            let tried = change_values(&address, &TABLES, (share, SHARES)).await;
            assert_eq!(fsck(now(&address).await).await, Ok(SOUND), "all is as it was");
            assert_eq!(store.facts(0, 100).await.unwrap().len(), 14);
            tried
        });
    }
    let tried: usize = shares.join_all().await.into_iter().sum();
    assert!(tried > 500, "only {tried} changes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fsck_finds_every_changed_value_of_evidence() {
    let (store, address) = fresh().await;
    argue(&store, 40_000).await;
    let sound = fsck(now(&address).await).await.unwrap();
    assert_eq!(sound.evidence, 2);
    let tried = change_values(&address, &EVIDENCE, (0, 1)).await;
    assert!(tried > 100, "only {tried} changes");
    assert_eq!(fsck(now(&address).await).await, Ok(sound), "all is as it was");
}

/// Changes every value of this share of all values in turn, and back. Answers how many changes there were.
async fn change_values(address: &str, tables: &[(&str, &str)], (share, shares): (usize, usize)) -> usize {
    let client = connection(address).await;
    client.batch_execute(UNGUARD).await.unwrap();
    client.batch_execute(UNCHECKED).await.unwrap();
    let (mut turn, mut tried) = (0, 0);
    for (table, rows) in tables.iter().copied() {
        for (column, kind) in columns(&client, table).await {
            if FREE.contains(&(table, column.as_str())) {
                continue;
            }
            let filled =
                format!("SELECT ctid::text, {column}::text FROM {table} WHERE {rows} AND {column} IS NOT NULL");
            for row in client.query(&filled, &[]).await.unwrap() {
                turn += 1;
                if turn % shares != share {
                    continue;
                }
                // A row that is written is another one, and so tells where it is now.
                let (mut at, value): (String, String) = (row.get(0), row.get(1));
                for other in changes(&column, &kind, &value) {
                    let change =
                        format!("UPDATE {table} SET {column} = {other} WHERE ctid = '{at}' RETURNING ctid::text");
                    at = client.query_one(&change, &[]).await.unwrap().get(0);
                    let change = format!("{table}.{column} = {other}, before {value}");
                    is_said_of(table, fsck(now(address).await).await, &change);
                    let back = format!(
                        "UPDATE {table} SET {column} = $1::text::{kind} WHERE ctid = '{at}' RETURNING ctid::text"
                    );
                    at = client.query_one(&back, &[&value]).await.unwrap().get(0);
                    tried += 1;
                }
            }
        }
    }
    tried
}

/// The columns of a table, and their types.
async fn columns(client: &Client, table: &str) -> Vec<(String, String)> {
    let columns = "SELECT column_name::text, data_type::text FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position";
    client.query(columns, &[&table]).await.unwrap().iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Other values than this one, which differ from it in one place each, in SQL.
fn changes(column: &str, kind: &str, value: &str) -> Vec<String> {
    // Of bytes the text has two digits each, after two signs.
    let length = if kind == "bytea" { value.len() / 2 - 1 } else { value.chars().count() };
    let places = std::collections::BTreeSet::from([0, length / 2, length - 1]);
    match kind {
        "bytea" => places.iter().map(|n| format!("set_byte({column}, {n}, get_byte({column}, {n}) # 1)")).collect(),
        "text" | "uuid" => {
            let text = format!("{column}::text");
            let one = |n: &usize| {
                let n = n + 1;
                let other = format!("CASE substr({text}, {n}, 1) WHEN 'a' THEN 'b' ELSE 'a' END");
                format!("overlay({text} placing {other} from {n} for 1)::{kind}")
            };
            // Hyphens of a UUID have their places.
            places.iter().filter(|n| value.chars().nth(**n) != Some('-') || kind == "text").map(one).collect()
        }
        // The next number may be another row's.
        _ if ["seq", "version"].contains(&column) => vec![format!("{column} + 1000")],
        _ => vec![format!("{column} + 1"), format!("{column} + 1000")],
    }
}

#[tokio::test]
async fn checkpoints_that_others_kept_are_compared() {
    let (store, address) = fresh().await;
    live(&store).await;
    kept_checkpoints_are_compared(&store, now(&address).await).await;
}

#[tokio::test]
async fn fsck_on_a_node_that_goes_on_cries_no_wolf() {
    let (store, address) = fresh().await;
    live(&store).await;
    a_snapshot_stands_still(&store, now(&address).await).await;
    assert!(fsck(now(&address).await).await.is_ok_and(|sound| sound.facts == SOUND.facts + 2));
}

#[tokio::test]
async fn a_clock_that_was_set_back_is_told() {
    let (store, address) = fresh().await;
    live(&store).await;
    let client = connection(&address).await;
    let sql = async |sql: &str| client.batch_execute(sql).await.unwrap();
    what_a_clock_may_have_made_is_told(async || now(&address).await, sql).await;
}

#[tokio::test]
async fn a_wiped_log_is_missed() {
    let (store, address) = fresh().await;
    let client = connection(&address).await;
    let sql = async |sql: &'static str| client.batch_execute(sql).await.unwrap();
    a_log_that_is_behind_is_told(&store, async || now(&address).await, sql).await;
}

#[tokio::test]
async fn damaged_tiles_are_made_again() {
    let (store, address) = fresh().await;
    live(&store).await;
    let client = connection(&address).await;
    client.batch_execute(UNGUARD).await.unwrap();
    let sql = async |sql: &'static str| client.batch_execute(sql).await.unwrap();
    tiles_are_made_again(&store, async || now(&address).await, sql).await;
}

/// Tables of another version are not brought up to date by whoever only looks; an empty database stays empty.
#[tokio::test]
async fn a_snapshot_refuses_other_tables_and_changes_none() {
    let (_store, address) = fresh().await;
    let client = connection(&address).await;
    let version = "SELECT version FROM tallystick_schema";
    let newest: i64 = client.query_one(version, &[]).await.unwrap().get(0);
    let options = PostgresOptions::try_new(&address).unwrap();
    for other in [0, newest - 1, newest + 1] {
        client.execute("UPDATE tallystick_schema SET version = $1", &[&other]).await.unwrap();
        let refused = PostgresSnapshot::open(&options).await.map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains(&format!("schema version {other}")), "{refused}");
        assert_eq!(client.query_one(version, &[]).await.unwrap().get::<_, i64>(0), other);
    }
    let empty = tallystick_testkit::Cluster::shared().database();
    let refused = PostgresSnapshot::open(&PostgresOptions::try_new(&empty).unwrap()).await.map(|_| ()).unwrap_err();
    assert!(refused.to_string().contains("holds no journal"), "{refused}");
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace";
    assert_eq!(connection(&empty).await.query_one(tables, &[]).await.unwrap().get::<_, i64>(0), 0);
}
