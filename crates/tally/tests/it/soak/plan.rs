//! What people will do, drawn from a seed.

use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tallystick_core::canonical;

use crate::kills::Random;

const HOUR_SECS: u64 = 3_600;
const PAYOUT_SAT: (u64, u64) = (1_000, 20_000);
const BOND_SAT: u64 = 2_000;
/// How long a worker who walks out has promised: twice as long as it takes to lock everything.
const PROMISE_SECS: u64 = 80;
/// How long a hold is usable, unless the life says otherwise: so long that a payout which is tried again and again, with
/// pauses of up to a minute, comes in time although blocks come faster than anywhere.
const HOLD_BLOCKS: u32 = 500;
/// The same where a deadline is waited for, and late work after it: nearly as long as a hold may be.
const HOLD_BLOCKS_PROMISED: u32 = 620;
/// The same where blocks are to run out.
const HOLD_BLOCKS_SHORT: u32 = 30;
/// The same where the hold is renewed: an invoice of a week must outlive two of them.
const HOLD_BLOCKS_RENEWED: u32 = 250;
/// The shortest that can be renewed.
const HOLD_BLOCKS_RENEWABLE: u32 = 144;

/// The life of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Life {
    Approved,
    /// The worker's node is offline at approval, and comes back.
    PaidLate,
    /// Some tranches are approved, and the rest rejected.
    Partly,
    Rejected,
    /// The requester steps back while the money is held.
    TakenBack,
    /// The worker does.
    GivenUp,
    /// The requester steps back before any money is held.
    Unfunded,
    /// Nobody answers, and the time for it passes: the worker is paid.
    SilencePays,
    /// Nobody answers, and the blocks run out: the money goes back.
    SilenceRefunds,
    /// Nothing is handed in.
    Idle,
    /// Over two or three holds.
    Renewed,
    /// The requester does not lock the next hold: the terms decide.
    RenewalMissed,
    /// The worker gives in when the work is refused.
    Conceded,
    /// A panel splits the money.
    Disputed,
    /// An arbitrator does, and then a larger panel.
    Appealed,
    /// A panel splits the money, and takes the worker's bond.
    BondTaken,
    /// Nothing is handed in by the deadline, and the worker's bond goes to the requester.
    WalkedOut,
}

impl Life {
    /// All of them, and how often each comes.
    pub const ALL: [(Self, u64); 17] = [
        (Self::Approved, 30),
        (Self::PaidLate, 6),
        (Self::Partly, 8),
        (Self::Rejected, 6),
        (Self::TakenBack, 5),
        (Self::GivenUp, 5),
        (Self::Unfunded, 3),
        (Self::SilencePays, 6),
        (Self::SilenceRefunds, 5),
        (Self::Idle, 4),
        (Self::Renewed, 7),
        (Self::RenewalMissed, 1),
        (Self::Conceded, 4),
        (Self::Disputed, 9),
        (Self::Appealed, 2),
        (Self::BondTaken, 3),
        (Self::WalkedOut, 3),
    ];

    fn tranches(self) -> (u64, u64) {
        match self {
            Self::Partly => (2, 4),
            Self::Disputed | Self::Appealed | Self::BondTaken => (3, 5),
            _ => (1, 3),
        }
    }

    fn has_panel(self) -> bool {
        matches!(self, Self::Conceded | Self::Disputed | Self::Appealed | Self::BondTaken)
    }

    /// Whether something takes its worker's bond.
    pub fn takes_bond(self) -> bool {
        matches!(self, Self::BondTaken | Self::WalkedOut)
    }

    /// Whether its worker may have to put up a bond that goes back in the end. Where holds are renewed nobody can.
    fn may_have_bond(self) -> bool {
        matches!(self, Self::Approved | Self::Partly | Self::Rejected | Self::TakenBack | Self::GivenUp)
    }

    fn is_renewable(self) -> bool {
        matches!(self, Self::Renewed | Self::RenewalMissed)
    }

    fn hold_blocks(self) -> u32 {
        match self {
            Self::SilenceRefunds | Self::Idle => HOLD_BLOCKS_SHORT,
            Self::WalkedOut => HOLD_BLOCKS_PROMISED,
            Self::Renewed => HOLD_BLOCKS_RENEWED,
            Self::RenewalMissed => HOLD_BLOCKS_RENEWABLE,
            _ => HOLD_BLOCKS,
        }
    }
}

