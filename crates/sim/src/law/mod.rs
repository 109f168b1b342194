//! What must hold, as a list: after every step, whenever the node has had time, and at the end.
//!
//! | module | what it looks at |
//! | --- | --- |
//! | `money` | the network: who has what |
//! | `journal` | the facts, against what the network knows |
//! | `decision` | whether there was a reason for what was decided |
//! | `asked` | what the app asked of the network |
//! | `bond` | what was put up: why it is taken, why it goes back, and that it is taken when it is owed |
//! | `rest` | what must agree once nothing is left to do, and at the end |

mod asked;
mod bond;
mod decision;
mod journal;
mod money;
mod rest;

pub(crate) use rest::{purses, wallets};

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use tallystick_core::{BlockHeight, Digest32, PaymentHash, Timestamp};
use tallystick_escrow::Effect;
use tallystick_testkit::{
    SimRail,
    rail::{Hold, Payment},
};

use crate::{
    books::{Books, Told},
    wire::Asked,
};

/// When a law must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// After every step.
    Always,
    /// When the node has done all that it could.
    AtRest,
    /// When all time is over.
    AtTheEnd,
}

/// A law.
pub struct Law {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
    /// When it must hold.
    pub when: When,
    check: fn(&Evidence<'_>) -> Result<(), String>,
}

/// All laws, in the order in which they are looked at. One that a product adds is a line here.
pub const LAWS: &[Law] = &[
    Law { name: "kept", says: "what was answered is in the journal", when: When::Always, check: journal::kept },
    Law { name: "again", says: "the same again changes nothing", when: When::Always, check: journal::again },
    Law { name: "money", says: "no money comes or goes", when: When::Always, check: money::conserved },
    Law { name: "platform", says: "the platform never loses", when: When::Always, check: money::platform },
    Law { name: "once", says: "a tranche is paid once, or given back", when: When::Always, check: money::once },
    Law { name: "claim", says: "no hold is taken before its payee was paid", when: When::Always, check: money::claim },
    Law { name: "covered", says: "no payout without a hold that covers it", when: When::Always, check: money::covered },
    Law {
        name: "rewards",
        says: "an arbitrator is paid once, what was said",
        when: When::Always,
        check: money::rewards,
    },
    Law { name: "deadline", says: "every hold ends by our doing", when: When::Always, check: money::deadline },
    Law { name: "asked", says: "the network is asked for what the facts say", when: When::Always, check: asked::asked },
    Law { name: "rail", says: "nothing is asked that no node may ask", when: When::Always, check: asked::violations },
    Law { name: "truth", says: "facts tell what happened", when: When::Always, check: journal::truth },
    Law { name: "reason", says: "nothing is decided without a reason", when: When::Always, check: decision::reasons },
    Law { name: "bonds", says: "a bond is taken or goes back for a reason", when: When::Always, check: bond::reasons },
    Law { name: "away", says: "nobody pays for our absence", when: When::Always, check: bond::away },
    Law { name: "owed", says: "a bond that is owed is taken", when: When::Always, check: bond::owed },
    Law { name: "view", says: "read models are what the facts make", when: When::Always, check: journal::views },
    Law {
        name: "told",
        says: "a replica tells of each append, in order, once",
        when: When::Always,
        check: journal::told,
    },
    Law { name: "books", says: "journal and network agree on what is held", when: When::AtRest, check: rest::holds },
    Law { name: "due", says: "nobody waits for what is due", when: When::AtRest, check: rest::due },
    Law { name: "outbox", says: "nothing is left to do", when: When::AtRest, check: rest::outbox },
    Law { name: "end", says: "every task ends when its time is over", when: When::AtTheEnd, check: rest::ended },
    Law { name: "accounts", says: "everybody has what is theirs", when: When::AtTheEnd, check: rest::accounts },
];

/// What there is to see after a step.
pub(crate) struct Evidence<'a> {
    pub books: &'a Books,
    /// Facts that this step brought.
    pub told: &'a [Told],
    /// What the app asked of the network in this step.
    pub asked: &'a [Asked],
    pub rail: &'a SimRail,
    pub holds: &'a BTreeMap<PaymentHash, Hold>,
    pub payments: &'a BTreeMap<Digest32, Payment>,
    pub now: Timestamp,
    pub height: BlockHeight,
    /// What each task's requester and worker had at the beginning, in msat.
    pub budgets: &'a [(u64, u64)],
    /// When the node was away, from its last moment until it was back.
    pub outages: &'a [(Timestamp, Timestamp)],
    /// How many of them there were when the clock was last set.
    pub clock_set_after: usize,
    /// All money that there should be.
    pub total_msat: u64,
    /// What the node was worth before the step.
    pub worth_before: u64,
    /// Payments that the network knew before the step.
    pub paid_before: &'a BTreeSet<Digest32>,
    /// Hashes that the journal called lost before the step.
    pub lost_before: &'a BTreeSet<PaymentHash>,
    /// Answers that the journal does not know of.
    pub unkept: &'a [String],
    /// What was asked twice and changed something the second time.
    pub twice: &'a [String],
    /// The read model's view of each task that changed.
    pub views: &'a [(usize, Option<String>)],
    /// The last fact of each append of this step.
    pub appends: &'a [u64],
    /// What the second replica told of in this step, unless it was started in it; nothing if not all.
    pub told_of: Option<Option<&'a [u64]>>,
    /// Effects that are not finished.
    pub pending: &'a [Effect],
    /// Tasks that want to be woken now.
    pub due: &'a [usize],
}

/// A law that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its name.
    pub law: &'static str,
    /// What is wrong.
    pub what: String,
    /// After which step, from 1.
    pub step: usize,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let says = LAWS.iter().find(|law| law.name == self.law).map_or("everything is sound", |law| law.says);
        write!(f, "broken after step {}: \"{says}\" ({}): {}", self.step, self.law, self.what)
    }
}

/// The first law that does not hold, of those that must by now.
pub(crate) fn judge(evidence: &Evidence<'_>, reached: When) -> Result<(), (&'static str, String)> {
    let due = |law: &&Law| match law.when {
        When::Always => true,
        When::AtRest => reached != When::Always,
        When::AtTheEnd => reached == When::AtTheEnd,
    };
    LAWS.iter().filter(due).try_for_each(|law| (law.check)(evidence).map_err(|what| (law.name, what)))
}

/// A hash, short enough to be read.
pub(crate) fn short(hash: &PaymentHash) -> String {
    hash.to_string().chars().take(8).collect()
}
