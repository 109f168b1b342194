//! Applying facts. Total: a fact that does not fit leaves the dispute as it is.

use std::collections::BTreeSet;
use tallystick_core::{BlockHeight, Blocks};

use super::{Cause, Dispute, Draw, Duty, Event, Evidence, Failure, Panel, Phase, Seat, SeatState};

/// What a fact makes of a dispute; before [`Event::DisputeOpened`] there is none.
pub fn evolve(dispute: Option<Dispute>, event: &Event) -> Option<Dispute> {
    match (dispute, event) {
        (None, Event::DisputeOpened { opening, by, seats, at }) => Some(Dispute {
            opening: opening.clone(),
            opened_by: *by,
            evidence: Vec::new(),
            past: Vec::new(),
            panel: Panel::new(Cause::Opening, *seats, *at),
            phase: Phase::Drawing,
        }),
        (None, _) => None,
        (Some(dispute), _) if dispute.phase.is_final() => Some(dispute),
        (Some(mut dispute), event) => {
            apply_to_seats(&mut dispute, event);
            dispute.phase = next_phase(&mut dispute, event);
            Some(dispute)
        }
    }
}

/// The facts that move the whole dispute.
fn next_phase(dispute: &mut Dispute, event: &Event) -> Phase {
    let phase = dispute.phase.clone();
    match (event, phase) {
        (Event::EvidenceFiled { by, hash, bytes }, phase) => {
            dispute.evidence.push(Evidence { by: *by, hash: *hash, bytes: *bytes });
            phase
        }
        (Event::PanelDrawn { block_hash, candidates, order, at, until, .. }, Phase::Drawing) => {
            let panel = &mut dispute.panel;
            panel.draw = Some(Draw { block_hash: *block_hash, candidates: *candidates, order: order.clone() });
            for _ in 0..panel.seats.count() {
                panel.ask_next(*at);
            }
            Phase::Seating { until: *until }
        }
        (Event::CommittingBegun { until }, Phase::Seating { .. }) => Phase::Committing { until: *until },
        (Event::RevealingBegun { until }, Phase::Committing { .. }) => Phase::Revealing { until: *until },
        (Event::RulingMade { award, until, .. }, Phase::Revealing { .. }) => {
            Phase::Ruled { award: *award, accepted: BTreeSet::new(), until: *until }
        }
        (Event::RulingAccepted { by }, Phase::Ruled { award, mut accepted, until }) => {
            accepted.insert(*by);
            Phase::Ruled { award, accepted, until }
        }
        (Event::RoundBegun { cause, seats, at, .. }, _) => {
            let panel = Panel::new(*cause, *seats, *at);
            dispute.past.push(std::mem::replace(&mut dispute.panel, panel));
            Phase::Drawing
        }
        (Event::DisputeDecided { award }, _) => Phase::Decided { award: *award },
        (Event::DisputeFailed, _) => Phase::Failed,
        (Event::DisputeWithdrawn, _) => Phase::Withdrawn,
        (Event::DisputeClosed, _) => Phase::Closed,
        (_, phase) => phase,
    }
}

/// The facts that move seats of the panel.
fn apply_to_seats(dispute: &mut Dispute, event: &Event) {
    let half = Blocks(dispute.opening.plan.seat_blocks.0 / 2);
    let panel = &mut dispute.panel;
    match (event, &dispute.phase) {
        (Event::SeatAccepted { arbitrator }, Phase::Seating { .. }) => {
            if let Some(seat) = panel.bench.iter_mut().find(|seat| seat.arbitrator == *arbitrator)
                && seat.state == SeatState::Asked
            {
                seat.state = SeatState::Accepted;
            }
        }
        (Event::SeatRefused { arbitrator, at }, Phase::Seating { .. }) => {
            if let Some(seat) = panel.bench.iter_mut().find(|seat| seat.arbitrator == *arbitrator)
                && matches!(seat.state, SeatState::Asked | SeatState::Accepted)
            {
                seat.state = SeatState::Refused;
                panel.ask_next(*at);
            }
        }
        (Event::VoteCommitted { arbitrator, commitment }, Phase::Committing { .. }) => {
            if let Some(seat) = panel.bench.iter_mut().find(|seat| seat.arbitrator == *arbitrator)
                && seat.state == SeatState::Accepted
            {
                seat.state = SeatState::Committed { commitment: *commitment };
            }
        }
        (Event::VoteRevealed { arbitrator, award, .. }, Phase::Revealing { .. }) => {
            if let Some(seat) = panel.bench.iter_mut().find(|seat| seat.arbitrator == *arbitrator)
                && let SeatState::Committed { commitment } = seat.state
            {
                seat.state = SeatState::Revealed { commitment, award: *award };
            }
        }
        (Event::CommittingBegun { .. }, Phase::Seating { until }) => close_seating(panel, *until, half),
        (Event::PanelFailed { why: Failure::TooFewSeated, at, .. }, Phase::Seating { until }) if at >= until => {
            close_seating(panel, *until, half);
        }
        (
            Event::RevealingBegun { .. } | Event::PanelFailed { why: Failure::TooFewCommitted, .. },
            Phase::Committing { .. },
        ) => panel.close(Duty::Commit, |seat| seat.state == SeatState::Accepted),
        (
            Event::RulingMade { .. } | Event::PanelFailed { why: Failure::TooFewRevealed, .. },
            Phase::Revealing { .. },
        ) => panel.close(Duty::Reveal, |seat| matches!(seat.state, SeatState::Committed { .. })),
        _ => {}
    }
}

/// Who was asked in the second half of the time owes no answer: it may have been minutes.
fn close_seating(panel: &mut Panel, until: BlockHeight, half: Blocks) {
    let owes = |seat: &Seat| seat.state == SeatState::Asked && seat.asked_at.after(half) <= until;
    panel.close(Duty::Answer, owes);
}
