//! Bits that turn in the files of a stopped server, which has no checksums of its own: fsck finds each, or nothing that the
//! node reads is changed by it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tallystick_app::port::journal::{Append, Journal};
use tallystick_app::port::snapshot::Snapshot;
use tallystick_store::{PostgresOptions, PostgresSnapshot, PostgresStore};
use tallystick_testkit::Cluster;
use tallystick_testkit::power::Dice;
use tallystick_testkit::store_suite::fixture::{self, append, effect, later};

use super::{connection, open};
use crate::reading::{everything, much};
use crate::tampering::fsck;

/// Databases with the same journal, each with a bit of its own.
const DATABASES: usize = 8;
/// How often the server is stopped.
const ROUNDS: usize = 8;
/// How long a server may take that starts anew, and how often it is asked.
const READY_MAX: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(50);
/// Indexes and tables. Of three, two are indexes.
const FILES: &str = "SELECT relkind::text, relname::text, pg_relation_filepath(oid) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i') AND pg_relation_size(oid) > 0
        AND relname !~ 'schema' ORDER BY relname";

/// A file of a database.
struct File {
    kind: String,
    name: String,
    path: PathBuf,
}

/// A bit that turned.
struct Turned {
    what: String,
    path: PathBuf,
    sound: Vec<u8>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fsck_finds_every_bit_that_matters() {
    let cluster = Cluster::start(&[]);
    let first = cluster.database();
    let store = open(&first).await.unwrap();
    much(&store).await;
    let client = connection(&first).await;
    let checksums: String = client.query_one("SHOW data_checksums", &[]).await.unwrap().get(0);
    assert_eq!(checksums, "off", "the server would find by itself what fsck is to find");
    drop(client);
    let wanted = everything(&store, now(&first).await.unwrap()).await;
    store.close().await;
    let template = first.rsplit('=').next().unwrap().to_owned();
    let mut databases = Vec::new();
    for n in 0..DATABASES {
        let name = format!("flips_{n}");
        cluster.create(&name, &["-T", &template, "--strategy=file_copy"]);
        let address = cluster.address(&name);
        databases.push((files(&cluster, &address).await, address));
    }
    let (mut dice, mut found, mut harmless, mut missed) = (Dice::default(), BTreeMap::new(), 0, Vec::new());
    for _ in 0..ROUNDS {
        cluster.stop();
        let turned: Vec<Turned> = databases.iter().map(|(files, _)| turn(files, &mut dice)).collect();
        cluster.go();
        for ((_, address), turned) in databases.iter().zip(&turned) {
            ready(&cluster).await;
            match read(address).await {
                None => *found.entry(turned.what.split(' ').next().unwrap().to_owned()).or_insert(0) += 1,
                Some(read) if read == wanted => harmless += 1,
                Some(_) => missed.push(turned.what.clone()),
            }
        }
        ready(&cluster).await;
        cluster.stop();
        for Turned { path, sound, .. } in turned {
            std::fs::write(path, sound).unwrap();
        }
        cluster.go();
    }
    println!("found {found:?}, harmless {harmless}");
    assert!(missed.is_empty(), "{} missed, {harmless} harmless, found {found:?}: {missed:#?}", missed.len());
    assert!(found.len() == 2, "{found:?}");
    // What a page has beside its rows, such as hints, is read by nobody; most of it are rows.
    assert!(found.values().sum::<u64>() > harmless, "found {found:?}, harmless {harmless}");
}

/// Waits until the server answers. A page can make one of its processes crash: it starts anew then, and whoever stops it
/// meanwhile waits for ever.
async fn ready(cluster: &Cluster) {
    let (address, start) = (cluster.address("template1"), Instant::now());
    while tokio_postgres::connect(&address, tokio_postgres::NoTls).await.is_err() {
        assert!(start.elapsed() < READY_MAX, "the server does not come back");
        tokio::time::sleep(LOOK).await;
    }
}

async fn now(address: &str) -> Option<Arc<dyn Snapshot>> {
    Some(Arc::new(PostgresSnapshot::open(&PostgresOptions::try_new(address).unwrap()).await.ok()?))
}

async fn files(cluster: &Cluster, address: &str) -> Vec<File> {
    let client = connection(address).await;
    let rows = client.query(FILES, &[]).await.unwrap();
    let file = |row: &tokio_postgres::Row| {
        let path: String = row.get(2);
        File { kind: row.get(0), name: row.get(1), path: cluster.data().join(path) }
    };
    rows.iter().map(file).collect()
}

/// Turns a bit of a byte that holds something.
fn turn(files: &[File], dice: &mut Dice) -> Turned {
    let kind = if dice.roll(3) == 0 { "r" } else { "i" };
    let files: Vec<&File> = files.iter().filter(|file| file.kind == kind).collect();
    let file = files[usize::try_from(dice.roll(files.len() as u64)).unwrap()];
    let sound = std::fs::read(&file.path).unwrap();
    let full: Vec<usize> = sound.iter().enumerate().filter(|(_, byte)| **byte != 0).map(|(at, _)| at).collect();
    let (at, bit) = (full[usize::try_from(dice.roll(full.len() as u64)).unwrap()], dice.roll(8));
    let mut bytes = sound.clone();
    bytes[at] ^= 1 << bit;
    std::fs::write(&file.path, bytes).unwrap();
    let kind = if kind == "i" { "index" } else { "table" };
    Turned { what: format!("{kind} {}: bit {bit} of byte {at}", file.name), path: file.path.clone(), sound }
}

/// What a node reads from this database, if fsck says that it is sound.
async fn read(address: &str) -> Option<Vec<String>> {
    fsck(now(address).await?).await.ok()?;
    let read = async {
        let store = open(address).await.ok()?;
        let read = everything(&store, now(address).await?).await;
        store.close().await;
        Some(read)
    };
    Some(read.await.unwrap_or_default())
}

/// A read model that an index hides comes back, as that is made again first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_index_is_made_again() {
    let cluster = Cluster::start(&[]);
    let address = cluster.database();
    let store = open(&address).await.unwrap();
    much(&store).await;
    let wanted = everything(&store, now(&address).await.unwrap()).await;
    store.close().await;
    let files = files(&cluster, &address).await;
    let file = files.iter().find(|file| file.name == "tasks_by_wake_at").unwrap();
    cluster.stop();
    // The deadlines in the index: all of them in the second half of this century.
    let mut bytes = std::fs::read(&file.path).unwrap();
    let deadline = tallystick_testkit::escrow::DEADLINE.as_millis().to_le_bytes();
    let places: Vec<usize> =
        (0..bytes.len() - 8).step_by(8).filter(|at| bytes[*at + 4..*at + 8] == deadline[4..]).collect();
    assert!(places.len() > 100, "{} deadlines", places.len());
    places.iter().for_each(|at| bytes[at + 5] |= 4);
    std::fs::write(&file.path, bytes).unwrap();
    cluster.go();
    let found = fsck(now(&address).await.unwrap()).await.unwrap_err().to_string();
    assert_eq!(found, "the database: the index tasks_by_wake_at does not say what tasks holds");
    // A start makes this one again, and `tally store rebuild` all of them.
    let store = open(&address).await.unwrap();
    assert_eq!((store.mend_due().await, store.mend_due().await), (Ok(true), Ok(false)));
    assert!(fsck(now(&address).await.unwrap()).await.is_ok());
    store.reindex().await.unwrap();
    assert!(fsck(now(&address).await.unwrap()).await.is_ok());
    assert_eq!(everything(&store, now(&address).await.unwrap()).await, wanted);
    store.close().await;
}

