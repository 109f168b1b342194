//! The same lies as to SQLite; a value of each column.

use std::sync::Arc;
use tallystick_app::port::journal::Journal;
use tallystick_app::port::snapshot::Snapshot;

use tallystick_store::{PostgresOptions, PostgresSnapshot};

use super::{connection, fresh};
use crate::tampering::{
    FREE, LIES, SOUND, TABLES, a_snapshot_stands_still, fsck, kept_checkpoints_are_compared, live, tiles_are_made_again,
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
}

/// One value of each column of each table is made larger, longer or another.
#[tokio::test]
async fn fsck_finds_a_changed_value_in_every_column() {
    let (store, address) = fresh().await;
    live(&store).await;
    let client = connection(&address).await;
    client.batch_execute(UNGUARD).await.unwrap();
    let columns = "SELECT table_name::text, column_name::text, data_type::text FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name = ANY ($1)";
    let tables: Vec<&str> = TABLES.iter().map(|(table, _)| *table).collect();
    let mut tried = 0;
    for row in client.query(columns, &[&tables]).await.unwrap() {
        let (table, column, kind): (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        let (_, rows) = TABLES.iter().find(|(name, _)| *name == table).unwrap();
        let other = match kind {
            "bytea" => format!("set_byte({column}, 0, get_byte({column}, 0) # 1)"),
            "text" => format!("translate({column}, 'aeiou', 'eioua') || 'x'"),
            "uuid" => format!("overlay({column}::text placing 'f' from 1 for 1)::uuid"),
            _ => format!("{column} + 1000"),
        };
        if FREE.contains(&(table, column)) {
            continue;
        }
        let filled = format!("SELECT count(*) FROM {table} WHERE {rows} AND {column} IS NOT NULL");
        if client.query_one(&filled, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            continue;
        }
        // The constraints as well: an intruder would not stop at them.
        let one =
            format!("ctid = (SELECT ctid FROM {table} WHERE {rows} AND {column} IS NOT NULL ORDER BY ctid LIMIT 1)");
        let unchecked = format!(
            "DO $$ DECLARE c record; BEGIN FOR c IN SELECT conrelid::regclass AS t, conname FROM pg_constraint
                WHERE conrelid = '{table}'::regclass AND contype = 'c'
                LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', c.t, c.conname); END LOOP; END $$"
        );
        client.batch_execute(&unchecked).await.unwrap();
        client.batch_execute(&format!("CREATE TABLE kept AS SELECT * FROM {table}")).await.unwrap();
        assert_eq!(
            client.execute(&format!("UPDATE {table} SET {column} = {other} WHERE {one}"), &[]).await.unwrap(),
            1
        );
        assert!(fsck(now(&address).await).await.is_err(), "{table}.{column}");
        let restore = format!(
            "SET session_replication_role = replica; DELETE FROM {table}; INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM kept;
             DROP TABLE kept; SET session_replication_role = origin"
        );
        client.batch_execute(&restore).await.unwrap();
        tried += 1;
    }
    assert!(tried >= 30, "only {tried} columns");
    assert_eq!(fsck(now(&address).await).await, Ok(SOUND), "all is as it was");
    assert_eq!(store.facts(0, 100).await.unwrap().len(), 14);
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
