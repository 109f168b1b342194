//! Who may read evidence.

use std::collections::BTreeSet;
use tallystick_civics::dispute::{Dispute, SeatState};
use tallystick_core::NostrKey;

/// Who may read what was filed in a dispute: both parties, and whoever sits or sat on a panel and did not let go of the
/// seat. Who was asked and has not accepted sees nothing yet.
pub fn readers(dispute: &Dispute) -> BTreeSet<NostrKey> {
    let sits = |state| matches!(state, SeatState::Accepted | SeatState::Committed { .. } | SeatState::Revealed { .. });
    let seats = dispute.panels().flat_map(|panel| &panel.bench);
    let panel = seats.filter(|seat| sits(seat.state)).map(|seat| seat.arbitrator);
    panel.chain([dispute.opening.payer, dispute.opening.payee]).collect()
}
