//! Who has which role now, and what waits for a second admin.

use std::collections::{BTreeMap, BTreeSet};
use tallystick_core::{NostrKey, Timestamp};

use super::{Action, Needs, Operation, Rejection};

/// The node's roles. Without an admin they are not founded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Who runs the node.
    pub operators: BTreeSet<NostrKey>,
    /// Who says who has which role.
    pub admins: BTreeMap<NostrKey, Admin>,
    /// What waits for a second admin, by number; some of it may be too old by now.
    pub proposals: BTreeMap<u64, Proposal>,
    /// How many proposals there were.
    pub(super) proposed: u64,
    /// How many enrolments were begun.
    pub(super) enrolled: u64,
}

/// An admin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admin {
    /// The authenticator, once its enrolment was begun.
    pub enrolment: Option<Enrolment>,
}

/// An admin's authenticator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// Which enrolment of this node, from 1: each has a secret of its own.
    pub number: u64,
    /// Whether a first right code was shown.
    pub complete: bool,
    /// The step of the last code that counted; no code of this step or before it counts again.
    pub last_step: u64,
    /// Wrong codes since the last right one.
    pub wrong: u32,
    /// Before this time no code is looked at.
    pub paused_until: Timestamp,
}

/// What waits for a second admin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposal {
    /// Whose.
    pub by: NostrKey,
    /// What.
    pub action: Action,
    /// When it was made.
    pub at: Timestamp,
    /// Until when it can be done.
    pub until: Timestamp,
}

impl State {
    /// Whether the node has roles yet.
    pub fn is_founded(&self) -> bool {
        !self.admins.is_empty()
    }

    /// Whether a key has the role that an operation needs. A second factor is checked with the action itself.
    ///
    /// # Errors
    /// [`Rejection::NotOperator`], [`Rejection::NotAdmin`].
    pub fn may(&self, key: NostrKey, operation: Operation) -> Result<(), Rejection> {
        match operation.needs() {
            Needs::Operator if self.operators.contains(&key) => Ok(()),
            Needs::Operator => Err(Rejection::NotOperator),
            Needs::Admin | Needs::SecondFactor if self.admins.contains_key(&key) => Ok(()),
            Needs::Admin | Needs::SecondFactor => Err(Rejection::NotAdmin),
        }
    }

    /// An admin's authenticator, once its enrolment was begun.
    pub fn enrolment(&self, admin: NostrKey) -> Option<&Enrolment> {
        self.admins.get(&admin)?.enrolment.as_ref()
    }
}
