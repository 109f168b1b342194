//! Evidence beside the journal: what damages it is found, and what carries the journal carries it.

use std::path::Path;
use std::sync::Arc;
use tallystick_app::fsck::Damage;
use tallystick_app::port::evidence::{EvidenceStore, Matter, Piece, Room, Wrapped, WrappedKey};
use tallystick_app::port::journal::{Journal, StoreError};
use tallystick_app::port::snapshot::Snapshot;
use tallystick_core::Digest32;
use tallystick_store::{
    PostgresOptions, PostgresSnapshot, PostgresStore, SqliteSnapshot, SqliteStore, back_up, copy, prepare_journal,
    unpack,
};
use tallystick_testkit::Cluster;
use tallystick_testkit::escrow::{requester, stranger, worker};
use tallystick_testkit::store_suite::evidence::matter;
use tallystick_testkit::store_suite::fixture::{NOW, key};

use crate::postgres::BEFORE_THE_LAST;
use crate::tampering::{Whole, argue, fsck, live};

/// Four parts, the last one shorter.
const BYTES: usize = 100_000;

/// A life with two pieces of evidence.
async fn filled<S: Whole>(store: &S) -> Matter {
    live(store).await;
    argue(store, BYTES).await
}

/// Everything that the vault answers.
async fn all(store: &dyn EvidenceStore) -> Vec<(Piece, Vec<u8>, Vec<WrappedKey>)> {
    let mut all = Vec::new();
    let matters: Vec<Matter> = store.matters(None, 10).await.unwrap();
    for matter in matters {
        for piece in store.pieces(matter).await.unwrap() {
            let content = store.content(matter, piece.hash).await.unwrap().unwrap();
            all.push((piece, content, store.wrapped(matter, piece.hash).await.unwrap()));
        }
    }
    assert_eq!(all.len(), 2);
    all
}

/// What fsck finds after a change in the vault's tables, and after it was taken back.
async fn finds(now: impl AsyncFn() -> Arc<dyn Snapshot>, run: impl AsyncFn(&str), flipped: &str) {
    assert_eq!(fsck(now().await).await.unwrap().evidence, 2);
    let save = "CREATE TABLE saved AS SELECT * FROM evidence_parts";
    let back = "DELETE FROM evidence_parts; INSERT INTO evidence_parts SELECT * FROM saved; DROP TABLE saved";
    let flip = format!("UPDATE evidence_parts SET content = {flipped} WHERE part = 2");
    for change in [flip.as_str(), "DELETE FROM evidence_parts WHERE part = 2"] {
        run(save).await;
        run(change).await;
        let found = fsck(now().await).await.unwrap_err();
        assert!(
            matches!(&found, Damage::Evidence(why) if why.contains("other bytes than its hash")),
            "{change}: {found}"
        );
        run(back).await;
    }
    run("UPDATE evidence SET bytes = bytes + 1").await;
    let found = fsck(now().await).await.unwrap_err();
    assert!(matches!(&found, Damage::Evidence(why) if why.contains("is said to have")), "{found}");
    run("UPDATE evidence SET bytes = bytes - 1").await;
    assert_eq!(fsck(now().await).await.unwrap().evidence, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_that_turned_in_a_piece_on_sqlite() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    let store = SqliteStore::open(&path).unwrap();
    let matter = filled(&store).await;
    store.close().await;
    let now = async || Arc::new(SqliteSnapshot::open(&path).unwrap()) as Arc<dyn Snapshot>;
    let run = async |sql: &str| {
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch(sql).unwrap();
    };
    let flipped = "CAST(x'ee' || substr(content, 2) AS BLOB)";
    finds(now, run, flipped).await;
    // Whoever reads it is told as well, and is not given other bytes.
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute(&format!("UPDATE evidence_parts SET content = {flipped} WHERE part = 0"), []).unwrap();
    drop(conn);
    let store = SqliteStore::open(&path).unwrap();
    let piece = store.pieces(matter).await.unwrap()[0];
    let read = store.content(matter, piece.hash).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bit_that_turned_in_a_piece_on_postgres() {
    let address = Cluster::shared().database();
    let options = PostgresOptions::try_new(&address).unwrap();
    let store = PostgresStore::open(options.clone()).await.unwrap();
    let matter = filled(&store).await;
    let (client, connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let now = async || Arc::new(PostgresSnapshot::open(&options).await.unwrap()) as Arc<dyn Snapshot>;
    let run = async |sql: &str| client.batch_execute(sql).await.unwrap();
    finds(now, run, "set_bit(content, 9, 1 - get_bit(content, 9))").await;
    run("UPDATE evidence_parts SET content = set_bit(content, 9, 1 - get_bit(content, 9)) WHERE part = 0").await;
    let piece = store.pieces(matter).await.unwrap()[0];
    let read = store.content(matter, piece.hash).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))), "{read:?}");
}

