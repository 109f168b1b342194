//! A process that writes until it is killed, and what must be there afterwards: the same for both stores.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tallystick_app::port::journal::{Append, Journal, Reservation};
use tallystick_app::port::tasks::TaskReader;
use tallystick_core::canonical;
use tallystick_testkit::store_suite::fixture::{append, effect, later, stream, task_id};

/// Tells the child which database to write to.
pub(crate) const DATABASE: &str = "TALLYSTICK_STORE_CRASH_DATABASE";
/// How long a child writes at most, if nobody kills it.
const LIFETIME_MAX: Duration = Duration::from_secs(120);
/// Tasks that the child writes to at the same time.
pub(crate) const TASKS: u64 = 12;

/// An acknowledgement: the fact's number, its task, its version.
pub(crate) type Ack = (u64, u64, u64);
/// The same of many, by the fact's number.
pub(crate) type Acks = BTreeMap<u64, (u64, u64)>;

/// What both stores can do here.
pub(crate) trait Both: Journal + TaskReader + Clone + 'static {}

impl<S: Journal + TaskReader + Clone + 'static> Both for S {}

/// This test's file again, to run one test as a child that writes.
pub(crate) fn again(test: &str, database: &OsStr) -> Command {
    let mut command = tallystick_testkit::again(test);
    command.env(DATABASE, database);
    command
}

/// Lets a child write, kills it after so many acknowledgements, and answers all that it managed to send.
pub(crate) fn kill_after(test: &str, database: &OsStr, count: u64) -> Vec<Ack> {
    let mut child: Child = again(test, database).stdout(Stdio::piped()).spawn().expect("a child");
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

/// Reads the line of an acknowledgement.
pub(crate) fn parse(line: &str) -> Option<Ack> {
    let mut words = line.strip_prefix("ack ")?.split(' ').map(str::parse);
    Some((words.next()?.ok()?, words.next()?.ok()?, words.next()?.ok()?))
}

/// Everything acknowledged is there with all that belongs to it, and nothing is there in part.
/// `count` facts have been verified.
pub(crate) async fn check(store: &impl Both, count: u64, acknowledged: &Acks) {
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
        assert_eq!(store.task(task_id(task)).await.expect("an answer"), written.row.map(|row| row.view));
        let Reservation { space, name } = &written.reservations[0];
        assert_eq!(store.holder(space, name).await.expect("an answer"), Some(stream(task)));
        let pending = store.due_effects(later(0), 1_000).await.expect("effects");
        let own: Vec<&str> =
            pending.iter().filter(|effect| effect.stream == stream(task)).map(|effect| effect.key.as_str()).collect();
        assert_eq!(own, [written.effects[0].key.as_str()], "each fact ends the effect of the fact before it");
    }
}

/// What the child appends to a task at a version: a fact, a name, an effect, and the end of the effect before.
pub(crate) fn planned(task: u64, version: u64) -> Append {
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
pub(crate) async fn child(store: impl Both) {
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
}
