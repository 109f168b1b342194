//! A process that writes until the power goes, and what must be there afterwards: the same for both databases.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration as Time;
use tallystick_app::log::{LogConfig, LogWorker};
use tallystick_app::port::log::{LogState, LogStore, Published};
use tallystick_core::Duration;
use tallystick_log::{CompactRange, KeyKind, KeyName, SignedCheckpoint, SigningKey, leaf_hash};

use crate::writing::{self, Acks, Both};

/// How the child's output tells of a published checkpoint, with its size.
const PUBLISHED: &str = "ack log ";
/// Pause between two batches of the log.
const PACE: Time = Time::from_millis(5);

/// What was acknowledged: facts, and a checkpoint's size.
pub(crate) struct Promised {
    acks: Acks,
    published: u64,
}

impl Promised {
    /// What children printed.
    pub(crate) fn by(lines: &[String]) -> Self {
        let mut acks = Acks::new();
        for (seq, task, version) in lines.iter().filter_map(|line| writing::parse(line)) {
            let doubled = acks.insert(seq, (task, version));
            assert_eq!(doubled, None, "fact {seq} was acknowledged twice");
        }
        let published = lines.iter().filter_map(|line| line.strip_prefix(PUBLISHED)?.parse().ok());
        Self { acks, published: published.max().unwrap_or(0) }
    }

    /// Whether it is so much that the test means something.
    pub(crate) fn is_much(&self) -> bool {
        self.acks.len() > 500 && self.published > 100
    }
}

/// The child: facts by [`writing::child`], and the log beside it.
pub(crate) async fn child<S: Both + LogStore>(store: S) {
    let mut worker = worker(&store);
    let mut pace = tokio::time::interval(PACE);
    let log = async {
        loop {
            pace.tick().await;
            worker.run_once().await.unwrap();
            let line = format!("{PUBLISHED}{}\n", size(&store.log_state().await.unwrap()));
            std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
        }
    };
    tokio::select! {
        () = writing::child(store.clone()) => {}
        () = log => {}
    }
}

fn size(state: &LogState) -> u64 {
    state.published.as_ref().map_or(0, |published| published.size)
}

/// Everything that must hold; so many facts are there, and their chain has been verified.
pub(crate) async fn check<S: Both + LogStore>(store: &S, count: u64, promised: &Promised) {
    writing::check(store, count, &promised.acks).await;
    let found = store.log_state().await.unwrap();
    assert!(size(&found) >= promised.published, "a published checkpoint is gone");
    assert!(found.size <= count, "the tree holds what the chain does not");
    // A start is a recovery: the tree goes on to what the facts make.
    assert_eq!(worker(store).run_once().await, Ok(true));
    let (mut range, mut after) = (CompactRange::new(), 0);
    while after < count {
        for fact in store.facts(after, 1_000).await.unwrap() {
            assert!(fact.body.is_sound());
            range.append(leaf_hash(&fact.entry()), |_, _| ()).unwrap();
            after = fact.seq;
        }
    }
    let Published { note, size, .. } = store.log_state().await.unwrap().published.expect("a checkpoint");
    assert_eq!((size, *SignedCheckpoint::parse(&note).unwrap().unverified().root()), (count, range.root()));
}

fn worker<S: Both + LogStore>(store: &S) -> LogWorker {
    let key =
        SigningKey::try_from_seed(KeyName::try_new("node.example/log").unwrap(), KeyKind::Note, &[7; 32]).unwrap();
    let config = LogConfig { key, interval: Duration::from_secs(1), witnesses: Vec::new(), witnesses_needed: 0 };
    let store = Arc::new(store.clone());
    LogWorker::try_new(Arc::clone(&store) as _, store, config).unwrap()
}
