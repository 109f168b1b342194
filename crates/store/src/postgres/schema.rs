//! The writer's connection: what it asks of the server, and the migrations.

use tallystick_app::port::journal::StoreError;
use tallystick_postgres::{Connection, PostgresOptions, connect};
use tokio_postgres::{Client, Row};

use crate::postgres::error::{OrStore, Result, column};
use crate::postgres::{evidence, guards};

/// All migrations, in order; the table `tallystick_schema` counts those that the database has. A released one never
/// changes.
const MIGRATIONS: &[&str] = &[
    include_str!("../../migrations/postgres/0001_journal.sql"),
    include_str!("../../migrations/postgres/0002_replicas.sql"),
    include_str!("../../migrations/postgres/0003_room.sql"),
    include_str!("../../migrations/postgres/0004_copying.sql"),
    include_str!("../../migrations/postgres/0005_log_damaged.sql"),
    include_str!("../../migrations/postgres/0006_copy.sql"),
    include_str!("../../migrations/postgres/0007_evidence.sql"),
    include_str!("../../migrations/postgres/0008_evidence_keys.sql"),
];
/// The migration that adds hashes of keys, which SQL alone cannot make.
const KEYS_HASHED: i64 = 8;

/// How many there are.
pub(crate) fn migrations() -> u64 {
    u64::try_from(MIGRATIONS.len()).unwrap_or(u64::MAX)
}

/// The oldest version that is supported, as `server_version_num` has it.
const SERVER_MIN: i32 = 150_000;

/// How every transaction of the writer begins: each statement sees what was committed before it, so that what is read
/// after the head was locked is what the last writer left.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// The key of the advisory lock that migrations are made under (`TLYS`).
const MIGRATION_LOCK: i64 = 0x544c_5953;
/// The key of the advisory lock that every writer's session shares, so that no migration changes tables under a program that
/// knows them as they were (`TLYV`).
const VERSION_LOCK: i64 = 0x544c_5956;

/// Settings of the session. A process that hangs inside a transaction loses the head before the others stop
/// waiting for it. Plans are made once, and always go through an index, also while tables are too small to need it.
const SESSION: &str =
    "SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '15s'; SET statement_timeout = '30s';
    SET plan_cache_mode = force_generic_plan; SET jit = off;
    SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;";

const SERVER: &str = "SELECT current_setting('server_version_num')::int, pg_is_in_recovery(),
    current_setting('server_encoding'), current_setting('fsync'), current_setting('full_page_writes'),
    current_setting('transaction_isolation'), current_schema()::text";

/// Connects, checks that the server keeps what it acknowledges, and brings the schema up to date.
pub(crate) async fn connect_writer(options: &PostgresOptions) -> Result<Connection> {
    let client = connect(options).await?;
    // A server that is only a copy refuses the transaction itself: first, what can be read without one.
    let server = client.query_one(SERVER, &[]).await.or_store()?;
    check_server(&server)?;
    client.pin_durability().await?;
    client.batch_execute(SESSION).await.or_store()?;
    client.batch_execute(BEGIN).await.or_store()?;
    check_isolation(&client.query_one(SERVER, &[]).await.or_store()?)?;
    client.execute("SELECT pg_advisory_xact_lock($1)", &[&MIGRATION_LOCK]).await.or_store()?;
    migrate(&client).await?;
    guards::check_logged(&client).await?;
    // Before the next one can migrate.
    client.execute("SELECT pg_advisory_lock_shared($1)", &[&VERSION_LOCK]).await.or_store()?;
    client.commit().await?;
    Ok(client)
}

/// Refuses a database that a journal is being copied into, or was until the copy broke off.
pub(crate) async fn must_be_whole(client: &Client) -> Result<()> {
    match client.query_opt("SELECT 1 FROM copying", &[]).await.or_store()? {
        None => Ok(()),
        Some(_) => refuse("a copy into this database has not ended: wait for it, or run `tally store copy` again"),
    }
}

fn refuse<T>(why: impl Into<String>) -> Result<T> {
    Err(StoreError::Unavailable(why.into()))
}

