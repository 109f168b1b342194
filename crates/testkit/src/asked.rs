//! Signed requests in a language of our own, for tests that stand below every edge.

use std::sync::atomic::{AtomicU64, Ordering};
use tallystick_app::port::request::{Action, Asked, RequestReader};
use tallystick_core::{Digest32, Id, NostrKey, SignedRequest, canonical};
use tallystick_escrow::{Task, Terms, UserCommand};

use crate::{escrow::key, signed_request};

/// Number, task, which action, and what belongs to it.
type Words = (u64, Id<Task>, u8, Option<Terms>, Vec<String>, Option<Digest32>);

/// A request that one of these tests' [`key`]s really signed, never seen before, that asks for this.
///
/// # Panics
/// For another author.
pub fn asking(author: NostrKey, task: Id<Task>, action: &Action) -> SignedRequest {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let n = (1..=u8::MAX).find(|n| key(*n) == author).expect("a key of these tests");
    let mut words: Words = (ASKED.fetch_add(1, Ordering::Relaxed), task, 0, None, Vec::new(), None);
    match action {
        Action::Create(terms) => (words.2, words.3) = (1, Some(terms.clone())),
        Action::Accept(invoices) => (words.2, words.4) = (2, invoices.clone()),
        Action::Fund => words.2 = 3,
        Action::Submit(hash) => (words.2, words.5) = (4, Some(*hash)),
        Action::Approve => words.2 = 5,
        Action::Reject(hash) => (words.2, words.5) = (6, Some(*hash)),
        Action::Cancel => words.2 = 7,
        Action::Erase => words.2 = 8,
    }
    signed_request(n, &canonical::encode(&words))
}

/// What asks for this command.
pub fn action_of(command: &UserCommand) -> Action {
    match command {
        UserCommand::CreateTask { terms, .. } => Action::Create(terms.clone()),
        UserCommand::AcceptTask { invoices } => Action::Accept(invoices.iter().map(|(text, _)| text.clone()).collect()),
        UserCommand::RequestFunding => Action::Fund,
        UserCommand::SubmitWork { work_hash } => Action::Submit(*work_hash),
        UserCommand::ApproveWork => Action::Approve,
        UserCommand::RejectWork { reason_hash } => Action::Reject(*reason_hash),
        UserCommand::CancelTask => Action::Cancel,
    }
}

/// Reads what [`asking`] wrote.
#[derive(Clone, Copy, Debug)]
pub struct Requests;

impl RequestReader for Requests {
    fn read(&self, request: &SignedRequest) -> Option<Asked> {
        let (_, task, which, terms, invoices, hash) = canonical::decode::<Words>("request", &request.body).ok()?;
        let action = match which {
            1 => Action::Create(terms?),
            2 => Action::Accept(invoices),
            3 => Action::Fund,
            4 => Action::Submit(hash?),
            5 => Action::Approve,
            6 => Action::Reject(hash?),
            7 => Action::Cancel,
            8 => Action::Erase,
            _ => return None,
        };
        Some(Asked { task, action })
    }
}
