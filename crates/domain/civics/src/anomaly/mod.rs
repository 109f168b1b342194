//! What looks odd: flagged with the evidence, for people to look at. Nothing here punishes anybody, and no score knows of it.
//!
//! # Invariants
//! * No flag without the facts that it comes from.
//! * The same facts give the same flags in the same order.
//! * Work is bounded: pairs take a sort of the deals, rings at most 340 steps for each key, arbitrators the
//!   square of their newest 200 votes.

mod bias;
mod flag;
mod pairs;
mod rings;
mod timing;
mod trade;

pub use flag::{Flag, Kind, Thresholds};

use crate::reputation::{Deal, ReputationError, Service, check_deals, check_services};
use tallystick_core::Timestamp;

/// Looks for what is odd in deals and services, each sorted by the number of its fact. Flags are sorted by kind, then by
/// keys.
///
/// # Errors
/// [`ReputationError`] if facts are not sorted, later than `now`, or contradict themselves, or if thresholds do.
pub fn find(
    deals: &[Deal],
    services: &[Service],
    thresholds: &Thresholds,
    now: Timestamp,
) -> Result<Vec<Flag>, ReputationError> {
    thresholds.check()?;
    check_deals(deals, now)?;
    check_services(services, now)?;
    let trade = trade::Trade::of(deals);
    let mut flags = pairs::find(&trade, thresholds);
    flags.extend(rings::find(&trade, thresholds));
    flags.extend(timing::find(&trade, thresholds));
    flags.extend(bias::find(services, thresholds));
    flags.sort_by(|a, b| (a.kind, &a.who).cmp(&(b.kind, &b.who)));
    Ok(flags)
}
