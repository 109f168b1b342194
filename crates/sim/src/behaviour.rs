//! What parties do, and what happens around them: two lists, to which a product adds its own.

use tallystick_civics::dispute::{Phase as DisputePhase, SeatState, Side as Of};
use tallystick_core::{BlockHeight, Timestamp};
use tallystick_escrow::{Case, Job, Phase, Purpose, RewardState, Stage, State, Task, TrancheState};
use tallystick_testkit::rail::Presence;

use crate::{
    draft::{Decides, Draft, Funds},
    plan::{Act, Ask, Cut, Lock, Say, Side},
    rng::Rng,
};

/// A task as its parties see it.
#[derive(Clone, Copy)]
pub struct Sight<'a> {
    /// Its position among the plan's drafts.
    pub at: usize,
    /// What was drawn for it.
    pub draft: &'a Draft,
    /// Where it stands.
    pub state: &'a State,
    /// The time.
    pub now: Timestamp,
    /// The height.
    pub height: BlockHeight,
}

/// Something that a party may do, with how much it wants to.
pub type Wish = (u64, Act);

/// One way to behave.
pub struct Behaviour {
    /// Its name.
    pub name: &'static str,
    /// What it wants in a task as it stands.
    pub wishes: fn(Sight<'_>, &mut Rng) -> Vec<Wish>,
}

/// All ways to behave. One that a product adds is a line here.
pub const BEHAVIOURS: &[Behaviour] = &[
    Behaviour { name: "begins", wishes: begins },
    Behaviour { name: "locks", wishes: locks },
    Behaviour { name: "works", wishes: works },
    Behaviour { name: "renews", wishes: renews },
    Behaviour { name: "decides", wishes: decides },
    Behaviour { name: "disputes", wishes: disputes },
    Behaviour { name: "judges", wishes: judges },
    Behaviour { name: "collects", wishes: collects },
    Behaviour { name: "walks out", wishes: walks_out },
    Behaviour { name: "asks for nonsense", wishes: asks_for_nonsense },
];

/// Something around the node that goes another way than it would like.
pub struct Disturbance {
    /// Its name.
    pub name: &'static str,
    /// How often, in relation to the others.
    pub weight: u64,
    /// What happens, with so many tasks about.
    pub draw: fn(usize, &mut Rng) -> Act,
}

/// All disturbances.
pub const DISTURBANCES: &[Disturbance] = &[
    Disturbance { name: "restart", weight: 6, draw: |_, _| Act::Restart },
    Disturbance { name: "outage", weight: 5, draw: outage },
    Disturbance { name: "cut", weight: 8, draw: cut },
    Disturbance { name: "presence", weight: 8, draw: presence },
    Disturbance { name: "fees", weight: 4, draw: fees },
    Disturbance { name: "clock", weight: 3, draw: clock },
    Disturbance { name: "reorganisation", weight: 3, draw: reorganisation },
    Disturbance { name: "lost hold", weight: 2, draw: lost_hold },
];

fn ask(sight: Sight<'_>, by: Side, what: Ask, rng: &mut Rng) -> Act {
    Act::Ask { task: sight.at, by, what, again: rng.percent(15) }
}

fn task<'a>(sight: &Sight<'a>) -> Option<(&'a Task, Option<&'a Job>)> {
    match sight.state {
        State::Present(task) => Some((task, task.phase.job())),
        State::Absent => None,
    }
}

fn begins(sight: Sight<'_>, rng: &mut Rng) -> Vec<Wish> {
    match task(&sight).map(|(task, _)| &task.phase) {
        None => vec![(8, ask(sight, Side::Requester, Ask::Post, rng))],
        Some(Phase::Open) => vec![(10, ask(sight, Side::Worker, Ask::Accept, rng))],
        Some(Phase::Assigned { .. }) => vec![(10, ask(sight, Side::Requester, Ask::Fund, rng))],
        Some(_) => Vec::new(),
    }
}

