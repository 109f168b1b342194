//! What arbitrators are paid: out of the platform's own money, each once, to an invoice that they hand in.

use tallystick_core::{Ctx, Digest32, Duration, Msat, NostrKey, PaymentHash, Timestamp};

use super::{
    Decision,
    ending::{may_try_again, pause_after},
    user::find,
};
use crate::{
    Case, Effect, Event, InvoiceFacts, PayFailure, Rejection, Reward, RewardState, Task, TrancheInvoice, effect,
};

/// An invoice must be payable for so long when it is handed in: a few attempts.
const INVOICE_LIFE_MIN: Duration = Duration::from_secs(3_600);
/// Attempts for one invoice: then another has to be handed in.
const ATTEMPTS_MAX: u32 = 20;
/// Routing may cost this part of what is paid, or the least.
const ROUTE_PART: u64 = 10;
/// What a route may cost of the smallest payment, in msat.
const ROUTE_MIN: u64 = 1_000;

/// Begins to pay the arbitrator that asks.
pub(super) fn collect(
    task: &Task,
    milestone: u32,
    (bolt11, facts): (&str, &InvoiceFacts),
    ctx: &Ctx,
) -> Result<Decision, Rejection> {
    let (_, part) = find(task, milestone)?;
    let cases = part.map(|part| part.cases.as_slice()).unwrap_or_default();
    let served = |case: &&Case| case.reward > Msat::ZERO && case.dispute.served().contains(&ctx.author);
    let is_paid = |case: &&Case| {
        case.reward_of(ctx.author).is_some_and(|reward| matches!(reward.state, RewardState::Paid { .. }))
    };
    let mut own = cases.iter().filter(served);
    let unpaid = own.clone().find(|case| !is_paid(case));
    let Some(case) = unpaid.or_else(|| own.next_back()) else { return Err(Rejection::NotServed) };
    if !case.dispute.phase.is_final() {
        return Err(Rejection::DisputeRuns);
    }
    let before = case.reward_of(ctx.author);
    let is_same = before.is_some_and(|before| before.invoice == bolt11);
    match before.map(|before| before.state) {
        Some(RewardState::Paying | RewardState::Paid { .. }) if is_same => return Ok(Decision::AlreadyApplied),
        Some(RewardState::Paying) => return Err(Rejection::RewardUnderWay),
        Some(RewardState::Paid { .. }) => return Err(Rejection::RewardPaid),
        Some(RewardState::Failed) | None => {}
    }
    facts.fits(case.reward, &task.policy, ctx.now.after(INVOICE_LIFE_MIN), ctx.now)?;
    // A payment on such a hash would reveal what claims a hold.
    if task.named_hashes().contains(&facts.hash) {
        return Err(Rejection::HashReused);
    }
    let invoice = TrancheInvoice::from((bolt11.to_owned(), facts));
    let attempt = before.map_or(1, |before| before.attempt.saturating_add(1));
    let (event, effect) = attempt_of(task, case, (ctx.author, invoice, attempt), ctx.now);
    Ok(Decision::Accept { events: vec![event], effects: vec![effect] })
}

fn attempt_of(
    task: &Task,
    case: &Case,
    (arbitrator, invoice, attempt): (NostrKey, TrancheInvoice, u32),
    not_before: Timestamp,
) -> (Event, Effect) {
    let dispute = case.dispute.opening.id;
    let effect = pay(task, case, (arbitrator, attempt), (invoice.hash, invoice.bolt11.clone()), not_before);
    (Event::RewardBegun { dispute, arbitrator, invoice, attempt, not_before }, effect)
}

/// Asks the rail to pay an arbitrator.
pub(super) fn pay(
    task: &Task,
    case: &Case,
    (arbitrator, attempt): (NostrKey, u32),
    (hash, bolt11): (PaymentHash, String),
    not_before: Timestamp,
) -> Effect {
    let limit = (case.reward.get() / ROUTE_PART).max(ROUTE_MIN);
    Effect::PayReward {
        hash,
        id: effect::reward_id(case.dispute.opening.id, arbitrator, attempt),
        bolt11,
        fee_limit: Msat::try_new(limit).unwrap_or(case.reward),
        cltv_limit: task.policy.payout_cltv_max,
        not_before,
    }
}

/// An arbitrator was paid.
pub(super) fn paid(case: &Case, reward: &Reward, fee: Msat) -> Decision {
    match reward.state {
        RewardState::Paid { .. } => Decision::AlreadyApplied,
        RewardState::Paying | RewardState::Failed => {
            let (dispute, arbitrator) = (case.dispute.opening.id, reward.arbitrator);
            Decision::event(Event::RewardPaid { dispute, arbitrator, fee })
        }
    }
}

/// A payment to an arbitrator failed: it is tried again a while, and then another invoice is waited for.
pub(super) fn failed(
    task: &Task,
    (case, reward): (&Case, &Reward),
    (id, reason): (Digest32, PayFailure),
    ctx: &Ctx,
) -> Decision {
    let (dispute, arbitrator, attempt) = (case.dispute.opening.id, reward.arbitrator, reward.attempt);
    let is_it = reward.state == RewardState::Paying && id == effect::reward_id(dispute, arbitrator, attempt);
    if !is_it {
        return Decision::AlreadyApplied;
    }
    let failed = Event::RewardFailed { dispute, arbitrator, attempt, reason };
    let tries = attempt.saturating_sub(reward.first_attempt).saturating_add(1);
    if tries >= ATTEMPTS_MAX || !may_try_again(reason, tries) || ctx.now >= reward.expires_at {
        return Decision::event(failed);
    }
    let invoice = TrancheInvoice { bolt11: reward.invoice.clone(), hash: reward.hash, expires_at: reward.expires_at };
    let next = (arbitrator, invoice, attempt.saturating_add(1));
    let (again, effect) = attempt_of(task, case, next, ctx.now.after(pause_after(tries)));
    Decision::Accept { events: vec![failed, again], effects: vec![effect] }
}
