//! `kill -9` at random moments: what was acknowledged is there, once, and the chain holds.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tallystick_app::port::journal::{Append, Journal, Reservation};
use tallystick_app::port::tasks::TaskReader;
use tallystick_core::canonical;
use tallystick_store::SqliteStore;
use tallystick_testkit::store_suite::fixture::{append, effect, later, stream, task_id};

/// Tells the child which database to write to.
const DATABASE: &str = "TALLYSTICK_STORE_CRASH_DATABASE";
const TEST: &str = "crash::acknowledged_facts_survive_sigkill";
const KILLS: u64 = 30;
/// How long a child writes at most, if nobody kills it.
const LIFETIME_MAX: Duration = Duration::from_secs(120);
/// Tasks that the child writes to at the same time.
const TASKS: u64 = 12;

/// An acknowledgement: the fact's number, its task, its version.
type Ack = (u64, u64, u64);

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
    let mut acknowledged: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for round in 0..KILLS {
        // From none to a few hundred acknowledgements, in no regular order; where it hits the writer is chance.
        let before_kill = if round % 10 == 0 { 0 } else { round * 7_919 % 307 };
        for (seq, task, version) in kill_after(&path, before_kill) {
            let doubled = acknowledged.insert(seq, (task, version));
            assert_eq!(doubled, None, "fact {seq} was acknowledged twice");
        }
        runtime.block_on(check(&path, &acknowledged));
    }
    assert!(acknowledged.len() > 1_000, "only {} appends were acknowledged", acknowledged.len());
}

/// Lets a child write, kills it after so many acknowledgements, and answers all that it managed to send.
fn kill_after(path: &Path, count: u64) -> Vec<Ack> {
    let mut child: Child = Command::new(std::env::current_exe().expect("this test's file"))
        .args(["--exact", TEST, "--nocapture", "--test-threads", "1"])
        .env(DATABASE, path)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let mut acks = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().expect("the child's output"));
    let mut line = String::new();
    let mut killed = count == 0;
    if killed {
        child.kill().expect("SIGKILL");
    }
    while lines.read_line(&mut line).expect("the child's output") > 0 {
        // A line without its end was never finished: it acknowledges nothing.
        acks.extend(line.strip_suffix('\n').and_then(parse));
        line.clear();
        if !killed && u64::try_from(acks.len()).expect("it fits") >= count {
            child.kill().expect("SIGKILL");
            killed = true;
        }
    }
    let status = child.wait().expect("the child's end");
    assert!(killed && !status.success(), "the child ended by itself: {status}");
    acks
}

fn parse(line: &str) -> Option<Ack> {
    let mut words = line.strip_prefix("ack ")?.split(' ').map(str::parse);
    Some((words.next()?.ok()?, words.next()?.ok()?, words.next()?.ok()?))
}

/// Everything acknowledged is there with all that belongs to it, and nothing is there in part.
async fn check(path: &Path, acknowledged: &BTreeMap<u64, (u64, u64)>) {
    let store = SqliteStore::open(path).expect("the lock is free and the head is sound");
    let count = store.verify_chain().await.expect("an unbroken chain");
    let mut streams: BTreeMap<String, u64> = BTreeMap::new();
    let (mut after, mut seen) = (0, 0);
    loop {
        let page = store.facts(after, 1_000).await.expect("facts");
        let Some(last) = page.last() else { break };
        after = last.seq;
        for fact in page {
            if let Some((task, version)) = acknowledged.get(&fact.seq) {
                assert_eq!((fact.stream.as_str(), fact.version), (stream(*task).as_str(), *version));
                seen += 1;
            }
            let version = streams.entry(fact.stream).or_default();
            *version += 1;
            assert_eq!(*version, fact.version, "a gap or a double");
        }
    }
    assert_eq!((after, seen), (count, acknowledged.len()), "an acknowledged fact is gone");

    for task in 0..TASKS {
        let version = streams.get(&stream(task)).copied().unwrap_or(0);
        let Some(last) = version.checked_sub(1) else { continue };
        let written = planned(task, last);
        assert_eq!(store.task(task_id(task)).await.expect("an answer"), Some(written.row.view));
        let Reservation { space, name } = &written.reservations[0];
        assert_eq!(store.holder(space, name).await.expect("an answer"), Some(stream(task)));
        let pending = store.due_effects(later(0), 1_000).await.expect("effects");
        let own: Vec<&str> =
            pending.iter().filter(|effect| effect.stream == stream(task)).map(|effect| effect.key.as_str()).collect();
        assert_eq!(own, [written.effects[0].key.as_str()], "each fact ends the effect of the fact before it");
    }
    store.close().await;
}

/// What the child appends to a task at a version: a fact, a name, an effect, and the end of the effect before.
fn planned(task: u64, version: u64) -> Append {
    let key = |version: u64| format!("{task}/{version}");
    let name = canonical::sha256(key(version).as_bytes()).0.to_vec();
    Append {
        effects: vec![effect(&key(version), 0)],
        finishes: version.checked_sub(1).map(key).into_iter().collect(),
        reservations: vec![Reservation { space: "test", name }],
        ..append(task, version)
    }
}

/// Goes on where the journal ends, on all tasks at once, and prints a line for each append that was acknowledged.
fn child(path: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = SqliteStore::open(path).expect("the parent has closed it");
        let mut set = tokio::task::JoinSet::new();
        for task in 0..TASKS {
            let store = store.clone();
            set.spawn(async move {
                let facts = store.stream(&stream(task), 0).await.expect("facts");
                let mut version = facts.last().map_or(0, |fact| fact.version);
                loop {
                    let appended = store.append(planned(task, version)).await.expect("the next version");
                    version = appended.version;
                    let line = format!("ack {} {task} {version}\n", appended.seq);
                    let mut out = std::io::stdout().lock();
                    out.write_all(line.as_bytes()).and_then(|()| out.flush()).expect("the parent listens");
                }
            });
        }
        // Only a limit: the parent takes a child that ends by itself for a failure.
        let ended = tokio::time::timeout(LIFETIME_MAX, set.join_all()).await;
        assert!(ended.is_err(), "the writers stopped");
    });
}