/// A backup and a copy into PostgreSQL hold every piece, and every key.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_and_copies_carry_it() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let store = SqliteStore::open(at("journal.sqlite")).unwrap();
    filled(&store).await;
    let wanted = all(&store).await;
    back_up(&at("journal.sqlite"), &at("one.backup"), &[], |digest| digest.0, |_, _| {}).unwrap();
    store.close().await;
    unpack(&at("one.backup"), &at("restored.sqlite")).unwrap();
    let restored = SqliteStore::open(at("restored.sqlite")).unwrap();
    assert!(all(&restored).await == wanted);
    restored.close().await;

    let options = PostgresOptions::try_new(&Cluster::shared().database()).unwrap();
    prepare_journal(&options).await.unwrap();
    let path: &Path = &at("restored.sqlite");
    let copied = copy(path, &[], &options, |_, _, _| {}, || Ok(())).await.unwrap();
    let rows = |name: &str| copied.tables.iter().find(|(table, _)| table == name).map(|(_, rows)| *rows);
    assert_eq!((rows("evidence"), rows("evidence_parts"), rows("evidence_keys")), (Some(2), Some(8), Some(4)));
    let moved = PostgresStore::open(options.clone()).await.unwrap();
    assert!(all(&moved).await == wanted);
    assert_eq!(fsck(Arc::new(PostgresSnapshot::open(&options).await.unwrap())).await.unwrap().evidence, 2);
}

