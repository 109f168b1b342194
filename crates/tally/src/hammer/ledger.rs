//! What was asked and acknowledged, and what the log was seen to hold of it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use tallystick_core::{Digest32, Fact, Id};
use tallystick_escrow::{Event, Task};

use super::Violation;

/// What the streams of tasks begin with.
const STREAM: &str = "escrow/";

/// A change that a requester asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Step {
    Created,
    Cancelled,
}

impl Step {
    /// The kind of fact that it becomes.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Created => Event::CREATED,
            Self::Cancelled => Event::CANCELLED,
        }
    }
}

/// A fact as the log showed it, in a tree whose root is signed.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub seq: u64,
    pub kind: String,
    pub hash: Digest32,
    /// When the first checkpoint that holds it was fetched.
    at: Instant,
}

/// A task of ours.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// Whose it is, as a position among the requesters.
    pub client: usize,
    acknowledged: Vec<(Step, Instant)>,
    /// Its facts in the log, by version from 1.
    pub facts: Vec<Seen>,
}

impl Record {
    fn seen(&self, step: Step) -> Option<&Seen> {
        self.facts.iter().find(|seen| seen.kind == step.kind())
    }
}

/// All tasks of a run.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<BTreeMap<Id<Task>, Record>>);

impl Ledger {
    /// Before a task is asked for: the log may show it before the reply comes.
    pub fn ask(&self, task: Id<Task>, client: usize) {
        self.tasks().insert(task, Record { client, acknowledged: Vec::new(), facts: Vec::new() });
    }

    /// A reply came.
    pub fn acknowledge(&self, task: Id<Task>, step: Step) {
        if let Some(record) = self.tasks().get_mut(&task) {
            record.acknowledged.push((step, Instant::now()));
        }
    }

    /// The log holds a fact. Others' facts are passed over.
    ///
    /// # Errors
    /// [`Violation::LoggedTwice`] if it is not the next of its task, or a change that the task has already.
    pub fn saw(&self, fact: Fact, at: Instant) -> Result<(), Violation> {
        let id = fact.stream.strip_prefix(STREAM).and_then(|id| id.parse().ok());
        let mut tasks = self.tasks();
        let Some((task, record)) = id.and_then(|id| Some((id, tasks.get_mut(&id)?))) else { return Ok(()) };
        let Fact { seq, version, kind, hash, .. } = fact;
        let next = u64::try_from(record.facts.len()).ok().and_then(|facts| facts.checked_add(1));
        // A task is created and cancelled once; only these begin and end it without money.
        let again =
            [Step::Created, Step::Cancelled].into_iter().any(|step| step.kind() == kind && record.seen(step).is_some());
        let first = (version == 1) == (kind == Step::Created.kind());
        if next != Some(version) || again || !first {
            return Err(Violation::LoggedTwice { task, seq, kind, version });
        }
        record.facts.push(Seen { seq, kind, hash, at });
        Ok(())
    }

    /// The first change that was acknowledged and that the log was not yet seen to hold.
    pub fn waiting(&self) -> Option<(Id<Task>, Step)> {
        let tasks = self.tasks();
        tasks.iter().find_map(|(task, record)| {
            let waiting = record.acknowledged.iter().find(|(step, _)| record.seen(*step).is_none());
            waiting.map(|(step, _)| (*task, *step))
        })
    }

    /// From each reply to the checkpoint that holds what it acknowledged; nothing if the checkpoint came first.
    pub fn lags(&self) -> Vec<Duration> {
        let tasks = self.tasks();
        let lag = |record: &Record, (step, at): &(Step, Instant)| {
            record.seen(*step).map(|seen| seen.at.saturating_duration_since(*at))
        };
        tasks.values().flat_map(|record| record.acknowledged.iter().filter_map(|ack| lag(record, ack))).collect()
    }

    /// How often a step was acknowledged.
    pub fn count(&self, step: Step) -> usize {
        self.tasks().values().flat_map(|record| &record.acknowledged).filter(|(done, _)| *done == step).count()
    }

    /// Acknowledged tasks, so many at most, spread over the run.
    pub fn sample(&self, max: usize) -> Vec<(Id<Task>, Record)> {
        let tasks = self.tasks();
        let known: Vec<_> = tasks.iter().filter(|(_, record)| !record.acknowledged.is_empty()).collect();
        let step = known.len().div_ceil(max.max(1)).max(1);
        known.into_iter().rev().step_by(step).take(max).map(|(task, record)| (*task, record.clone())).collect()
    }

    fn tasks(&self) -> MutexGuard<'_, BTreeMap<Id<Task>, Record>> {
        // Each change of the map is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallystick_core::{BlockHeight, Body, Timestamp, fact::CHAIN_START};

    fn id(n: u8) -> Id<Task> {
        Id::from_parts(1_700_000_000_000, [n; 10])
    }

    fn fact(task: Id<Task>, seq: u64, version: u64, step: Step) -> Fact {
        Fact {
            seq,
            stream: format!("{STREAM}{task}"),
            version,
            kind: step.kind().to_owned(),
            body: Body::Public(Vec::new()),
            authority: CHAIN_START,
            recorded_at: Timestamp::from_secs(0),
            height: BlockHeight(0),
            prev: CHAIN_START,
            hash: Digest32([1; 32]),
        }
    }

    #[test]
    fn what_was_acknowledged_is_waited_for() {
        let (ledger, now) = (Ledger::default(), Instant::now());
        ledger.ask(id(1), 0);
        assert_eq!(ledger.waiting(), None, "nothing was acknowledged");
        ledger.acknowledge(id(1), Step::Created);
        ledger.acknowledge(id(1), Step::Cancelled);
        assert_eq!(ledger.waiting(), Some((id(1), Step::Created)));
        ledger.saw(fact(id(1), 7, 1, Step::Created), now).unwrap();
        assert_eq!(ledger.waiting(), Some((id(1), Step::Cancelled)));
        ledger.saw(fact(id(1), 8, 2, Step::Cancelled), now).unwrap();
        assert_eq!((ledger.waiting(), ledger.lags().len(), ledger.count(Step::Cancelled)), (None, 2, 1));
    }

    #[test]
    fn a_change_is_in_the_log_once_and_in_order() {
        let (ledger, now) = (Ledger::default(), Instant::now());
        ledger.ask(id(1), 0);
        ledger.saw(fact(id(2), 1, 5, Step::Created), now).expect("somebody else's");
        let refused = |seq, version, step| {
            let refused = ledger.saw(fact(id(1), seq, version, step), now).unwrap_err();
            assert!(matches!(refused, Violation::LoggedTwice { .. }), "{refused}");
        };
        refused(2, 2, Step::Created);
        refused(2, 1, Step::Cancelled);
        ledger.saw(fact(id(1), 2, 1, Step::Created), now).unwrap();
        refused(3, 1, Step::Created);
        refused(3, 2, Step::Created);
        ledger.saw(fact(id(1), 3, 2, Step::Cancelled), now).unwrap();
        refused(4, 3, Step::Cancelled);
    }

    #[test]
    fn a_sample_is_spread_over_the_run() {
        let ledger = Ledger::default();
        for n in 0..10 {
            ledger.ask(id(n), 0);
            ledger.acknowledge(id(n), Step::Created);
        }
        let sampled = |max| ledger.sample(max).into_iter().map(|(task, _)| task).collect::<Vec<_>>();
        assert_eq!(sampled(0), []);
        assert_eq!(sampled(3), [id(9), id(5), id(1)]);
        assert_eq!(sampled(100).len(), 10);
    }
}
