//! Backups: of one moment, whole or not at all, and damage is found.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use tallystick_app::port::journal::{Journal, StoreError};
use tallystick_core::Digest32;
use tallystick_store::{ENCLOSED_BYTES_MAX, Enclosed, SqliteStore, back_up, sweep, unpack};
use tallystick_testkit::store_suite::fixture::append;

const TEST: &str = "sqlite::backup::the_old_backup_is_whole_until_the_new_one_is";
/// Tells the child which folder it works in.
const FOLDER: &str = "TALLYSTICK_STORE_BACKUP_FOLDER";
const TASKS: u64 = 8;

fn enclosed() -> Vec<Enclosed> {
    ["a.toml", "seed"].map(|name| Enclosed { name: name.to_owned(), bytes: format!("in {name}").into_bytes() }).into()
}

/// Shows that the digest is that of the file.
fn code(digest: Digest32) -> [u8; 32] {
    digest.0.map(|byte| !byte)
}

fn paths(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("journal.sqlite"), folder.join("one.backup"))
}

async fn fill(store: &SqliteStore, task: u64, facts: u64) {
    for version in 0..facts {
        store.append(append(task, version)).await.unwrap();
    }
}

/// What is unpacked is a journal that goes on, and begins as the one that was backed up does.
async fn is_prefix(store: &SqliteStore, backup: &Path, journal: &Path) -> u64 {
    let unpacked = unpack(backup, journal).unwrap();
    assert_eq!((unpacked.enclosed, unpacked.code), (enclosed(), code(unpacked.digest)));
    let copy = SqliteStore::open(journal).unwrap();
    let count = copy.verify_chain().await.unwrap();
    let last = copy.facts(count.saturating_sub(1), 1).await.unwrap();
    assert_eq!(
        last,
        store.facts(count.saturating_sub(1), 1).await.unwrap()[..last.len()],
        "the chain holds all before"
    );
    fill(&copy, 1_000, 1).await;
    copy.close().await;
    count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_node_that_writes_is_backed_up_at_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let (path, backup) = paths(dir.path());
    let store = SqliteStore::open(&path).unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..TASKS)
        .map(|task| {
            let (store, enough) = (store.clone(), Arc::clone(&enough));
            tokio::spawn(async move {
                let mut version = 0;
                while !enough.load(Relaxed) {
                    version = store.append(append(task, version)).await.unwrap().version;
                }
            })
        })
        .collect();
    let mut counts = BTreeSet::new();
    for round in 0..5 {
        // Each one is made while the journal grows.
        let more = store.facts(0, 1).await.unwrap().len() as u64 + counts.last().copied().unwrap_or(0) + 50;
        while store.facts(more, 1).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let (from, to, mut heard) = (path.clone(), backup.clone(), Vec::new());
        let (made, heard) = tokio::task::spawn_blocking(move || {
            (back_up(&from, &to, &enclosed(), code, |done, all| heard.push((done, all))).unwrap(), heard)
        })
        .await
        .unwrap();
        assert!(heard.last().is_some_and(|(done, all)| done == all && *all > 0), "{heard:?}");
        assert_eq!(fs::metadata(&backup).unwrap().len(), made.bytes);
        let count = is_prefix(&store, &backup, &dir.path().join(format!("{round}.sqlite"))).await;
        assert_eq!(count, made.facts);
        assert!(counts.insert(count), "the journal did not grow: {counts:?}");
    }
    enough.store(true, Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    store.verify_chain().await.unwrap();
    store.close().await;
    // Nothing is left beside a backup, and a stopped node can be backed up too.
    back_up(&path, &backup, &enclosed(), code, |_, _| ()).unwrap();
    let beside = fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    assert!(beside.filter(|name| name.starts_with("one.backup")).eq(["one.backup"]));
}

