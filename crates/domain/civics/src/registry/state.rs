//! What is known of an arbitrator.

use std::collections::BTreeSet;
use tallystick_core::{Digest32, Id, NostrKey};

use crate::dispute::Dispute;

/// An arbitrator's stream: nothing yet, or an arbitrator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Never registered.
    #[default]
    Absent,
    /// Has registered.
    Present(Arbitrator),
}

/// Somebody who offers to sit on panels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arbitrator {
    /// Who.
    pub key: NostrKey,
    /// SHA-256 of the statement in which it tells who it is and what it knows.
    pub statement_hash: Digest32,
    /// How to pay it: a BOLT 12 offer or a Lightning address.
    pub pay: String,
    /// What an operator made of it.
    pub admission: Admission,
    /// Whether it wants no work for now.
    pub paused: bool,
    /// Whether it left.
    pub withdrawn: bool,
    /// The disputes in which it served, well or badly.
    pub served: BTreeSet<Id<Dispute>>,
}

/// What an operator made of an arbitrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Nothing yet.
    Pending,
    /// May be drawn.
    Admitted,
    /// May not be drawn.
    Suspended,
}

impl Arbitrator {
    /// Whether it may be drawn.
    pub fn is_eligible(&self) -> bool {
        self.admission == Admission::Admitted && !self.paused && !self.withdrawn
    }
}
