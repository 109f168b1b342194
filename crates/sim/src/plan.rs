//! What happens, as a list: drawn from a seed once, and played again as often as one likes, with parts left out.

use std::fmt;
use tallystick_escrow::OnSilence;
use tallystick_testkit::rail::Presence;

use crate::draft::Draft;

/// Everything that a run is made of. What a step finds is not as it was when it was drawn once other steps are left out:
/// a step that makes no sense then does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The tasks that may be posted.
    pub drafts: Vec<Draft>,
    /// What happens.
    pub steps: Vec<Step>,
}

/// What happens at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Done at the same time, in one thread: each goes on while another waits for journal or rail.
    pub acts: Vec<Act>,
    /// What goes wrong meanwhile.
    pub trouble: Option<Trouble>,
    /// Decides how acts take turns, and how many notices are told again after a crash.
    pub salt: u64,
}

/// How a node that lives is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Its process is stopped, and goes on later as if nothing had been.
    Stands,
    /// Its journal answers nothing.
    Journal,
    /// Its journal can be read, and takes nothing.
    Writes,
    /// Its rail reaches nobody.
    Network,
    /// Its users do not reach it.
    Users,
}

/// One thing that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// A party asks for something.
    Ask {
        /// Of which task.
        task: usize,
        /// Who.
        by: Side,
        /// What.
        what: Ask,
        /// Whether it asks for the same again, at once.
        again: bool,
    },
    /// A hold invoice is paid: by the requester, or by the worker if it is for its bond.
    Lock {
        /// Of which task.
        task: usize,
        /// Of which tranche.
        tranche: usize,
        /// How.
        how: Lock,
    },
    /// The network tells what it has to tell.
    Tell(Tell),
    /// Payments arrive or fail, claims settle.
    Network,
    /// The node performs the effects that are due.
    Outbox,
    /// The node wakes the tasks that are due.
    Timers,
    /// Blocks are found and time goes by.
    Pass {
        /// How many blocks.
        blocks: u32,
        /// How many seconds.
        secs: u64,
    },
    /// The clock is set.
    Clock {
        /// By so many seconds.
        secs: i64,
    },
    /// The best chain loses blocks.
    Reorganise {
        /// How many.
        blocks: u32,
    },
    /// From now on a worker's node answers, or does not.
    Presence {
        /// Of which task.
        task: usize,
        /// How.
        is: Presence,
    },
    /// From now on routes cost this.
    RouteFee {
        /// In msat.
        msat: u64,
    },
    /// The payer's channel goes, and its money goes back; never under a payout.
    LoseHold {
        /// Of which task.
        task: usize,
        /// Of which tranche.
        tranche: usize,
    },
    /// The node is stopped hard and started again.
    Restart,
    /// The node lives on and is not there for a while, unless a hold needs it before.
    Cut {
        /// How.
        how: Cut,
        /// For how many blocks.
        blocks: u32,
        /// For how many seconds.
        secs: u64,
    },
    /// The node is stopped hard and is away for a while, unless a hold needs it before.
    Away {
        /// For how many blocks.
        blocks: u32,
        /// For how many seconds.
        secs: u64,
    },
    /// The node has time for all that it can do now; then everything must agree.
    Rest,
}

/// A party of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who pays.
    Requester,
    /// Who works.
    Worker,
    /// Who has this seat on the panel that sits, or was paid for one.
    Seat(usize),
}

/// What a party asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// To post the task.
    Post,
    /// To take it.
    Accept,
    /// For the funding invoices.
    Fund,
    /// To hand in the work of a milestone.
    Submit(u32),
    /// To renew the holds of a milestone.
    Offer(u32),
    /// To accept the work of a milestone, or some of its tranches.
    Approve(u32, Option<Vec<u32>>),
    /// To refuse the work of a milestone.
    Reject(u32),
    /// To step back.
    Cancel,
    /// To give up a milestone.
    Concede(u32),
    /// To have a panel decide about a milestone.
    Dispute(u32),
    /// Something in a milestone's dispute.
    Say(u32, Say),
    /// To be paid for a vote about a milestone.
    Collect(u32),
}

/// What is said in a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Say {
    /// A party files evidence.
    File,
    /// An arbitrator will sit.
    Accept,
    /// An arbitrator will not.
    Refuse,
    /// An arbitrator votes, without showing how.
    Commit,
    /// An arbitrator shows the vote.
    Reveal,
    /// A party appeals.
    Appeal,
    /// A party is content.
    Content,
    /// Who opened it gives it up.
    Withdraw,
}

/// How a hold is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// As the funding invoice says.
    Asked,
    /// As the invoice of the renewal says.
    Renewal,
    /// With too little money.
    TooLittle,
    /// For too few blocks.
    TooShort,
}

