//! Everything that a node reads from its store, to compare two stores that should answer alike.

use std::fmt::Debug;
use std::sync::Arc;
use tallystick_app::port::{
    limits::{PAGE_MAX, TIME_MAX},
    request::Action,
    snapshot::Snapshot,
    tasks::TaskQuery,
};
use tallystick_core::{BlockHeight, Duration, Id, NostrKey, Timestamp};
use tallystick_escrow::Task;
use tallystick_testkit::escrow::{requester, worker};
use tallystick_testkit::{ManualClock, asking_at, escrow, publish};

use crate::tampering::{AFTER, Whole, argue, live, node};

/// Tasks in [`much`]: so many that tables and indexes have pages within.
const TASKS: u64 = 150;

/// A life with an argument and many tasks more, whose deadlines differ.
pub async fn much<S: Whole>(store: &S) {
    live(store).await;
    argue(store, 100).await;
    let (app, _) = node(store, &ManualClock::new(AFTER));
    for n in 0..TASKS {
        let id = Id::from_parts(escrow::NOW.as_millis() + 1_000 + n, [9; 10]);
        let mut terms = escrow::terms(&[20_000]);
        terms.title = format!("title of {n} {}", "and more ".repeat(20));
        let part = &mut terms.milestones[0];
        part.work_deadline = part.work_deadline.after(Duration::from_secs(n));
        let request = asking_at(AFTER, requester(), id, &Action::Create(terms.clone()));
        app.create(id, terms, request).await.unwrap();
    }
    publish(&Arc::new(store.clone())).await;
}

/// Everything that the node reads, one line for each answer, also for one that is an error.
///
/// How often an effect was tried, and who has it, is left out: it changes when it is tried again, within
/// [`tallystick_app::port::limits::EFFECT_PAUSE_MAX`].
pub async fn everything<S: Whole>(store: &S, snapshot: Arc<dyn Snapshot>) -> Vec<String> {
    let mut said = Vec::new();
    let mut say = |answer: &dyn Debug| said.push(format!("{answer:?}"));
    say(&snapshot.head().await);
    say(&store.rows_format().await);
    let (mut after, mut streams) = (0, std::collections::BTreeSet::new());
    while let Ok(page) = store.facts(after, PAGE_MAX).await
        && let Some(last) = page.last()
    {
        after = last.seq;
        for fact in &page {
            say(fact);
            say(&store.authority(fact.authority).await);
            streams.insert(fact.stream.clone());
        }
    }
    for stream in &streams {
        say(&store.stream(stream, 0).await);
        say(&store.stream(stream, 1).await);
    }
    let names = snapshot.names(None, PAGE_MAX).await;
    say(&names);
    for held in names.into_iter().flatten() {
        say(&store.holder(&held.space, &held.name).await);
    }
    say(&snapshot.remembered(None, PAGE_MAX).await);
    let effects = store.due_effects(TIME_MAX, PAGE_MAX).await;
    say(&effects.map(|effects| effects.into_iter().map(|it| (it.key, it.stream, it.body, it.due)).collect::<Vec<_>>()));
    say(&store.next_effect_due().await);
    let log = store.log_state().await;
    say(&log);
    say(&snapshot.log_tiles(None, PAGE_MAX).await);
    for (level, index) in snapshot.log_tiles(None, PAGE_MAX).await.into_iter().flatten() {
        say(&store.log_tile(level, index).await);
    }
    let rows = snapshot.rows(None, PAGE_MAX).await;
    say(&rows);
    let rows = rows.unwrap_or_default();
    for row in &rows {
        say(&store.task(row.id).await);
    }
    for matter in store.matters(None, PAGE_MAX).await.into_iter().flatten() {
        let pieces = store.pieces(matter).await;
        say(&pieces);
        for piece in pieces.into_iter().flatten() {
            say(&store.content(matter, piece.hash).await);
            say(&store.wrapped(matter, piece.hash).await);
        }
    }
    lists(store, &mut say).await;
    // As timers ask: what is due by time alone, and by height alone.
    for row in rows.iter().step_by(16).chain(rows.last()) {
        let (time, height) = (row.wake_at.unwrap_or_default(), row.wake_height.unwrap_or_default());
        say(&store.due_tasks(time, BlockHeight(0), 0, PAGE_MAX).await);
        say(&store.due_tasks(Timestamp::from_millis(0), height, 0, PAGE_MAX).await);
    }
    say(&store.next_wake_after(escrow::NOW).await);
    said
}

async fn lists<S: Whole>(store: &S, say: &mut impl FnMut(&dyn Debug)) {
    let states = ["open", "assigned", "funding", "cancelled", "held"];
    let by = |requester: Option<NostrKey>, worker: Option<NostrKey>, states: &[&str], before: Option<Id<Task>>| {
        let states = states.iter().map(|state| (*state).to_owned()).collect();
        TaskQuery { states, requester, worker, before, limit: 100 }
    };
    let middle = Some(Id::from_parts(escrow::NOW.as_millis() + 1_000 + TASKS / 2, [9; 10]));
    for before in [None, middle] {
        say(&store.tasks(&by(None, None, &[], before)).await);
        for state in states {
            say(&store.tasks(&by(None, None, &[state], before)).await);
        }
        say(&store.tasks(&by(Some(requester()), None, &[], before)).await);
        say(&store.tasks(&by(None, Some(worker()), &[], before)).await);
    }
}
