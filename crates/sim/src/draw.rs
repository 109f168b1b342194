//! Draws what happens next, from a seed and from how things stand.

use tallystick_core::{BlockHeight, Timestamp};
use tallystick_escrow::{Phase, State};
use tallystick_testkit::rail::Presence;

use crate::{
    behaviour::{BEHAVIOURS, DISTURBANCES, Sight},
    draft::Draft,
    plan::{Act, Kind, Step, Tell, Trouble},
    rng::Rng,
};

/// Steps for each task, and for the run itself.
const STEPS_PER_TASK: usize = 50;
const STEPS_BASE: usize = 30;
/// The most tasks of a run whose number was not asked for.
const TASKS_MAX: u64 = 3;
/// A block takes ten minutes on average.
const BLOCK_SECS: u64 = 600;

/// Draws the tasks of a run.
pub(crate) fn drafts(rng: &mut Rng, tasks: Option<usize>) -> Vec<Draft> {
    let count = tasks.unwrap_or_else(|| usize::try_from(rng.between(1, TASKS_MAX)).expect("a few"));
    (0..count).map(|_| Draft::draw(rng)).collect()
}

/// How many steps are drawn for so many tasks, at most.
pub(crate) const fn steps_max(tasks: usize) -> usize {
    STEPS_BASE + STEPS_PER_TASK * tasks
}

/// How things stand.
pub(crate) struct Stand<'a> {
    pub drafts: &'a [Draft],
    pub states: &'a [State],
    pub now: Timestamp,
    pub height: BlockHeight,
}

impl Stand<'_> {
    fn sight(&self, at: usize) -> Sight<'_> {
        Sight { at, draft: &self.drafts[at], state: &self.states[at], now: self.now, height: self.height }
    }
}

/// Draws the next step.
pub(crate) fn step(rng: &mut Rng, stand: &Stand<'_>) -> Step {
    let mut acts = vec![act(rng, stand)];
    // What moves the world by itself stands alone; users, node and network may meet.
    if may_meet(&acts[0]) && rng.percent(25) {
        let more = rng.between(1, 2);
        let others: Vec<Act> = (0..more).map(|_| act(rng, stand)).filter(may_meet).collect();
        for other in others {
            // A network tells one notice of a hash at a time.
            let tells = matches!(other, Act::Tell(_)) && acts.iter().any(|act| matches!(act, Act::Tell(_)));
            if !tells {
                acts.push(other);
            }
        }
    }
    let meets = may_meet(&acts[0]);
    let trouble = (meets && rng.percent(12)).then(|| Trouble {
        call: u32::try_from(rng.between(1, 8)).expect("a small number"),
        kind: rng.pick(&[Kind::Dies, Kind::Dies, Kind::Fails]),
        done: rng.percent(50),
    });
    Step { acts, trouble, salt: rng.next() }
}

/// Whether an act may happen at the same time as others.
pub(crate) const fn may_meet(act: &Act) -> bool {
    matches!(act, Act::Ask { .. } | Act::Lock { .. } | Act::Tell(_) | Act::Network | Act::Outbox | Act::Timers)
}

fn act(rng: &mut Rng, stand: &Stand<'_>) -> Act {
    match rng.below(100) {
        0..44 => machine(rng),
        44..76 => wish(rng, stand).unwrap_or_else(|| pass(rng, stand)),
        _ if is_crowded(rng, stand) => wish(rng, stand).unwrap_or_else(|| machine(rng)),
        76..90 => pass(rng, stand),
        90..95 => Act::Rest,
        _ => disturbance(rng, stand),
    }
}

/// Whether somebody else has something to do first, where there are many: they share one time, so that it goes by, and things go
/// wrong, as often for each of them as for few.
fn is_crowded(rng: &mut Rng, stand: &Stand<'_>) -> bool {
    let tasks = stand.drafts.len() as u64;
    tasks > TASKS_MAX && rng.below(tasks) >= TASKS_MAX
}

fn machine(rng: &mut Rng) -> Act {
    let place = usize::try_from(rng.below(4)).expect("a small number");
    match rng.below(10) {
        0..3 => Act::Outbox,
        3..5 => Act::Tell(Tell::All),
        5 => Act::Tell(Tell::One(place)),
        6 => Act::Tell(Tell::Twice(place)),
        7..9 => Act::Network,
        _ => Act::Timers,
    }
}

fn wish(rng: &mut Rng, stand: &Stand<'_>) -> Option<Act> {
    let mut wishes = Vec::new();
    for at in 0..stand.drafts.len() {
        for behaviour in BEHAVIOURS {
            wishes.extend((behaviour.wishes)(stand.sight(at), rng));
        }
    }
    rng.weighed(wishes)
}

fn disturbance(rng: &mut Rng, stand: &Stand<'_>) -> Act {
    let away = (0..stand.drafts.len()).filter(|at| stand.drafts[*at].nature.is_away);
    let away: Vec<usize> = away.collect();
    if !away.is_empty() && rng.percent(30) {
        return Act::Presence { task: rng.pick(&away), is: rng.pick(&[Presence::Offline, Presence::Stalling]) };
    }
    let all = DISTURBANCES.iter().map(|one| (one.weight, one.draw)).collect();
    rng.weighed(all).map_or(Act::Restart, |draw| draw(stand.drafts.len(), rng))
}

/// Time: little, some, or as much as it takes to come close to what a task waits for.
fn pass(rng: &mut Rng, stand: &Stand<'_>) -> Act {
    // Who has not begun yet has little time for it: most tasks should come to the point where money is locked.
    if stand.states.iter().any(is_young) && rng.percent(93) {
        return Act::Pass { blocks: u32::from(rng.percent(20)), secs: rng.between(1, 300) };
    }
    let blocks = match rng.below(10) {
        0..4 => rng.between(0, 2),
        4..7 => rng.between(1, 24),
        _ => return near(rng, stand),
    };
    passing(rng, blocks)
}

/// Whether no money is locked for a task yet, and some may be.
fn is_young(state: &State) -> bool {
    match state {
        State::Absent => true,
        State::Present(task) => matches!(task.phase, Phase::Open | Phase::Assigned { .. } | Phase::Funding { .. }),
    }
}

/// So many blocks, faster or slower than on average.
fn passing(rng: &mut Rng, blocks: u64) -> Act {
    let secs = match blocks {
        0 => rng.between(1, BLOCK_SECS),
        blocks => blocks * BLOCK_SECS * rng.between(50, 160) / 100,
    };
    Act::Pass { blocks: u32::try_from(blocks).expect("a small number"), secs }
}

/// Time until shortly before, at, or after what some task waits for.
fn near(rng: &mut Rng, stand: &Stand<'_>) -> Act {
    let wakes: Vec<_> = stand.states.iter().map(State::wake).filter(|wake| *wake != Default::default()).collect();
    if wakes.is_empty() {
        return passing(rng, 1);
    }
    let wake = rng.pick(&wakes);
    match (wake.at, wake.height) {
        (Some(at), height) if height.is_none() || rng.percent(60) => {
            let left = stand.now.until(at).as_secs();
            let secs = (left + rng.below(1_200)).saturating_sub(600).max(1);
            let blocks = secs * rng.between(60, 150) / (100 * BLOCK_SECS);
            Act::Pass { blocks: u32::try_from(blocks.min(400)).expect("a small number"), secs }
        }
        (_, Some(height)) => {
            let left = u64::from(stand.height.until(height).0);
            let blocks = (left + rng.below(9)).saturating_sub(6).max(1);
            passing(rng, blocks)
        }
        _ => passing(rng, 1),
    }
}
