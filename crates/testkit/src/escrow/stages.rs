//! A task in each of its phases, brought there by the commands that a real one goes through.

use tallystick_core::{BlockHeight, Blocks, Digest32, Msat};
use tallystick_escrow::{
    Event, NodeCommand, OnSilence, PayFailure, RefundReason, ReleaseReason, Task, Terms, UserCommand, payout_id, plan,
};

use super::{
    DEADLINE, Given, HEIGHT, HOLD_BLOCKS, WORK, hash, hold_of, invoice, invoices, policy, requester, task_id, terms,
    worker,
};

/// The claim deadline of a hold that was locked at [`HEIGHT`], just long enough.
pub fn claim_deadline() -> BlockHeight {
    HEIGHT.after(HOLD_BLOCKS).after(policy().payout_reserve())
}

/// The last height at which a payout covered by such a hold may begin.
pub fn decide_by() -> BlockHeight {
    plan::decide_by(&policy(), claim_deadline())
}

/// Post a task with these terms.
pub fn create(terms: Terms) -> UserCommand {
    UserCommand::CreateTask { id: task_id(), terms, policy: Box::new(policy()) }
}

/// Take the task with good invoices for these payouts.
pub fn accept(payouts: &[u64]) -> UserCommand {
    UserCommand::AcceptTask { invoices: invoices(payouts) }
}

/// Hand in [`WORK`] for the first milestone.
pub fn submit() -> UserCommand {
    submit_for(0)
}

/// Hand in [`WORK`] for a milestone.
pub fn submit_for(milestone: u32) -> UserCommand {
    UserCommand::SubmitWork { milestone, work_hash: WORK }
}

/// Ask for the funding invoices, with an invoice for the worker's bond if there is one.
pub fn fund(task: &Task) -> UserCommand {
    let position = u8::try_from(task.terms.workers_invoices().count()).unwrap_or(u8::MAX);
    match task.terms.bonds.worker {
        Some(bond) => UserCommand::FundWithBond { invoice: Box::new(invoice(position, bond.get())) },
        None => UserCommand::RequestFunding,
    }
}

/// Approve all of the first milestone.
pub fn approve() -> UserCommand {
    UserCommand::ApproveWork { milestone: 0, tranches: None }
}

/// Approve some tranches of a milestone.
pub fn approve_some(milestone: u32, tranches: &[u32]) -> UserCommand {
    UserCommand::ApproveWork { milestone, tranches: Some(tranches.to_vec()) }
}

/// Offer to renew the holds of some of a milestone's tranches. The next hold of tranche n is that of [`next`].
pub fn offer(milestone: u32, tranches: &[(u8, u64)]) -> UserCommand {
    let invoices = tranches.iter().map(|(tranche, payout)| invoice(next(*tranche), *payout)).collect();
    UserCommand::OfferRenewal { milestone, invoices }
}

/// Where the first renewal of a tranche has its hash: [`hash`] of it.
pub const fn next(tranche: u8) -> u8 {
    tranche + 0x40
}

/// Reject the first milestone for [`REASONS`](super::REASONS).
pub fn reject() -> UserCommand {
    reject_for(0)
}

/// Reject a milestone for [`REASONS`](super::REASONS).
pub fn reject_for(milestone: u32) -> UserCommand {
    UserCommand::RejectWork { milestone, reason_hash: super::REASONS }
}

/// A tranche's payer locked the right amount for long enough.
pub fn locked(tranche: u8, payout: u64) -> NodeCommand {
    NodeCommand::RecordHoldLocked { hash: hash(tranche), amount: hold_of(payout), claim_deadline: claim_deadline() }
}

/// A tranche's payer locked the right amount for so many blocks more than that.
pub fn locked_longer(tranche: u8, payout: u64, more: Blocks) -> NodeCommand {
    let claim_deadline = claim_deadline().after(more);
    NodeCommand::RecordHoldLocked { hash: hash(tranche), amount: hold_of(payout), claim_deadline }
}

/// A tranche's hold invoice was made.
pub fn invoice_made(tranche: u8) -> NodeCommand {
    NodeCommand::RecordHoldInvoice { hash: hash(tranche), bolt11: format!("hold invoice {tranche}") }
}

/// The id of a tranche's payout attempt.
pub fn pay_id(tranche: u8, attempt: u32) -> Digest32 {
    payout_id(task_id(), u32::from(tranche), attempt)
}

/// A tranche's payout arrived; routing cost [`ROUTING_FEE`].
pub fn paid(tranche: u8, attempt: u32) -> NodeCommand {
    NodeCommand::RecordPayoutPaid { hash: hash(tranche), id: pay_id(tranche, attempt), fee: ROUTING_FEE }
}

/// What routing costs in [`paid`].
pub const ROUTING_FEE: Msat = match Msat::try_new(7) {
    Ok(fee) => fee,
    Err(_) => Msat::ZERO,
};

/// A tranche's payout failed.
pub fn failed(tranche: u8, attempt: u32, reason: PayFailure) -> NodeCommand {
    NodeCommand::RecordPayoutFailed { hash: hash(tranche), id: pay_id(tranche, attempt), reason }
}