/// The parent starts this very test again with [`FOLDER`] set: that one is the child, stops in the middle and is killed.
#[test]
fn the_old_backup_is_whole_until_the_new_one_is() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let (path, backup) = paths(Path::new(&folder));
        let stop = |_, _| {
            println!("\nin the middle");
            std::io::stdout().flush().unwrap();
            // Until it is killed, or its parent is gone.
            std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
            std::process::abort();
        };
        back_up(&path, &backup, &enclosed(), code, stop).unwrap();
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (path, backup) = paths(dir.path());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let store = SqliteStore::open(&path).unwrap();
    runtime.block_on(fill(&store, 0, 3));
    back_up(&path, &backup, &enclosed(), code, |_, _| ()).unwrap();
    let before = fs::read(&backup).unwrap();
    runtime.block_on(fill(&store, 1, 400));

    let mut command = tallystick_testkit::again(TEST);
    let mut child = command.env(FOLDER, dir.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line == "in the middle"), "the child did not come so far");
    let second = back_up(&path, &backup, &enclosed(), code, |_, _| ()).unwrap_err();
    assert!(second.to_string().contains("another process"), "{second}");
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(fs::read(&backup).unwrap(), before);
    assert_eq!(runtime.block_on(is_prefix(&store, &backup, &dir.path().join("old.sqlite"))), 3);
    // What the killed one left is in nobody's way.
    back_up(&path, &backup, &enclosed(), code, |_, _| ()).unwrap();
    assert_eq!(runtime.block_on(is_prefix(&store, &backup, &dir.path().join("new.sqlite"))), 403);
    runtime.block_on(store.close());
}

#[tokio::test]
async fn damage_is_found_or_does_not_matter() {
    let dir = tempfile::tempdir().unwrap();
    let (path, backup) = paths(dir.path());
    let store = SqliteStore::open(&path).unwrap();
    fill(&store, 0, 20).await;
    back_up(&path, &backup, &enclosed(), code, |_, _| ()).unwrap();
    let (whole, bent, copy) = (fs::read(&backup).unwrap(), dir.path().join("bent"), dir.path().join("copy.sqlite"));
    // What differs from a zero is content, or says where content is: most flips there are found.
    let places: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).step_by(37).collect();
    let mut found = 0;
    for at in &places {
        let mut bytes = whole.clone();
        bytes[*at] ^= 1 << (at % 8);
        fs::write(&bent, bytes).unwrap();
        let opened = unpack(&bent, &copy).and_then(|files| Ok((files, SqliteStore::open(&copy)?)));
        if let Ok((files, opened)) = opened {
            assert_eq!(files.enclosed, enclosed(), "byte {at}");
            assert_eq!(opened.facts(0, 100).await.unwrap(), store.facts(0, 100).await.unwrap(), "byte {at}");
            opened.close().await;
        } else {
            found += 1;
        }
        drop(fs::remove_file(&copy));
    }
    assert!(found * 10 > places.len() * 9, "{found} of {} were found", places.len());
    for length in [0, 50, 4096, whole.len() / 2, whole.len() - 1] {
        fs::write(&bent, &whole[..length]).unwrap();
        assert!(unpack(&bent, &copy).is_err(), "cut to {length}");
        drop(fs::remove_file(&copy));
    }
    // What no chain and no tree tells of is sealed as well.
    for change in [
        "UPDATE tasks SET view = 'another'",
        "UPDATE backup_files SET bytes = x'00' WHERE name = 'seed'",
        "UPDATE read_models SET format = format + 1",
        "DELETE FROM seen_requests; INSERT INTO seen_requests VALUES (zeroblob(32), 1)",
        "DROP TRIGGER facts_stay",
    ] {
        fs::write(&bent, &whole).unwrap();
        rusqlite::Connection::open(&bent).unwrap().execute_batch(change).unwrap();
        let refused = unpack(&bent, &copy).unwrap_err();
        assert!(
            matches!(&refused, StoreError::Corrupt(why) if why.contains("what was backed up")),
            "{change}: {refused}"
        );
        fs::remove_file(&copy).unwrap();
    }
    store.close().await;
}

