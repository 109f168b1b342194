//! Opening a dispute.

use tallystick_core::{Ctx, Sat};

use crate::dispute::{CONFLICTS_MAX, Event, Opening, PARTS_MAX, Rejection, Seats};

/// Opens a dispute for the party that asks. Whether it may, and whether there is one already, is its host's business.
///
/// # Errors
/// The rejection, if the dispute cannot be opened so, or cannot be ruled in time any more.
pub fn open(opening: Opening, ctx: &Ctx) -> Result<Event, Rejection> {
    if opening.payer == opening.payee {
        return Err(Rejection::SameParty);
    }
    let by = opening.side_of(ctx.author).ok_or(Rejection::NotParty)?;
    opening.plan.check()?;
    let count = opening.parts.len();
    if !(1..=PARTS_MAX).contains(&count) {
        return Err(Rejection::Parts { count });
    }
    let amount = Sat::sum(opening.parts.iter().copied())?;
    let count = opening.conflicts.len();
    if count > CONFLICTS_MAX || !opening.conflicts.is_sorted_by(|one, next| one < next) {
        return Err(Rejection::Conflicts { count });
    }
    if opening.seats_min > Seats::Five {
        return Err(Rejection::TooManySeats { seats: opening.seats_min.count() });
    }
    let needed = opening.plan.round_blocks();
    if ctx.height.after(needed) > opening.rule_by {
        return Err(Rejection::TooLate { height: ctx.height, needed, rule_by: opening.rule_by });
    }
    let seats = opening.plan.seats_for(amount).max(opening.seats_min);
    Ok(Event::DisputeOpened { opening, by, seats, at: ctx.height })
}