/// A server, and a store on it with so many effects that are not finished.
async fn effects(count: u64) -> (Cluster, String, PostgresStore) {
    let cluster = Cluster::start(&[]);
    let address = cluster.database();
    let store = open(&address).await.unwrap();
    for n in 0..count {
        store.append(Append { effects: vec![effect(&format!("pay-{n}"), n)], ..append(n, 0) }).await.unwrap();
    }
    (cluster, address, store)
}

/// An effect that a bit marks as done is done: the index still calls it unfinished, and a start asks it before it is made again.
#[tokio::test]
async fn an_effect_that_a_bit_marks_as_done_is_given() {
    let (cluster, address, store) = effects(3).await;
    store.finish_effect("pay-2").await.unwrap();
    store.close().await;
    let files = files(&cluster, &address).await;
    let file = files.iter().find(|file| file.name == "outbox").unwrap();
    cluster.stop();
    let mut bytes = std::fs::read(&file.path).unwrap();
    let place = |from: usize, words: &[u8]| {
        from + bytes[from..].windows(words.len()).position(|window| window == words).expect("it is there")
    };
    // Two numbers of eight bytes come before it: when it is due, and how often it was tried.
    let due = place(place(0, b"pay-1"), &later(1).as_millis().to_le_bytes());
    let is_finished = due + 16;
    assert_eq!(bytes[is_finished], 0);
    bytes[is_finished] = 1;
    std::fs::write(&file.path, bytes).unwrap();
    cluster.go();
    let store = open(&address).await.unwrap();
    assert_eq!((store.mend_due().await, store.mend_due().await), (Ok(true), Ok(false)));
    let given = store.claim_effects(later(100), later(130), 1, 10).await.unwrap();
    assert_eq!(given.iter().map(|effect| effect.key.as_str()).collect::<Vec<_>>(), ["pay-0", "pay-1"]);
    store.close().await;
}