fn locks(sight: Sight<'_>, rng: &mut Rng) -> Vec<Wish> {
    let Some((Task { phase: Phase::Funding { job, .. }, .. }, _)) = task(&sight) else { return Vec::new() };
    let mut wishes = Vec::new();
    for (tranche, part) in job.tranches.iter().enumerate() {
        let nature = sight.draft.nature;
        let wanted = match nature.funds {
            _ if part.purpose == Purpose::Bond(Of::Payee) => nature.puts_up,
            Funds::All => true,
            Funds::Some => tranche % 2 == 0 && job.tranches.len() > 1,
            Funds::Nothing => false,
        };
        if part.state != TrancheState::Unfunded || part.funding_invoice.is_none() || !wanted {
            continue;
        }
        let how = if rng.percent(8) { rng.pick(&[Lock::TooLittle, Lock::TooShort]) } else { Lock::Asked };
        wishes.push((12, Act::Lock { task: sight.at, tranche, how }));
    }
    wishes
}

/// The milestones of which something is undecided.
fn open_milestones<'a>(task: &'a Task, job: &'a Job) -> impl Iterator<Item = (u32, Stage)> + use<'a> {
    let is_active = matches!(task.phase, Phase::Active { .. });
    let all = (0..).zip(&job.milestones).map(|(at, part)| (at, part.stage));
    all.filter(move |(at, _)| is_active && task.decide_by(job, *at).is_some())
}

fn works(sight: Sight<'_>, rng: &mut Rng) -> Vec<Wish> {
    let Some((task, Some(job))) = task(&sight) else { return Vec::new() };
    let working = open_milestones(task, job).filter(|(_, stage)| *stage == Stage::Working);
    let mut wishes = Vec::new();
    for (at, _) in working.filter(|_| sight.draft.nature.works) {
        wishes.push((4, ask(sight, Side::Worker, Ask::Submit(at), rng)));
    }
    wishes
}

fn renews(sight: Sight<'_>, rng: &mut Rng) -> Vec<Wish> {
    let Some((task, Some(job))) = task(&sight) else { return Vec::new() };
    let mut wishes = Vec::new();
    if task.terms.renewal.is_some() && sight.draft.nature.offers {
        for (at, _) in open_milestones(task, job) {
            // Late ones are likelier: early, there is no need.
            let left = task.decide_by(job, at).map_or(0, |by| sight.height.until(by).0);
            wishes.push((if left < 100 { 6 } else { 2 }, ask(sight, Side::Worker, Ask::Offer(at), rng)));
        }
    }
    for (tranche, part) in job.tranches.iter().enumerate() {
        let is_ready = part.renewal.as_ref().is_some_and(|next| next.funding_invoice.is_some());
        if is_ready && sight.draft.nature.renews {
            wishes.push((6, Act::Lock { task: sight.at, tranche, how: Lock::Renewal }));
        }
    }
    wishes
}

fn decides(sight: Sight<'_>, rng: &mut Rng) -> Vec<Wish> {
    let Some((task, Some(job))) = task(&sight) else { return Vec::new() };
    let mut wishes = Vec::new();
    for (at, stage) in open_milestones(task, job) {
        if stage == Stage::Working && task.running(job, at).is_none() {
            continue;
        }
        let how = match sight.draft.nature.decides {
            Decides::AsItComes => rng.pick(&[Decides::Approves, Decides::InParts, Decides::Rejects, Decides::Never]),
            settled => settled,
        };
        let what = match how {
            Decides::Approves => Ask::Approve(at, None),
            Decides::InParts => {
                let count = task.terms.tranches_of(at).len() as u64;
                Ask::Approve(at, Some(vec![u32::try_from(rng.below(count)).unwrap_or_default()]))
            }
            Decides::Rejects => Ask::Reject(at),
            Decides::Never | Decides::AsItComes => continue,
        };
        wishes.push((4, ask(sight, Side::Requester, what, rng)));
    }
    wishes
}

