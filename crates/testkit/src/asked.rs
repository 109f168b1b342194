//! Signed requests in a language of our own, for tests that stand below every edge.

use std::sync::atomic::{AtomicU64, Ordering};
use tallystick_app::port::request::{Action, Asked, RequestReader};
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
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let n = (1..=u8::MAX).find(|n| key(*n) == author).expect("a key of these tests");
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    signed_request(n, &canonical::encode(&(number, task, action)), at)
}

/// What asks for this command.
pub fn action_of(command: &UserCommand) -> Action {
    match command {
        UserCommand::CreateTask { terms, .. } => Action::Create(terms.clone()),
        UserCommand::AcceptTask { invoices } => Action::Accept(invoices.iter().map(|(text, _)| text.clone()).collect()),
        UserCommand::RequestFunding => Action::Fund,
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
    }
}

/// Reads what [`asking`] wrote.
#[derive(Clone, Copy, Debug)]
pub struct Requests;

impl RequestReader for Requests {
    fn read(&self, request: &SignedRequest) -> Option<Asked> {
        let (_, task, action) = canonical::decode::<(u64, Id<Task>, Action)>("request", &request.body).ok()?;
        Some(Asked { task, action })
    }
}
