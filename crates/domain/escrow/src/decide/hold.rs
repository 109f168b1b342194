//! Hold invoices: what they ask for, and whether what was locked is that.

use tallystick_core::{BlockHeight, Ctx, Duration, Msat, PaymentHash};

use crate::{Effect, Purpose, Rejection, Task, Tranche, plan};

/// Asks the rail for a tranche's hold invoice on this hash.
pub(super) fn hold_invoice(
    task: &Task,
    hash: PaymentHash,
    part: &Tranche,
    expiry: Duration,
) -> Result<Effect, Rejection> {
    Ok(Effect::MakeHoldInvoice {
        hash,
        amount: part.hold()?,
        description: match part.purpose {
            Purpose::Work => format!("{} (task {})", task.terms.title, task.id),
            Purpose::Bond(_) => format!("Bond: {} (task {})", task.terms.title, task.id),
        },
        expiry,
        final_cltv_delta: plan::final_cltv_delta(&task.policy, task.hold_blocks),
    })
}

/// Checks that a tranche's payer locked what was asked for, for long enough.
pub(super) fn fits(
    task: &Task,
    part: &Tranche,
    (amount, claim_deadline): (Msat, BlockHeight),
    ctx: &Ctx,
) -> Result<(), Rejection> {
    let needed = part.hold()?;
    let deadline_min = ctx.height.after(task.hold_blocks).after(task.policy.payout_reserve());
    if amount == needed && claim_deadline >= deadline_min {
        return Ok(());
    }
    Err(Rejection::HoldUnfit { amount, needed, claim_deadline, deadline_min })
}