#[tokio::test]
async fn a_backup_is_no_journal_and_replaces_nothing_but_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let (path, backup) = paths(dir.path());
    let store = SqliteStore::open(&path).unwrap();
    fill(&store, 0, 2).await;
    back_up(&path, &backup, &enclosed(), code, |_, _| ()).unwrap();
    assert!(SqliteStore::open(&backup).unwrap_err().to_string().contains("another program"));
    assert!(unpack(&path, &dir.path().join("x")).unwrap_err().to_string().contains("is no backup"));
    assert!(unpack(&backup, &path).is_err(), "a journal is never overwritten");
    let letter = dir.path().join("letter");
    fs::write(&letter, "dear").unwrap();
    for other in [&letter, &path] {
        let refused = back_up(&path, other, &enclosed(), code, |_, _| ()).unwrap_err();
        assert!(refused.to_string().contains("is no backup"), "{refused}");
    }
    assert_eq!(fs::read_to_string(&letter).unwrap(), "dear");
    let large = [Enclosed { name: "large".into(), bytes: vec![0; ENCLOSED_BYTES_MAX + 1] }];
    assert!(matches!(back_up(&path, &backup, &large, code, |_, _| ()), Err(StoreError::Limit(_))));
    assert!(back_up(&dir.path().join("none"), &backup, &enclosed(), code, |_, _| ()).is_err());
    assert_eq!(store.verify_chain().await.unwrap(), 2);
    store.close().await;
}

/// Nothing is copied before it says that it is a backup: what goes on for ever would fill the disk.
#[tokio::test]
async fn only_a_backup_is_copied() {
    let dir = tempfile::tempdir().unwrap();
    let (path, backup) = paths(dir.path());
    let store = SqliteStore::open(&path).unwrap();
    fill(&store, 0, 2).await;
    back_up(&path, &backup, &enclosed(), code, |_, _| ()).unwrap();
    store.close().await;
    let (copy, letter) = (dir.path().join("copy"), dir.path().join("letter"));
    fs::write(&letter, "dear ".repeat(100)).unwrap();
    for none in [Path::new("/dev/zero"), &path, &letter] {
        let refused = unpack(none, &copy).unwrap_err();
        assert!(refused.to_string().contains("is no backup") && !copy.exists(), "{refused}");
    }
    let long = fs::OpenOptions::new().append(true).open(&backup).unwrap();
    long.set_len(1 << 40).unwrap();
    let refused = unpack(&backup, &copy).unwrap_err();
    assert!(refused.to_string().contains("not as long as it says") && !copy.exists(), "{refused}");
}

/// What a backup that fails has written goes with it, and what a killed one left goes with the next.
#[tokio::test]
async fn nothing_private_is_left_of_a_failed_backup() {
    let dir = tempfile::tempdir().unwrap();
    let (path, backup) = paths(dir.path());
    let store = SqliteStore::open(&path).unwrap();
    fill(&store, 0, 2).await;
    store.close().await;
    let left = dir.path().join("tally-1.backup.new");
    let (file, kept) = (fs::File::create(&left).unwrap(), dir.path().join("letter.new"));
    fs::write(&kept, "dear").unwrap();
    fs::write(dir.path().join("tally-1.backup.new-journal"), "").unwrap();
    file.try_lock().unwrap();
    sweep(dir.path()).unwrap();
    assert!(left.exists(), "it is still written");
    drop(file);
    sweep(dir.path()).unwrap();
    let names = || fs::read_dir(dir.path()).unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
    assert!(kept.exists() && !names().any(|name| name.starts_with("tally-1")), "{:?}", names().collect::<Vec<_>>());
    rusqlite::Connection::open(&path).unwrap().execute_batch("DROP TRIGGER facts_stay; DELETE FROM facts").unwrap();
    back_up(&path, &backup, &enclosed(), code, |_, _| ()).unwrap_err();
    assert!(!names().any(|name| name.contains(".backup")), "{:?}", names().collect::<Vec<_>>());
}