/// A value that turned in an effect's row keeps no effect from being given, neither its own nor another, whatever the table's
/// constraints say of that value.
#[tokio::test]
async fn what_turned_in_effects_keeps_none_from_being_given() {
    let (cluster, address, store) = effects(6).await;
    store.close().await;
    let files = files(&cluster, &address).await;
    let file = files.iter().find(|file| file.name == "outbox").unwrap();
    cluster.stop();
    let mut bytes = std::fs::read(&file.path).unwrap();
    let place = |bytes: &[u8], from: usize, words: &[u8]| {
        from + bytes[from..].windows(words.len()).position(|window| window == words).expect("it is there")
    };
    let key = |bytes: &[u8], n: u64| place(bytes, 0, &[&[0x0d], format!("pay-{n}").as_bytes()].concat()) + 1;
    let due = |bytes: &[u8], n: u64| place(bytes, key(bytes, n), &later(n).as_millis().to_le_bytes());
    let stream = |bytes: &[u8], n: u64| place(bytes, key(bytes, n), fixture::stream(n).as_bytes());
    // No text, no text, no time, no count, more than any count: and the last one is sound.
    for (at, mask) in [
        (key(&bytes, 0), 0x80),
        (stream(&bytes, 1), 0x80),
        (due(&bytes, 2) + 7, 0x80),
        (due(&bytes, 3) + 15, 0x80),
        (due(&bytes, 4) + 12, 0x01),
    ] {
        bytes[at] ^= mask;
    }
    std::fs::write(&file.path, bytes).unwrap();
    cluster.go();
    let store = open(&address).await.unwrap();
    let given = store.claim_effects(later(100), later(130), 1, 10).await.unwrap();
    let bodies: BTreeSet<_> = given.iter().map(|effect| String::from_utf8_lossy(&effect.body).into_owned()).collect();
    assert_eq!(bodies, (0..6).map(|n| format!("do pay-{n}")).collect());
    for effect in &given {
        store.finish_effect(&effect.key).await.unwrap();
    }
    let left = store.claim_effects(later(100), later(130), 2, 10).await.unwrap();
    let left: Vec<_> = left.iter().map(|effect| String::from_utf8_lossy(&effect.body).into_owned()).collect();
    assert_eq!(left, ["do pay-0"], "nobody can name it");
    store.close().await;
}
