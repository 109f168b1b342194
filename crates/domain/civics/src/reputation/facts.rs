//! What a host makes of the journal's facts.

use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use tallystick_core::{Id, NostrKey, Sat, Timestamp};

use super::ReputationError;
use crate::dispute::Dispute;

/// A party's side of a deal. Each has a score of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Role {
    /// Who posted the task and pays.
    Requester,
    /// Who did the work and is paid.
    Worker,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Requester => "requester",
            Self::Worker => "worker",
        })
    }
}

/// How a deal came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum End {
    /// The worker was paid, by the requester's word or silence.
    Settled,
    /// Everything went back to the requester.
    Refunded {
        /// Whose fault that was, where the rules can tell: a worker who handed in nothing, for example.
        fault: Option<Role>,
    },
    /// Arbitrators ruled.
    Ruled {
        /// What they gave to the worker.
        award: Sat,
        /// What the dispute was about.
        of: Sat,
    },
}

/// A task that came to its end with money locked. A host keeps it when the task's own facts are erased: its bytes are
/// stored for ever, and golden.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Deal {
    /// The number of the fact that ended it: the evidence.
    pub seq: u64,
    /// The task's id.
    pub task: Id<Deal>,
    /// Who paid.
    pub requester: NostrKey,
    /// Who worked.
    pub worker: NostrKey,
    /// What the worker was paid, in sat.
    pub paid: Sat,
    /// What the platform kept of the requester's money for it, in sat: the real cost of a deal.
    pub fee: Sat,
    /// What went back to the requester, in sat.
    pub refunded: Sat,
    /// When all money was locked.
    pub funded_at: Timestamp,
    /// When work was handed in, if it was.
    pub submitted_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How it ended.
    pub end: End,
    /// Whether it was disputed.
    pub disputed: bool,
    /// Who lost the dispute, if one did: a ruling in the middle has no loser.
    pub dispute_lost_by: Option<Role>,
    /// Whose bonds were taken.
    pub bonds_lost: BondsLost,
}

/// Whose bonds were taken. One or none is encoded as [`Option`] is, as it was before both could be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum BondsLost {
    /// Nobody's.
    #[default]
    Nobody,
    /// This side's.
    One(Role),
    /// Both sides'.
    Both,
}

impl BondsLost {
    /// Whether a side lost its bond.
    pub fn includes(self, role: Role) -> bool {
        self == Self::Both || self == Self::One(role)
    }
}

impl FromIterator<Role> for BondsLost {
    fn from_iter<T: IntoIterator<Item = Role>>(roles: T) -> Self {
        roles.into_iter().fold(Self::Nobody, |lost, role| match lost {
            Self::Nobody => Self::One(role),
            lost if lost.includes(role) => lost,
            _ => Self::Both,
        })
    }
}

impl Deal {
    /// The key on a side.
    pub fn key(&self, role: Role) -> NostrKey {
        match role {
            Role::Requester => self.requester,
            Role::Worker => self.worker,
        }
    }

    /// What was at stake, in sat: paid and given back.
    pub(crate) fn stake(&self) -> u64 {
        self.paid.get().saturating_add(self.refunded.get())
    }

    /// Whether it ended well for a side: money reached the worker, and nothing is held against this side.
    pub(crate) fn is_good_for(&self, role: Role) -> bool {
        let blamed = [self.dispute_lost_by, self.fault()].contains(&Some(role)) || self.bonds_lost.includes(role);
        self.paid > Sat::ZERO && !blamed
    }

    pub(crate) fn fault(&self) -> Option<Role> {
        match self.end {
            End::Refunded { fault } => fault,
            End::Settled | End::Ruled { .. } => None,
        }
    }

    /// What is wrong with it, if something is.
    fn flaw(&self) -> Option<&'static str> {
        let flaws = [
            (self.requester == self.worker, "requester and worker are one key"),
            (self.ended_at < self.funded_at, "it ended before it was funded"),
            (
                self.submitted_at.is_some_and(|at| at < self.funded_at || at > self.ended_at),
                "work was handed in before it was funded or after it ended",
            ),
            (self.dispute_lost_by.is_some() && !self.disputed, "a dispute was lost that was never opened"),
            (matches!(self.end, End::Ruled { .. }) && !self.disputed, "it was ruled on and never disputed"),
            (matches!(self.end, End::Ruled { award, of } if award > of), "more was awarded than there was"),
            (matches!(self.end, End::Settled) && self.paid == Sat::ZERO, "it was settled and nothing was paid"),
            (
                matches!(self.end, End::Refunded { .. }) && self.paid > Sat::ZERO,
                "it was refunded and something was paid",
            ),
        ];
        flaws.into_iter().find_map(|(broken, why)| broken.then_some(why))
    }
}

/// What an arbitrator did when asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Did {
    /// Refused the seat in time.
    Refused,
    /// Did not answer, or took the seat and did not vote.
    Silent,
    /// Voted and revealed. All in sat that go to the payee.
    Revealed {
        /// The own vote's value.
        vote: Sat,
        /// The ruling's value.
        ruling: Sat,
        /// What the dispute was about.
        of: Sat,
    },
}

/// An arbitrator that was asked to serve on a panel. Kept as a [`Deal`] is.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Service {
    /// The number of the fact that ended the service: the evidence.
    pub seq: u64,
    /// The dispute's id.
    pub dispute: Id<Dispute>,
    /// Who was asked.
    pub arbitrator: NostrKey,
    /// When.
    pub asked_at: Timestamp,
    /// What came of it.
    pub did: Did,
}

impl Service {
    fn flaw(&self) -> Option<&'static str> {
        match self.did {
            Did::Revealed { vote, ruling, of } if vote > of || ruling > of => Some("more was awarded than there was"),
            Did::Revealed { of: Sat::ZERO, .. } => Some("a dispute about nothing"),
            _ => None,
        }
    }
}

/// Each fact once, in order, none from the future, none that contradicts itself.
fn check<T>(
    facts: &[T],
    now: Timestamp,
    told: impl Fn(&T) -> (u64, Timestamp),
    flaw: impl Fn(&T) -> Option<&'static str>,
) -> Result<(), ReputationError> {
    let mut last = None;
    for fact in facts {
        let (seq, at) = told(fact);
        if let Some(last) = last.filter(|last| *last >= seq) {
            return Err(ReputationError::Unsorted { seq, last });
        }
        if at > now {
            return Err(ReputationError::Future { seq, at, now });
        }
        if let Some(why) = flaw(fact) {
            return Err(ReputationError::Contradiction { seq, why });
        }
        last = Some(seq);
    }
    Ok(())
}

pub(crate) fn check_deals(deals: &[Deal], now: Timestamp) -> Result<(), ReputationError> {
    check(deals, now, |deal| (deal.seq, deal.ended_at), Deal::flaw)
}

pub(crate) fn check_services(services: &[Service], now: Timestamp) -> Result<(), ReputationError> {
    check(services, now, |service| (service.seq, service.asked_at), Service::flaw)
}
