//! Migrations of a part.

use tallystick_postgres::{Part, connect};

use super::fresh;

const OLD: Part = Part { name: "part", migrations: &["CREATE TABLE a (n bigint)"] };
const NEW: Part =
    Part { name: "part", migrations: &["CREATE TABLE a (n bigint)", "ALTER TABLE a ADD COLUMN m bigint"] };
const BAD: Part =
    Part { name: "other", migrations: &["CREATE TABLE b (n bigint)", "ALTER TABLE nowhere ADD COLUMN m bigint"] };

#[tokio::test]
async fn a_part_grows_and_never_shrinks() {
    let client = connect(&fresh()).await.unwrap();
    assert_eq!(OLD.version(&client).await, Ok(0));
    for _ in 0..2 {
        OLD.migrate(&client).await.unwrap();
        assert_eq!(OLD.version(&client).await, Ok(1));
    }
    NEW.migrate(&client).await.unwrap();
    assert_eq!(NEW.version(&client).await, Ok(2));
    let refused = OLD.migrate(&client).await.unwrap_err().to_string();
    assert!(refused.contains("run a newer one"), "{refused}");
    assert_eq!(NEW.version(&client).await, Ok(2));
    client.execute("INSERT INTO a (n, m) VALUES (1, 2)", &[]).await.unwrap();
}

#[tokio::test]
async fn a_migration_that_fails_leaves_nothing() {
    let client = connect(&fresh()).await.unwrap();
    BAD.migrate(&client).await.unwrap_err();
    assert_eq!(BAD.version(&client).await, Ok(0));
    assert!(client.query("SELECT * FROM b", &[]).await.is_err());
    // The connection goes on.
    OLD.migrate(&client).await.unwrap();
}
