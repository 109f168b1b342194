//! Signed requests in a language of our own, for tests that stand below every edge.

use std::sync::atomic::{AtomicU64, Ordering};
use tallystick_app::port::request::{Action, Asked, RequestReader};
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
    signed(at, author, &Asked::Task { task, action: action.clone() })
}

/// The same for a command to the registry.
///
/// # Panics
/// For another author.
pub fn asking_registry(author: NostrKey, command: &registry::Command) -> SignedRequest {
    signed(NOW, author, &Asked::Registry(command.clone()))
}

fn signed(at: Timestamp, author: NostrKey, asked: &Asked) -> SignedRequest {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let n = (1..=u8::MAX).find(|n| key(*n) == author).expect("a key of these tests");
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    signed_request(n, &canonical::encode(&(number, asked)), at)
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
        let (_, asked) = canonical::decode::<(u64, Asked)>("request", &request.body).ok()?;
        Some(asked)
    }
}