/// Which notices are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tell {
    /// All that wait.
    All,
    /// Of those that may come next, the one at this place: each hash has a lane of its own.
    One(usize),
    /// The same, told twice.
    Twice(usize),
}

/// What goes wrong during a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// At which call to journal or rail, from 1.
    pub call: u32,
    /// What.
    pub kind: Kind,
    /// Whether the call had its effect.
    pub done: bool,
}

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The process dies.
    Dies,
    /// An error comes back.
    Fails,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requester => "requester",
            Self::Worker => "worker",
            Self::Seat(seat) => return write!(f, "seat {seat} of"),
        })
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Post => write!(f, "posts the task"),
            Self::Accept => write!(f, "takes the task"),
            Self::Fund => write!(f, "asks for the funding invoices"),
            Self::Submit(at) => write!(f, "hands in milestone {at}"),
            Self::Offer(at) => write!(f, "offers to renew the holds of milestone {at}"),
            Self::Approve(at, None) => write!(f, "approves milestone {at}"),
            Self::Approve(at, Some(some)) => write!(f, "approves tranches {some:?} of milestone {at}"),
            Self::Reject(at) => write!(f, "rejects milestone {at}"),
            Self::Cancel => write!(f, "cancels"),
            Self::Concede(at) => write!(f, "gives up milestone {at}"),
            Self::Dispute(at) => write!(f, "disputes milestone {at}"),
            Self::Say(at, say) => write!(f, "in the dispute of milestone {at}: {say:?}"),
            Self::Collect(at) => write!(f, "collects the pay for milestone {at}"),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ask { task, by, what, again } => {
                write!(f, "{by} {task} {what}{}", if *again { ", and the same again" } else { "" })
            }
            Self::Lock { task, tranche, how } => {
                let how = match how {
                    Lock::Asked => "the hold invoice is paid",
                    Lock::Renewal => "the renewal's hold invoice is paid",
                    Lock::TooLittle => "too little is paid into the hold",
                    Lock::TooShort => "a hold is paid that ends too soon",
                };
                write!(f, "task {task}, tranche {tranche}: {how}")
            }
            Self::Tell(Tell::All) => write!(f, "network tells all it has to tell"),
            Self::Tell(Tell::One(_)) => write!(f, "network tells one notice"),
            Self::Tell(Tell::Twice(_)) => write!(f, "network tells one notice twice"),
            Self::Network => write!(f, "network moves what is under way"),
            Self::Outbox => write!(f, "node performs what is due"),
            Self::Timers => write!(f, "node wakes what is due"),
            Self::Pass { blocks, secs } => write!(f, "{blocks} blocks, {secs} s go by"),
            Self::Clock { secs } => write!(f, "clock jumps by {secs} s"),
            Self::Reorganise { blocks } => write!(f, "chain loses {blocks} blocks"),
            Self::Presence { task, is } => write!(
                f,
                "worker {task}'s node is {}",
                match is {
                    Presence::Online => "online",
                    Presence::Offline => "offline",
                    Presence::Stalling => "silent: payments to it hang",
                }
            ),
            Self::RouteFee { msat } => write!(f, "routes cost {msat} msat from now on"),
            Self::LoseHold { task, tranche } => {
                write!(f, "requester {task} loses the channel of tranche {tranche}'s hold")
            }
            Self::Restart => write!(f, "node is killed and started again"),
            Self::Cut { how, blocks, secs } => write!(f, "node {how} for {blocks} blocks, {secs} s"),
            Self::Away { blocks, secs } => write!(f, "node is killed, and away for {blocks} blocks, {secs} s"),
            Self::Rest => write!(f, "node has time for all that it can do"),
        }
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stands => "stands still",
            Self::Journal => "does not reach its journal",
            Self::Writes => "cannot write to its journal",
            Self::Network => "does not reach its network",
            Self::Users => "is not reached by its users",
        })
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Dies => "node dies",
            Kind::Fails => "node is answered an error",
        };
        let when = if self.done { "after" } else { "before" };
        write!(f, "{what} {when} call {}", self.call)
    }
}

/// What silence or a missed renewal leads to, for a story.
pub(crate) fn lead(to: OnSilence) -> &'static str {
    match to {
        OnSilence::Release => "pays",
        OnSilence::Refund => "gives back",
    }
}

impl Act {
    /// The task that it is about, if it is about one.
    pub const fn task(&self) -> Option<usize> {
        match self {
            Self::Ask { task, .. }
            | Self::Lock { task, .. }
            | Self::Presence { task, .. }
            | Self::LoseHold { task, .. } => Some(*task),
            _ => None,
        }
    }
}
