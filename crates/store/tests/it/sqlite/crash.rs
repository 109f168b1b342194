//! `kill -9` at random moments: what was acknowledged is there, once, and the chain holds.

use std::path::{Path, PathBuf};
use tallystick_store::SqliteStore;

use crate::writing::{self, Acks, DATABASE};

const TEST: &str = "sqlite::crash::acknowledged_facts_survive_sigkill";
const KILLS: u64 = 30;

/// The parent starts this very test again with [`DATABASE`] set: that one is the child, and writes until it is killed.
#[test]
fn acknowledged_facts_survive_sigkill() {
    match std::env::var_os(DATABASE) {
        Some(path) => child(&PathBuf::from(path)),
        None => parent(),
    }
}

fn parent() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("journal.db");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut acknowledged: Acks = Acks::new();
    for round in 0..KILLS {
        // From none to a few hundred acknowledgements, in no regular order; where it hits the writer is chance.
        let before_kill = if round % 10 == 0 { 0 } else { round * 7_919 % 307 };
        for (seq, task, version) in writing::kill_after(TEST, path.as_os_str(), before_kill) {
            let doubled = acknowledged.insert(seq, (task, version));
            assert_eq!(doubled, None, "fact {seq} was acknowledged twice");
        }
        runtime.block_on(check(&path, &acknowledged));
    }
    assert!(acknowledged.len() > 1_000, "only {} appends were acknowledged", acknowledged.len());
}

async fn check(path: &Path, acknowledged: &Acks) {
    let store = SqliteStore::open(path).expect("the lock is free and the head is sound");
    let count = store.verify_chain().await.expect("an unbroken chain");
    writing::check(&store, count, acknowledged).await;
    store.close().await;
}

fn child(path: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(writing::child(SqliteStore::open(path).expect("the parent has closed it")));
}