fn walks_out(sight: Sight<'_>, rng: &mut Rng) -> Vec<Wish> {
    if task(&sight).is_none() || !sight.draft.nature.walks_out {
        return Vec::new();
    }
    let by = rng.pick(&[Side::Requester, Side::Worker]);
    let concede = ask(sight, Side::Worker, Ask::Concede(0), rng);
    vec![(2, ask(sight, by, Ask::Cancel, rng)), (1, concede)]
}

/// The milestones with the disputes that they had.
fn cases<'a>(sight: &Sight<'a>) -> Vec<(u32, &'a Case)> {
    let Some((_, Some(job))) = task(sight) else { return Vec::new() };
    (0..).zip(&job.milestones).filter_map(|(at, part)| Some((at, part.cases.last()?))).collect()
}

/// Parties call panels, and have their say.
fn disputes(sight: Sight<'_>, rng: &mut Rng) -> Vec<Wish> {
    let (Some((task, Some(job))), Some(bench)) = (task(&sight), sight.draft.panel) else { return Vec::new() };
    let mut wishes = Vec::new();
    for (at, stage) in open_milestones(task, job).filter(|_| bench.is_called) {
        if task.running(job, at).is_none() {
            let (by_worker, by_requester) = match stage {
                Stage::Working => (1, 1),
                Stage::Submitted { .. } => (1, 2),
                Stage::Rejected { .. } => (8, 0),
            };
            wishes.push((by_worker, ask(sight, Side::Worker, Ask::Dispute(at), rng)));
            wishes.push((by_requester, ask(sight, Side::Requester, Ask::Dispute(at), rng)));
        }
    }
    for (at, case) in cases(&sight) {
        let dispute = &case.dispute;
        let opener = if dispute.opened_by == Of::Payer { Side::Requester } else { Side::Worker };
        let either = rng.pick(&[Side::Requester, Side::Worker]);
        match dispute.phase {
            DisputePhase::Ruled { .. } => {
                wishes.push((3, ask(sight, either, Ask::Say(at, Say::Content), rng)));
                let appeals = if bench.is_appealed { 4 } else { 0 };
                wishes.push((appeals, ask(sight, either, Ask::Say(at, Say::Appeal), rng)));
            }
            DisputePhase::Drawing | DisputePhase::Seating { .. } | DisputePhase::Committing { .. } => {
                wishes.push((1, ask(sight, either, Ask::Say(at, Say::File), rng)));
                let gives_up = u64::from(rng.percent(20));
                wishes.push((gives_up, ask(sight, opener, Ask::Say(at, Say::Withdraw), rng)));
            }
            _ => {}
        }
    }
    wishes
}

/// Arbitrators do what they are asked for, or say nothing.
fn judges(sight: Sight<'_>, rng: &mut Rng) -> Vec<Wish> {
    let Some(bench) = sight.draft.panel else { return Vec::new() };
    let mut wishes = Vec::new();
    for (at, case) in cases(&sight) {
        for (seat, sits) in case.dispute.panel.bench.iter().enumerate().filter(|(seat, _)| bench.is_diligent(*seat)) {
            let say = match (&case.dispute.phase, sits.state) {
                (DisputePhase::Seating { .. }, SeatState::Asked) if rng.percent(10) => Say::Refuse,
                (DisputePhase::Seating { .. }, SeatState::Asked) => Say::Accept,
                (DisputePhase::Committing { .. }, SeatState::Accepted) => Say::Commit,
                (DisputePhase::Revealing { .. }, SeatState::Committed { .. }) => Say::Reveal,
                _ => continue,
            };
            wishes.push((5, ask(sight, Side::Seat(seat), Ask::Say(at, say), rng)));
        }
    }
    wishes
}