/// A task to come.
#[derive(Clone, Debug)]
pub struct Plan {
    pub life: Life,
    pub payouts_sat: Vec<u64>,
    /// Which of the requesters.
    pub requester: usize,
    /// Which of the workers.
    pub worker: usize,
    /// A number to choose by, whatever the life leaves open.
    pub choice: u64,
    /// What the worker puts up.
    pub bond_sat: Option<u64>,
}

impl Plan {
    /// So many plans: each life once if there is room, then as often as its weight says, in any order. A missed renewal
    /// waits for the blocks of a whole hold: a few tasks are played without it, and it has a test of its own.
    pub fn draw(random: &mut Random, count: usize, requesters: usize, workers: usize) -> Vec<Self> {
        let weights: u64 = Life::ALL.iter().map(|(_, weight)| weight).sum();
        let once = Life::ALL.iter().map(|(life, _)| *life).filter(|life| *life != Life::RenewalMissed);
        let mut lives: Vec<Life> = once.take(count).collect();
        while lives.len() < count {
            let mut at = random.below(weights);
            let life = Life::ALL.iter().find(|(_, weight)| {
                let is_it = at < *weight;
                at = at.saturating_sub(*weight);
                is_it
            });
            lives.extend(life.map(|(life, _)| *life));
        }
        for at in (1..lives.len()).rev() {
            lives.swap(at, index(random, at + 1));
        }
        let plan = |life: Life| {
            // The last worker's wallet would have to pay the router.
            let worker = index(random, if life.takes_bond() { workers - 1 } else { workers });
            let may_have_bond = life.may_have_bond() && worker + 1 < workers && random.below(3) == 0;
            let bond = life.takes_bond() || may_have_bond;
            Self {
                life,
                payouts_sat: (0..between(random, life.tranches())).map(|_| between(random, PAYOUT_SAT)).collect(),
                requester: index(random, requesters),
                worker,
                // Silence that pays has a few blocks to do so, which are no time for a node that is killed.
                choice: random.below(1 << 32) | if life == Life::RenewalMissed { 2 } else { 0 },
                bond_sat: bond.then_some(BOND_SAT),
            }
        };
        lives.into_iter().map(plan).collect()
    }

    /// A plan of the first requester and worker.
    pub fn of(life: Life, choice: u64) -> Self {
        Self { life, payouts_sat: vec![5_000, 6_000, 7_000], requester: 0, worker: 0, choice, bond_sat: None }
    }

    /// Payments of the requester's that may be held at one time.
    pub fn holds(&self) -> u32 {
        let tranches = u32::try_from(self.payouts_sat.len()).expect("a task has a few tranches");
        if self.life.is_renewable() { tranches * 2 } else { tranches }
    }

    /// What the choice is below this limit.
    pub fn choose(&self, limit: u64) -> u64 {
        self.choice % limit
    }

    /// What `createTask` takes.
    pub fn input(&self, id: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
        let pays = match self.life {
            Life::SilencePays => true,
            Life::SilenceRefunds | Life::Idle | Life::WalkedOut => false,
            _ => self.choose(2) == 0,
        };
        let work_secs = if self.life == Life::WalkedOut { PROMISE_SECS } else { HOUR_SECS };
        let name = |pays| if pays { "RELEASE" } else { "REFUND" };
        let mut input = json!({
            "id": id,
            "title": format!("{:?}", self.life),
            "descriptionHash": canonical::sha256(id.as_bytes()).to_string(),
            "milestones": [{ "title": "All of it", "payoutsSat": self.payouts_sat, "workDeadline": now + work_secs }],
            "reviewWindowSecs": if self.life == Life::SilencePays { 1 } else { HOUR_SECS },
            "onSilence": name(pays),
            "holdBlocks": self.life.hold_blocks(),
        });
        if self.life.has_panel() {
            let one = self.life == Life::Appealed || self.choose(3) == 0;
            input["panel"] = json!(if one { "ONE" } else { "THREE" });
        }
        if let Some(bond) = self.bond_sat {
            input["workerBondSat"] = json!(bond);
        }
        if self.life.is_renewable() {
            input["renewal"] = json!(name(self.missed_renewal_pays()));
        }
        input
    }

    /// What the terms say of a renewal that is not paid.
    pub fn missed_renewal_pays(&self) -> bool {
        self.choose(4) < 2
    }
}

fn between(random: &mut Random, (least, most): (u64, u64)) -> u64 {
    least + random.below(most - least + 1)
}

fn index(random: &mut Random, count: usize) -> usize {
    usize::try_from(random.below(count as u64)).expect("below a count")
}
