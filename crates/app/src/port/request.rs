//! What signed requests ask for: an edge's to know, since it knows their language.

use borsh::{BorshDeserialize, BorshSerialize};
use std::fmt;
use tallystick_civics::{
    dispute::{self, Dispute},
    registry, roles,
};
use tallystick_core::{Digest32, Id, SignedRequest};
use tallystick_escrow::{Task, Terms};

/// What a signed request asks for.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Asked {
    /// Something of a task.
    Task {
        /// Of which task.
        task: Id<Task>,
        /// What.
        action: Action,
    },
    /// Something of the registry of arbitrators: about itself, or an operator about one.
    Registry(registry::Command),
}

/// What can be asked of a task, in the words of whoever asks: without what the node adds by itself.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Action {
    /// Post it on these terms.
    Create(Terms),
    /// Take it, with these invoices (BOLT 11).
    Accept(Vec<String>),
    /// Make its funding invoices.
    Fund,
    /// The same, with the requester's own invoice (BOLT 11) for the worker's bond.
    FundWithBond(String),
    /// Hand in a milestone's work.
    Submit {
        /// The milestone's position, from 0.
        milestone: u32,
        /// SHA-256 of the work.
        work_hash: Digest32,
    },
    /// Offer to renew the holds of a milestone.
    OfferRenewal {
        /// The milestone's position, from 0.
        milestone: u32,
        /// The invoices (BOLT 11).
        invoices: Vec<String>,
    },
    /// Accept a milestone's work.
    Approve {
        /// The milestone's position, from 0.
        milestone: u32,
        /// Which of its tranches, from 0; all that are undecided if there are none named.
        tranches: Option<Vec<u32>>,
    },
    /// Refuse a milestone's work.
    Reject {
        /// The milestone's position, from 0.
        milestone: u32,
        /// SHA-256 of the reasons.
        reason_hash: Digest32,
    },
    /// Step back.
    Cancel,
    /// The worker gives up a milestone.
    Concede {
        /// The milestone's position, from 0.
        milestone: u32,
    },
    /// Have a panel decide about a milestone.
    OpenDispute {
        /// The milestone's position, from 0.
        milestone: u32,
    },
    /// Do something in a milestone's dispute.
    Dispute {
        /// The milestone's position, from 0.
        milestone: u32,
        /// What.
        command: dispute::UserCommand,
    },
    /// Be paid for a vote.
    CollectReward {
        /// The milestone's position, from 0.
        milestone: u32,
        /// The invoice (BOLT 11).
        invoice: String,
    },
    /// Erase its contents; an admin's to ask.
    Erase,
    /// Erase the evidence of one of its disputes; an admin's to ask.
    EraseEvidence {
        /// The dispute.
        dispute: Id<Dispute>,
    },
}

/// What admins ask of the node's roles, in their own words.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum AdminAsked {
    /// Wait for another admin to do this.
    Propose(roles::Action),
    /// Do this.
    Act(roles::Action, FactorSaid),
    /// Here is my authenticator's first code.
    CompleteEnrolment(Code),
}

/// What an admin says besides signing.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum FactorSaid {
    /// Nothing.
    Nothing,
    /// The authenticator's code.
    Code(Code),
    /// That it is another admin's proposal, with this number.
    Confirms(u64),
}

/// What somebody typed from an authenticator. It does not print: while it counts it is half of an admin's word.
#[derive(Clone, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Code(pub String);

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Code(…)")
    }
}

/// Reads signed requests.
pub trait RequestReader: Send + Sync {
    /// What a request asks for; nothing if it asks for nothing that leads to a fact. Who signed it, and whether anybody
    /// did, is not looked at.
    fn read(&self, request: &SignedRequest) -> Option<Asked>;

    /// What a request asks of the node's roles; nothing if it asks nothing of them. An erasure is both: what is
    /// [read](Self::read) of it, and an admin's action.
    fn read_admin(&self, request: &SignedRequest) -> Option<AdminAsked>;
}
