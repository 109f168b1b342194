//! Holds that are renewed: the next one is locked before the one before is let go.

use tallystick_core::{BlockHeight, Ctx, Msat, PaymentHash};

use super::{
    Decision,
    ending::{conclude, give_back_held},
    hold::{fits, hold_invoice},
    user::{find, state_of},
};
use crate::{Effect, Event, InvoiceFacts, Phase, Rejection, Renewal, Task, Tranche, plan};

/// The worker offers the next holds, one for each undecided tranche of a milestone.
pub(super) fn offer(
    task: &Task,
    milestone: u32,
    invoices: &[(String, InvoiceFacts)],
    ctx: &Ctx,
) -> Result<Decision, Rejection> {
    find(task, milestone)?;
    if is_repeat(task, milestone, invoices) {
        return Ok(Decision::AlreadyApplied);
    }
    if task.terms.renewal.is_none() {
        return Err(Rejection::NotRenewable);
    }
    let held = undecided(task, milestone);
    let (Phase::Active { job }, false) = (&task.phase, held.is_empty()) else {
        return Err(Rejection::NotHeld { state: state_of(task, milestone) });
    };
    let open = |next: &&Renewal| ctx.now < next.until && next.funding_invoice.is_some();
    if let Some(next) = held.iter().filter_map(|(_, part)| part.renewal.as_ref()).find(open) {
        return Err(Rejection::RenewalUnderWay { until: next.until });
    }
    if invoices.len() != held.len() {
        return Err(Rejection::InvoiceCount { invoices: invoices.len(), tranches: held.len() });
    }
    let last = task.decide_by(job, milestone).unwrap_or(ctx.height);
    if ctx.height >= last {
        return Err(Rejection::TooFewBlocks { height: ctx.height, last });
    }
    // Until the last height, even if blocks are slow: a requester answers only for what could be locked all the time.
    let window = plan::slow_time_of(ctx.height.until(last)).max(task.policy.funding_window);
    let until = ctx.now.after(window);
    let mut hashes = task.named_hashes();
    let mut effects = Vec::new();
    for ((_, facts), (_, part)) in invoices.iter().zip(&held) {
        facts.check(part.payout.to_msat(), task, window, ctx.now)?;
        if !hashes.insert(facts.hash) {
            return Err(Rejection::HashReused);
        }
        effects.push(hold_invoice(task, facts.hash, part, window)?);
    }
    let invoices = invoices.iter().map(|(text, facts)| (text.clone(), facts).into()).collect();
    let in_time = task.renew_by(job, milestone).is_some_and(|by| ctx.height <= by);
    Ok(Decision::Accept { events: vec![Event::RenewalOffered { milestone, invoices, until, in_time }], effects })
}

/// Whether these very invoices were offered before, whatever became of them since.
fn is_repeat(task: &Task, milestone: u32, invoices: &[(String, InvoiceFacts)]) -> bool {
    let job = task.phase.job();
    let parts: Vec<_> = job.into_iter().flat_map(|job| task.tranches_of(job, milestone)).collect();
    let offered = |text: &str| {
        parts.iter().any(|(_, part)| match &part.renewal {
            Some(next) => next.payout_invoice == text,
            None => part.renewals > 0 && part.payout_invoice == text,
        })
    };
    !invoices.is_empty() && invoices.iter().all(|(text, _)| offered(text))
}

fn undecided(task: &Task, milestone: u32) -> Vec<(u32, &Tranche)> {
    let job = task.phase.job();
    job.into_iter().flat_map(|job| task.tranches_of(job, milestone)).filter(|(_, part)| part.state.is_held()).collect()
}

/// The next hold's invoice was made.
pub(super) fn invoice_made(tranche: u32, next: &Renewal, bolt11: String) -> Decision {
    match next.funding_invoice {
        Some(_) => Decision::AlreadyApplied,
        None => Decision::event(Event::RenewalInvoiceMade { tranche, bolt11 }),
    }
}

/// The next hold is locked: it takes the place of the one before, which goes back.
pub(super) fn locked(
    task: &Task,
    (tranche, part): (u32, &Tranche),
    (amount, claim_deadline): (Msat, BlockHeight),
    ctx: &Ctx,
) -> Result<Decision, Rejection> {
    if !part.state.is_held() {
        return Err(Rejection::HoldUnwanted { state: task.state_name() });
    }
    fits(task, part, (amount, claim_deadline), ctx)?;
    Ok(Decision::Accept {
        events: vec![Event::HoldRenewed { tranche, amount, claim_deadline }],
        effects: vec![Effect::CancelHold { hash: part.hash }],
    })
}

/// A hold whose place was taken is back, or gone.
pub(super) fn replaced_gone(task: &Task, tranche: u32, hash: PaymentHash) -> Decision {
    conclude(task, vec![Event::ReplacedHoldReturned { tranche, hash }], Vec::new())
}

/// A hold was spent that is not the tranche's own.
pub(super) fn other_spent(task: &Task, tranche: u32, hash: PaymentHash, fee: Option<Msat>) -> Decision {
    conclude(task, vec![Event::OtherHoldSpent { tranche, hash, fee }], give_back_held(task, None, None))
}
