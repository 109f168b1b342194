//! Tasks as they are drawn: terms, and what their parties are like.

use std::fmt;
use tallystick_civics::dispute::{Award, Seats};
use tallystick_core::{Blocks, Digest32, Duration, Timestamp};
use tallystick_escrow::{Bonds, MilestoneTerms, OnSilence, Terms};
use tallystick_testkit::escrow::sat;

use crate::{plan::lead, rng::Rng};

/// A task that may be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// For each milestone: what its tranches pay, in sat, and when it is due, in seconds after the task is posted.
    pub milestones: Vec<(Vec<u64>, u64)>,
    /// How long the requester may look at work, in seconds.
    pub review_secs: u64,
    /// What silence leads to.
    pub on_silence: OnSilence,
    /// The blocks that a hold is asked to last, if the terms say so.
    pub hold_blocks: Option<u32>,
    /// What a missed renewal leads to, if holds can be renewed.
    pub renewal: Option<OnSilence>,
    /// The panel for what they do not agree on, if the terms name one.
    pub panel: Option<Bench>,
    /// What each side puts up, in sat: requester and worker.
    pub bonds: (Option<u64>, Option<u64>),
    /// What its parties are like.
    pub nature: Nature,
}

/// A panel, and what those who sit on it, and who call it, are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bench {
    /// The fewest who sit.
    pub seats: Seats,
    /// Which seats do what is asked of them: bit n is seat n.
    pub diligent: u64,
    /// What they vote is made of this.
    pub votes: u64,
    /// Whether the parties call it.
    pub is_called: bool,
    /// Whether the parties appeal.
    pub is_appealed: bool,
}

impl Bench {
    fn draw(rng: &mut Rng) -> Self {
        let diligent = rng.weighed(vec![(6, u64::MAX), (2, rng.clone().next()), (2, 0)]).unwrap_or(u64::MAX);
        Self {
            seats: rng.pick(&[Seats::One, Seats::Three, Seats::Three, Seats::Five]),
            diligent,
            votes: rng.next(),
            is_called: rng.percent(80),
            is_appealed: rng.percent(35),
        }
    }

    /// Whether who sits there does anything.
    pub fn is_diligent(&self, seat: usize) -> bool {
        self.diligent >> (seat % 64) & 1 == 1
    }

    /// What who sits there votes, in this round, on so many parts.
    pub fn vote(&self, seat: usize, round: u32, parts: usize) -> Award {
        let mut rng = Rng::new(self.votes ^ (seat as u64 + 1) ^ (u64::from(round) << 32));
        Award::new(rng.below(1 << parts.min(63)))
    }
}

/// What the parties of a task are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nature {
    /// How much of the money the requester locks.
    pub funds: Funds,
    /// Whether the worker locks its bond.
    pub puts_up: bool,
    /// What the requester does about work.
    pub decides: Decides,
    /// Whether the requester locks the next holds.
    pub renews: bool,
    /// Whether the worker hands in work.
    pub works: bool,
    /// Whether the worker offers to renew holds.
    pub offers: bool,
    /// Whether one of them steps back some time.
    pub walks_out: bool,
    /// Whether the worker's node is often away.
    pub is_away: bool,
}

/// How much of the money a requester locks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Funds {
    /// All.
    All,
    /// Some.
    Some,
    /// Nothing.
    Nothing,
}

/// What a requester does about work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decides {
    /// Approves.
    Approves,
    /// Approves tranche by tranche, and perhaps not all.
    InParts,
    /// Rejects.
    Rejects,
    /// Any of these.
    AsItComes,
    /// Nothing.
    Never,
}

const HOUR: u64 = 3_600;

