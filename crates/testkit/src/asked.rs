//! Signed requests in a language of our own, for tests that stand below every edge.

use borsh::{BorshDeserialize, BorshSerialize};
use std::sync::atomic::{AtomicU64, Ordering};
use tallystick_app::{
    erase::erasure_of,
    port::request::{Action, AdminAsked, Asked, FactorSaid, RequestReader},
};
use tallystick_civics::registry;
use tallystick_core::{Id, NostrKey, SignedRequest, Timestamp, canonical};
use tallystick_escrow::{Task, UserCommand};

use crate::{
    escrow::{NOW, key},
    signed_request,
};

/// A request that one of these tests' [`key`]s really signed, never seen before, that asks for this. Signed at [`NOW`].
///
/// # Panics
/// For another author.
pub fn asking(author: NostrKey, task: Id<Task>, action: &Action) -> SignedRequest {
    asking_at(NOW, author, task, action)
}

/// The same signed at another time.
///
/// # Panics
/// As [`asking`].
pub fn asking_at(at: Timestamp, author: NostrKey, task: Id<Task>, action: &Action) -> SignedRequest {
    signed(at, author, &Said::Asked(next(), Asked::Task { task, action: action.clone() }))
}

/// The same for a command to the registry.
///
/// # Panics
/// For another author.
pub fn asking_registry(author: NostrKey, command: &registry::Command) -> SignedRequest {
    signed(NOW, author, &Said::Asked(next(), Asked::Registry(command.clone())))
}

/// As [`asking`], of the node's roles.
///
/// # Panics
/// For another author.
pub fn asking_roles(author: NostrKey, asked: &AdminAsked) -> SignedRequest {
    signed(NOW, author, &Said::Roles(next(), asked.clone()))
}

/// As [`asking`], to erase a task as an admin.
///
/// # Panics
/// For another author.
pub fn asking_to_erase(author: NostrKey, task: Id<Task>, said: &FactorSaid) -> SignedRequest {
    signed(NOW, author, &Said::Erase(next(), task, said.clone()))
}

/// What such a request says, with a number that makes it another one than those before.
#[derive(BorshSerialize, BorshDeserialize)]
enum Said {
    Asked(u64, Asked),
    Roles(u64, AdminAsked),
    Erase(u64, Id<Task>, FactorSaid),
}

fn next() -> u64 {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    ASKED.fetch_add(1, Ordering::Relaxed)
}

fn signed(at: Timestamp, author: NostrKey, said: &Said) -> SignedRequest {
    let n = (1..=u8::MAX).find(|n| key(*n) == author).expect("a key of these tests");
    signed_request(n, &canonical::encode(said), at)
}

/// What asks for this command.
pub fn action_of(command: &UserCommand) -> Action {
    match command {
        UserCommand::CreateTask { terms, .. } => Action::Create(terms.clone()),
        UserCommand::AcceptTask { invoices } => Action::Accept(invoices.iter().map(|(text, _)| text.clone()).collect()),
        UserCommand::RequestFunding => Action::Fund,
        UserCommand::FundWithBond { invoice } => Action::FundWithBond(invoice.0.clone()),
        UserCommand::SubmitWork { milestone, work_hash } => {
            Action::Submit { milestone: *milestone, work_hash: *work_hash }
        }
        UserCommand::OfferRenewal { milestone, invoices } => Action::OfferRenewal {
            milestone: *milestone,
            invoices: invoices.iter().map(|(text, _)| text.clone()).collect(),
        },
        UserCommand::ApproveWork { milestone, tranches } => {
            Action::Approve { milestone: *milestone, tranches: tranches.clone() }
        }
        UserCommand::RejectWork { milestone, reason_hash } => {
            Action::Reject { milestone: *milestone, reason_hash: *reason_hash }
        }
        UserCommand::CancelTask => Action::Cancel,
        UserCommand::ConcedeWork { milestone } => Action::Concede { milestone: *milestone },
        UserCommand::OpenDispute { milestone, .. } => Action::OpenDispute { milestone: *milestone },
        UserCommand::Dispute { milestone, command } => {
            Action::Dispute { milestone: *milestone, command: command.clone() }
        }
        UserCommand::CollectReward { milestone, invoice } => {
            Action::CollectReward { milestone: *milestone, invoice: invoice.0.clone() }
        }
    }
}

/// Reads what [`asking`] wrote.
#[derive(Clone, Copy, Debug)]
pub struct Requests;

impl RequestReader for Requests {
    fn read(&self, request: &SignedRequest) -> Option<Asked> {
        match canonical::decode("request", &request.body).ok()? {
            Said::Asked(_, asked) => Some(asked),
            Said::Erase(_, task, _) => Some(Asked::Task { task, action: Action::Erase }),
            Said::Roles(..) => None,
        }
    }

    fn read_admin(&self, request: &SignedRequest) -> Option<AdminAsked> {
        match canonical::decode("request", &request.body).ok()? {
            Said::Asked(..) => None,
            Said::Erase(_, task, said) => Some(AdminAsked::Act(erasure_of(task), said)),
            Said::Roles(_, asked) => Some(asked),
        }
    }
}
