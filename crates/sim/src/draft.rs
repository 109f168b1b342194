//! Tasks as they are drawn: terms, and what their parties are like.

use std::fmt;
use tallystick_core::{Blocks, Digest32, Duration, Timestamp};
use tallystick_escrow::{MilestoneTerms, OnSilence, Terms};
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
    /// What its parties are like.
    pub nature: Nature,
}

/// What the parties of a task are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nature {
    /// How much of the money the requester locks.
    pub funds: Funds,
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
        let days = if renewal.is_some() { 4 } else { 2 };
        let count = rng.weighed(vec![(5, 1), (3, 2), (1, 3)]).unwrap_or(1);
        let mut due = rng.between(2 * HOUR, 20 * HOUR);
        let mut milestones = Vec::new();
        for _ in 0..count {
            let tranches = rng.weighed(vec![(5, 1), (3, 2), (1, 3)]).unwrap_or(1);
            // Amounts differ, so that one taken for another shows.
            let payouts = (0..tranches).map(|_| rng.between(1_000, 300_000)).collect();
            milestones.push((payouts, due.min(days * 24 * HOUR)));
            due += rng.between(0, 30 * HOUR);
        }
        let hold_blocks = match renewal {
            Some(_) if rng.percent(70) => Some(u32::try_from(rng.between(144, 260)).expect("a small number")),
            _ => None,
        };
        Self {
            milestones,
            review_secs: rng.between(600, 12 * HOUR),
            on_silence: silence(rng),
            hold_blocks,
            renewal,
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
            panel: None,
            bonds: tallystick_escrow::Bonds::default(),
        }
    }

    /// What its payer needs at most: each tranche's hold, and the next ones beside it.
    pub fn budget_sat(&self) -> u64 {
        self.milestones.iter().flat_map(|(payouts, _)| payouts).map(|payout| payout * 4).sum()
    }
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
        Ok(())
    }
}