/// A key for somebody who cannot have been given one is found, though its hash is right.
async fn finds_a_stranger<S: Whole>(store: &S, now: impl AsyncFn() -> Arc<dyn Snapshot>) {
    let matter = argue(store, 10).await;
    assert_eq!(fsck(now().await).await.unwrap().evidence, 2);
    let piece = store.pieces(matter).await.unwrap()[0];
    let wrapped = WrappedKey { reader: stranger(), wrapped: "another".into() };
    assert_eq!(store.wrap(matter, piece.hash, vec![wrapped]).await, Ok(Wrapped::Kept));
    has_a_strangers_key(now().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_key_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    let sqlite = SqliteStore::open(&path).unwrap();
    finds_a_stranger(&sqlite, async || Arc::new(SqliteSnapshot::open(&path).unwrap()) as Arc<dyn Snapshot>).await;
    let options = PostgresOptions::try_new(&Cluster::shared().database()).unwrap();
    let postgres = PostgresStore::open(options.clone()).await.unwrap();
    let now = async || Arc::new(PostgresSnapshot::open(&options).await.unwrap()) as Arc<dyn Snapshot>;
    finds_a_stranger(&postgres, now).await;
}

/// Keys that were damaged are not covered by a hash of keys that come later; who filed the piece gives all of them anew.
async fn damaged_keys<S: Whole>(
    store: &S,
    now: impl AsyncFn() -> Arc<dyn Snapshot>,
    (run, bytes): (impl AsyncFn(&str), impl Fn(Digest32) -> String),
) {
    let matter = argue(store, 10).await;
    let Piece { hash, uploader, .. } = store.pieces(matter).await.unwrap()[0];
    let one = |reader, text: &str| vec![WrappedKey { reader, wrapped: text.into() }];
    let (other, name) = (if uploader == worker() { requester() } else { worker() }, bytes(hash));
    let changes = [
        format!("UPDATE evidence_keys SET wrapped = wrapped || 'x' WHERE hash = {name}"),
        format!("DELETE FROM evidence_keys WHERE hash = {name} AND wrapped LIKE '%requester'"),
        format!("UPDATE evidence SET keys = hash WHERE hash = {name}"),
    ];
    for change in changes {
        assert_eq!(fsck(now().await).await.unwrap().evidence, 2);
        run(&change).await;
        let damaged =
            async || matches!(fsck(now().await).await, Err(Damage::Evidence(why)) if why.contains("other keys"));
        assert!(damaged().await, "{change}");
        let there = store.wrapped(matter, hash).await;
        assert_eq!(store.wrap(matter, hash, one(other, "another")).await, Ok(Wrapped::Damaged), "{change}");
        assert_eq!(store.wrapped(matter, hash).await, there);
        assert!(damaged().await, "{change}: a key that comes later does not hide it");
        assert_eq!(store.wrap(matter, hash, one(uploader, "own")).await, Ok(Wrapped::Kept));
        assert_eq!(store.wrapped(matter, hash).await, Ok(one(uploader, "own")), "all begins anew");
        assert_eq!(store.wrap(matter, hash, one(other, "wrapped-to-requester")).await, Ok(Wrapped::Kept));
    }
    assert_eq!(fsck(now().await).await.unwrap().evidence, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_key_does_not_hide_damaged_ones() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    let sqlite = SqliteStore::open(&path).unwrap();
    let run = async |sql: &str| rusqlite::Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    damaged_keys(
        &sqlite,
        async || Arc::new(SqliteSnapshot::open(&path).unwrap()) as Arc<dyn Snapshot>,
        (run, |hash| format!("X'{hash}'")),
    )
    .await;
    let address = Cluster::shared().database();
    let options = PostgresOptions::try_new(&address).unwrap();
    let postgres = PostgresStore::open(options.clone()).await.unwrap();
    let (client, connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    let now = async || Arc::new(PostgresSnapshot::open(&options).await.unwrap()) as Arc<dyn Snapshot>;
    let run = async |sql: &str| client.batch_execute(sql).await.unwrap();
    damaged_keys(&postgres, now, (run, |hash| format!("'\\x{hash}'"))).await;
}

/// A database of a program that did not hash the keys yet is brought up to date with those that it has: what is wrong with
/// them beside that is found as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_from_before_they_were_hashed_are_taken_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    let older = |sql: &str| {
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch(sql).unwrap();
    };
    let store = SqliteStore::open(&path).unwrap();
    argue(&store, 10).await;
    store.close().await;
    let back = "ALTER TABLE evidence DROP COLUMN keys; CREATE TABLE evidence_over (task, dispute, since);
        PRAGMA user_version = 3";
    older(back);
    let now = || Arc::new(SqliteSnapshot::open(&path).unwrap());
    SqliteStore::open(&path).unwrap().close().await;
    assert_eq!(fsck(now()).await.unwrap().evidence, 2);
    let strange = format!("UPDATE evidence_keys SET reader = X'{}' WHERE wrapped LIKE '%requester'", stranger());
    older(&format!("{strange}; {back}"));
    SqliteStore::open(&path).unwrap().close().await;
    has_a_strangers_key(now()).await;

    let address = Cluster::shared().database();
    let options = PostgresOptions::try_new(&address).unwrap();
    let now = async || Arc::new(PostgresSnapshot::open(&options).await.unwrap());
    let store = PostgresStore::open(options.clone()).await.unwrap();
    argue(&store, 10).await;
    store.close().await;
    let (client, connection) = tokio_postgres::connect(&address, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(BEFORE_THE_LAST).await.unwrap();
    PostgresStore::open(options.clone()).await.unwrap().close().await;
    assert_eq!(fsck(now().await).await.unwrap().evidence, 2);
    let strange = format!("UPDATE evidence_keys SET reader = '\\x{}' WHERE wrapped LIKE '%requester'", stranger());
    client.batch_execute(&format!("{strange}; {BEFORE_THE_LAST}")).await.unwrap();
    PostgresStore::open(options.clone()).await.unwrap().close().await;
    has_a_strangers_key(now().await).await;
}

async fn has_a_strangers_key(now: Arc<dyn Snapshot>) {
    let found = fsck(now).await.unwrap_err();
    assert!(matches!(&found, Damage::Evidence(why) if why.contains("has a key for")), "{found}");
}

/// Nothing of a piece that was erased is left in the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_piece_leaves_no_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    let store = SqliteStore::open(&path).unwrap();
    let mut secret = vec![0xa5; BYTES];
    secret.extend_from_slice(b"a sentence that must not stay");
    store.keep(matter(1, 1), key(1), secret, NOW, Room::SIDE).await.unwrap();
    let found = || {
        let bytes: Vec<u8> = ["", "-wal"]
            .iter()
            .flat_map(|more| std::fs::read(dir.path().join(format!("journal.sqlite{more}"))).unwrap_or_default())
            .collect();
        bytes.windows(18).any(|window| window == b"that must not stay")
    };
    assert!(found(), "the test looks in vain");
    store.erase(matter(1, 1)).await.unwrap();
    store.scrub().await.unwrap();
    assert!(!found());
}