/// A tranche's hold was claimed.
pub fn claimed(tranche: u8, payout: u64) -> NodeCommand {
    NodeCommand::RecordHoldClaimed { hash: hash(tranche), amount: hold_of(payout) }
}

/// A tranche's hold was given back.
pub fn returned(tranche: u8) -> NodeCommand {
    NodeCommand::RecordHoldReturned { hash: hash(tranche) }
}

/// A tranche's hold was settled by the rail itself.
pub fn spent(tranche: u8) -> NodeCommand {
    NodeCommand::RecordHoldSpent { hash: hash(tranche) }
}

/// A tranche's hold invoice will never be made.
pub fn refused(tranche: u8) -> NodeCommand {
    NodeCommand::RecordHoldRefused { hash: hash(tranche) }
}

/// A tranche's hold is gone.
pub fn lost(tranche: u8) -> NodeCommand {
    NodeCommand::RecordHoldLost { hash: hash(tranche) }
}

/// All of the first milestone is to be paid out, which has so many tranches.
pub fn release_begun(tranches: u32, reason: ReleaseReason) -> Event {
    Event::ReleaseBegun { milestone: 0, tranches: (0..tranches).collect(), reason }
}

/// What is undecided of the first milestone goes back.
pub fn refund_begun(reason: RefundReason) -> Event {
    Event::RefundBegun { milestone: Some(0), reason }
}

/// Everything that is undecided goes back.
pub fn refund_of_all(reason: RefundReason) -> Event {
    Event::RefundBegun { milestone: None, reason }
}

/// Posted.
pub fn open(payouts: &[u64]) -> Given {
    open_with(terms(payouts))
}

/// Posted with these terms.
pub fn open_with(terms: Terms) -> Given {
    Given::nothing().done(requester(), create(terms))
}

fn accepted(given: Given) -> Given {
    let payouts: Vec<u64> = given.task().terms.workers_invoices().map(|payout| payout.get()).collect();
    given.done(worker(), accept(&payouts))
}

/// Taken by the worker.
pub fn assigned(payouts: &[u64]) -> Given {
    accepted(open(payouts))
}

/// The funding invoices can be paid.
pub fn funding(payouts: &[u64]) -> Given {
    funding_with(terms(payouts))
}

/// The funding invoices of a task with these terms can be paid.
pub fn funding_with(terms: Terms) -> Given {
    let given = accepted(open_with(terms));
    let fund = fund(given.task());
    let given = given.done(requester(), fund);
    let parts = given.phase().job().map_or(0, |job| job.tranches.len());
    let tranches = 0..u8::try_from(parts).unwrap_or(u8::MAX);
    tranches.fold(given, |given, tranche| given.reported(invoice_made(tranche)))
}

/// The money is locked.
pub fn held(payouts: &[u64]) -> Given {
    held_with(terms(payouts))
}

/// The money of a task with these terms is locked.
pub fn held_with(terms: Terms) -> Given {
    let given = funding_with(terms);
    let payouts: Vec<_> =
        given.phase().job().map_or(Vec::new(), |job| job.tranches.iter().map(|part| part.payout).collect());
    let longer = given.task().hold_blocks.0.saturating_sub(HOLD_BLOCKS.0);
    (0..)
        .zip(payouts)
        .fold(given, |given, (tranche, payout)| given.reported(locked_longer(tranche, payout.get(), Blocks(longer))))
}

/// The work waits for a decision.
pub fn submitted(payouts: &[u64]) -> Given {
    held(payouts).done(worker(), submit())
}

/// The work waits for a decision, and silence means this.
pub fn submitted_with(payouts: &[u64], on_silence: OnSilence) -> Given {
    held_with(Terms { on_silence, ..terms(payouts) }).done(worker(), submit())
}

/// Approved: the payouts are under way.
pub fn releasing(payouts: &[u64]) -> Given {
    submitted(payouts).done(requester(), approve())
}

/// Rejected: the holds are on their way back.
pub fn refunding(payouts: &[u64]) -> Given {
    submitted(payouts).done(requester(), reject())
}

/// Every tranche paid and claimed.
pub fn settled(payouts: &[u64]) -> Given {
    (0..).zip(payouts).fold(releasing(payouts), |given, (tranche, payout)| {
        given.reported(paid(tranche, 1)).reported(claimed(tranche, *payout))
    })
}

/// Rejected, and every hold given back.
pub fn refunded(payouts: &[u64]) -> Given {
    (0..).zip(payouts).fold(refunding(payouts), |given, (tranche, _)| given.reported(returned(tranche)))
}

/// Cancelled by the requester after a worker took it.
pub fn cancelled(payouts: &[u64]) -> Given {
    assigned(payouts).done(requester(), UserCommand::CancelTask)
}

/// Nobody locked money in time.
pub fn expired(payouts: &[u64]) -> Given {
    assigned(payouts).at(DEADLINE).reported(NodeCommand::Wake)
}