fn check_server(server: &Row) -> Result<()> {
    let version: i32 = column(server, 0)?;
    if version < SERVER_MIN {
        return refuse(format!("PostgreSQL {} is too old: run 15 or later", version / 10_000));
    }
    if column(server, 1)? {
        return refuse("this PostgreSQL server is a standby, which cannot write: connect to the primary");
    }
    let encoding: &str = column(server, 2)?;
    if encoding != "UTF8" {
        return refuse(format!("the database's encoding is {encoding}: create it with ENCODING 'UTF8'"));
    }
    for (index, name) in [(3, "fsync"), (4, "full_page_writes")] {
        if column::<&str>(server, index)? == "off" {
            return refuse(format!(
                "PostgreSQL runs with {name} = off, and can lose what it has acknowledged: set {name} = on (in \
                 postgresql.conf, and nowhere else for this role or database), reload it, and start again"
            ));
        }
    }
    if column::<Option<&str>>(server, 6)?.is_none() {
        return refuse("the search_path names no schema that is there: create it, or mend the search_path");
    }
    Ok(())
}

fn check_isolation(server: &Row) -> Result<()> {
    let isolation: &str = column(server, 5)?;
    if isolation == "read committed" {
        return Ok(());
    }
    refuse(format!(
        "the server gives a transaction the isolation {isolation:?} where READ COMMITTED was asked for: use PostgreSQL \
         itself, without anything in between that changes transactions"
    ))
}

/// Applies what is missing, in the transaction under way; refuses a database that is not ours, and one that a later
/// program wrote.
async fn migrate(client: &Client) -> Result<()> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let version = version(client).await?;
    if !(0..=known).contains(&version) {
        return refuse(format!(
            "the database has schema version {version}, and this program knows {known} at most: run a newer one"
        ));
    }
    if version < known {
        nobody_else_writes(client).await?;
    }
    for (index, sql) in (1i64..).zip(MIGRATIONS).filter(|(index, _)| *index > version) {
        client.batch_execute(sql).await.or_store()?;
        if index == KEYS_HASHED {
            evidence::hash_all_keys(client).await?;
        }
        client.execute("UPDATE tallystick_schema SET version = $1", &[&index]).await.or_store()?;
    }
    Ok(())
}

/// Refuses while another session writes: its program may know the tables as they were before. Until the transaction ends, none
/// begins to.
async fn nobody_else_writes(client: &Client) -> Result<()> {
    let alone = client.query_one("SELECT pg_try_advisory_xact_lock($1)", &[&VERSION_LOCK]).await.or_store()?;
    if column(&alone, 0)? {
        return Ok(());
    }
    refuse(
        "the database is to be brought to this program's version, and another process still uses it: stop all replicas, and start again",
    )
}

const OURS: &str = "SELECT to_regclass(quote_ident(current_schema()) || '.tallystick_schema') IS NOT NULL";
const VERSION: &str = "SELECT version FROM tallystick_schema";

/// The schema's version, of a database that holds a journal. Changes nothing.
pub(crate) async fn stored(client: &Client) -> Result<i64> {
    if !column::<bool>(&client.query_one(OURS, &[]).await.or_store()?, 0)? {
        return refuse("the database holds no journal; `tally store migrate` makes one");
    }
    match client.query_opt(VERSION, &[]).await.or_store()? {
        Some(row) => column(&row, 0),
        None => Err(StoreError::Corrupt("the schema's version is missing".into())),
    }
}

async fn version(client: &Client) -> Result<i64> {
    // What belongs to an extension is nobody's data.
    const OTHERS: &str =
        "SELECT count(*) FROM pg_class c WHERE c.relnamespace = quote_ident(current_schema())::regnamespace
        AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT EXISTS (SELECT FROM pg_depend d
            WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";
    const MAKE: &str = "CREATE TABLE tallystick_schema (one smallint PRIMARY KEY CHECK (one = 1),
            version bigint NOT NULL);
        INSERT INTO tallystick_schema (one, version) VALUES (1, 0)";
    if !column::<bool>(&client.query_one(OURS, &[]).await.or_store()?, 0)? {
        if column::<i64>(&client.query_one(OTHERS, &[]).await.or_store()?, 0)? > 0 {
            return refuse("the database holds tables of another program: create one for this program alone");
        }
        client.batch_execute(MAKE).await.or_store()?;
    }
    stored(client).await
}