/// Who voted asks to be paid.
fn collects(sight: Sight<'_>, rng: &mut Rng) -> Vec<Wish> {
    let mut wishes = Vec::new();
    for (at, case) in cases(&sight).into_iter().filter(|(_, case)| case.dispute.phase.is_final()) {
        for (seat, who) in case.dispute.served().into_iter().enumerate() {
            let is_done = case.reward_of(who).is_some_and(|reward| reward.state != RewardState::Failed);
            wishes.push((if is_done { 0 } else { 3 }, ask(sight, Side::Seat(seat), Ask::Collect(at), rng)));
        }
    }
    wishes
}

/// Anything by anybody: to be refused, or to be fine.
fn asks_for_nonsense(sight: Sight<'_>, rng: &mut Rng) -> Vec<Wish> {
    if task(&sight).is_none() || rng.percent(70) {
        return Vec::new();
    }
    let milestones = sight.draft.milestones.len() as u64;
    let at = u32::try_from(rng.below(milestones)).unwrap_or_default();
    let by = rng.pick(&[Side::Requester, Side::Worker]);
    let what = match rng.below(7) {
        0 => Ask::Post,
        1 => Ask::Accept,
        2 => Ask::Fund,
        3 => Ask::Submit(at),
        4 => Ask::Offer(at),
        5 => Ask::Approve(at, Some(vec![u32::try_from(rng.below(3)).unwrap_or_default()])),
        _ => Ask::Reject(at),
    };
    // Who may do it decides on it elsewhere, as the nature of the task's parties says.
    let may = match what {
        Ask::Approve(..) | Ask::Reject(_) | Ask::Fund | Ask::Post => Side::Requester,
        _ => Side::Worker,
    };
    if may == by && matches!(what, Ask::Approve(..) | Ask::Reject(_) | Ask::Submit(_)) {
        return Vec::new();
    }
    vec![(1, ask(sight, by, what, rng))]
}

/// A few minutes, or hours: below what counts as an outage and above it.
fn outage(_: usize, rng: &mut Rng) -> Act {
    let (blocks, secs) = absence(rng);
    Act::Away { blocks, secs }
}

fn absence(rng: &mut Rng) -> (u32, u64) {
    let secs = rng.weighed(vec![(2, 300), (3, 3_600), (2, 30_000)]).unwrap_or(300);
    let secs = rng.between(1, secs);
    (u32::try_from(secs * rng.between(50, 160) / 60_000).unwrap_or_default(), secs)
}

fn cut(_: usize, rng: &mut Rng) -> Act {
    let (blocks, secs) = absence(rng);
    Act::Cut { how: rng.pick(&[Cut::Stands, Cut::Journal, Cut::Writes, Cut::Network, Cut::Users]), blocks, secs }
}

fn presence(tasks: usize, rng: &mut Rng) -> Act {
    let is = rng.pick(&[Presence::Online, Presence::Online, Presence::Offline, Presence::Stalling]);
    Act::Presence { task: some_task(tasks, rng), is }
}

fn fees(_: usize, rng: &mut Rng) -> Act {
    // The smallest fee of a payout is 10 sat: up to it, at it, and far above.
    let msat = match rng.below(5) {
        0 | 1 => rng.between(0, 9_999),
        2 => 10_000,
        3 => 10_001,
        _ => rng.between(10_001, 5_000_000),
    };
    Act::RouteFee { msat }
}

fn clock(_: usize, rng: &mut Rng) -> Act {
    let secs = i64::try_from(rng.between(1, 30 * 3_600)).unwrap_or_default();
    Act::Clock { secs: if rng.percent(50) { secs } else { -secs } }
}

fn reorganisation(_: usize, rng: &mut Rng) -> Act {
    Act::Reorganise { blocks: u32::try_from(rng.between(1, 6)).unwrap_or_default() }
}

fn lost_hold(tasks: usize, rng: &mut Rng) -> Act {
    let tranche = usize::try_from(rng.below(3)).unwrap_or_default();
    Act::LoseHold { task: some_task(tasks, rng), tranche }
}

fn some_task(tasks: usize, rng: &mut Rng) -> usize {
    usize::try_from(rng.below(tasks as u64)).unwrap_or_default()
}