impl Draft {
    /// Draws a task.
    pub fn draw(rng: &mut Rng) -> Self {
        let renewal = rng.percent(40).then(|| silence(rng));
        let panel = rng.percent(40).then(|| Bench::draw(rng));
        // What is left of the longest hold for work, if holds cannot be renewed.
        let hours = match (renewal, panel) {
            (Some(_), _) => 96,
            (None, Some(_)) => 36,
            (None, None) => 48,
        };
        let count = rng.weighed(vec![(5, 1), (3, 2), (1, 3)]).unwrap_or(1);
        let mut due = rng.between(2 * HOUR, 20 * HOUR);
        let mut milestones = Vec::new();
        for _ in 0..count {
            let tranches = rng.weighed(vec![(5, 1), (3, 2), (1, 3)]).unwrap_or(1);
            // Amounts differ, so that one taken for another shows.
            let payouts = (0..tranches).map(|_| rng.between(1_000, 300_000)).collect();
            milestones.push((payouts, due.min(hours * HOUR)));
            due += rng.between(0, 30 * HOUR);
        }
        let (least, most) = if panel.is_some() { (374, 560) } else { (144, 260) };
        let hold_blocks = match renewal {
            Some(_) if rng.percent(70) => Some(u32::try_from(rng.between(least, most)).expect("a small number")),
            _ => None,
        };
        let review_hours = if panel.is_some() { 6 } else { 12 };
        // Bonds end with their first hold: nobody can ask for them where holds are renewed.
        let may_have_bonds = renewal.is_none();
        let requester = (may_have_bonds && panel.is_some() && rng.percent(50)).then(|| bond(rng));
        let worker = (may_have_bonds && rng.percent(50)).then(|| bond(rng));
        Self {
            milestones,
            review_secs: rng.between(600, review_hours * HOUR),
            on_silence: silence(rng),
            hold_blocks,
            renewal,
            panel,
            bonds: (requester, worker),
            nature: Nature::draw(rng),
        }
    }

    /// Its terms, when it is posted now.
    pub fn terms(&self, task: usize, now: Timestamp) -> Terms {
        let milestone = |(payouts, due_secs): &(Vec<u64>, u64)| MilestoneTerms {
            title: "a part".into(),
            payouts: payouts.iter().map(|payout| sat(*payout)).collect(),
            work_deadline: now.after(Duration::from_secs(*due_secs)),
        };
        Terms {
            title: format!("task {task}"),
            description_hash: Digest32([0xdd; 32]),
            milestones: self.milestones.iter().map(milestone).collect(),
            review_window: Duration::from_secs(self.review_secs),
            on_silence: self.on_silence,
            hold_blocks: self.hold_blocks.map(Blocks),
            renewal: self.renewal,
            panel: self.panel.map(|bench| bench.seats),
            bonds: Bonds { requester: self.bonds.0.map(sat), worker: self.bonds.1.map(sat) },
        }
    }

    /// What requester and worker need at most: each tranche's hold, and the next ones beside it, and the bonds.
    pub fn budgets_sat(&self) -> (u64, u64) {
        let work: u64 = self.milestones.iter().flat_map(|(payouts, _)| payouts).sum();
        let bond = |bond: Option<u64>| bond.unwrap_or_default() * 4;
        (work * 4 + bond(self.bonds.0), bond(self.bonds.1))
    }
}

fn bond(rng: &mut Rng) -> u64 {
    rng.between(1_000, 100_000)
}

fn silence(rng: &mut Rng) -> OnSilence {
    rng.pick(&[OnSilence::Release, OnSilence::Refund])
}

impl Nature {
    fn draw(rng: &mut Rng) -> Self {
        let decides = vec![
            (30, Decides::Approves),
            (25, Decides::InParts),
            (12, Decides::Rejects),
            (15, Decides::AsItComes),
            (18, Decides::Never),
        ];
        Self {
            funds: rng.weighed(vec![(82, Funds::All), (13, Funds::Some), (5, Funds::Nothing)]).unwrap_or(Funds::All),
            decides: rng.weighed(decides).unwrap_or(Decides::Approves),
            puts_up: rng.percent(88),
            renews: rng.percent(70),
            works: rng.percent(85),
            offers: rng.percent(75),
            walks_out: rng.percent(15),
            is_away: rng.percent(30),
        }
    }
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (payouts, due)) in self.milestones.iter().enumerate() {
            write!(f, "milestone {at} pays {payouts:?} sat, due after {} min; ", due / 60)?;
        }
        write!(f, "review {} min, silence {}", self.review_secs / 60, lead(self.on_silence))?;
        if let Some(blocks) = self.hold_blocks {
            write!(f, ", holds of {blocks} blocks")?;
        }
        if let Some(renewal) = self.renewal {
            write!(f, ", renewable: a missed renewal {}", lead(renewal))?;
        }
        if let Some(bench) = self.panel {
            write!(f, ", a panel of {} at least", bench.seats.count())?;
        }
        for (side, bond) in [("requester", self.bonds.0), ("worker", self.bonds.1)] {
            if let Some(bond) = bond {
                write!(f, ", a {side}'s bond of {bond} sat")?;
            }
        }
        Ok(())
    }
}
