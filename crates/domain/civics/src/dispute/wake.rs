//! When the rules want to be asked again.

use tallystick_core::{BlockHeight, Blocks};

use super::{Dispute, Phase, SeatState};

impl Dispute {
    /// The next height at which [`super::NodeCommand::Wake`] changes something. Once a wake-up is due, giving it always
    /// does, so none is due for ever. The draw is not among them: it needs a block ([`Dispute::draw_from`]).
    pub fn wake(&self) -> Option<BlockHeight> {
        match self.phase {
            Phase::Drawing => Some(self.draw_by().after(Blocks(1))),
            Phase::Seating { until } if self.is_seated() => Some(until.min(self.evidence_until())),
            Phase::Seating { until }
            | Phase::Committing { until }
            | Phase::Revealing { until }
            | Phase::Ruled { until, .. } => Some(until),
            Phase::Decided { .. } | Phase::Failed | Phase::Withdrawn | Phase::Closed => None,
        }
    }

    /// Whether nobody has still to answer whether they will sit.
    pub(super) fn is_seated(&self) -> bool {
        self.panel.count(|state| state == SeatState::Asked) == 0
    }

    /// Until this height evidence can be filed, however fast the panel's seats are taken.
    pub(super) const fn evidence_until(&self) -> BlockHeight {
        self.panel.begun_at.after(self.opening.plan.evidence_blocks)
    }
}
