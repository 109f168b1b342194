//! How a dispute goes on by itself: phases that are over, panels that fail, rulings that stand.

use tallystick_core::{BlockHeight, Blocks};

use super::Decision;
use crate::dispute::{Award, Cause, Dispute, Event, Failure, Phase, SeatState, Side, evolve, median};

/// Accepts events, and adds all that follows from them at this height. No events and nothing that follows: then nothing
/// changes.
pub(super) fn settle(dispute: &Dispute, mut events: Vec<Event>, height: BlockHeight) -> Decision {
    let mut state = events.iter().fold(Some(dispute.clone()), evolve);
    while let Some(more) = state.as_ref().and_then(|state| step(state, height)) {
        state = more.iter().fold(state, evolve);
        events.extend(more);
    }
    if events.is_empty() { Decision::AlreadyApplied } else { Decision::Accept { events, effects: Vec::new() } }
}

/// The next thing that has to happen at this height. Each leads to another phase, and no phase comes back at the same
/// height, so that [`settle`] ends.
fn step(dispute: &Dispute, height: BlockHeight) -> Option<Vec<Event>> {
    let panel = &dispute.panel;
    let majority = panel.seats.majority();
    let over = dispute.wake().is_some_and(|at| height >= at);
    match &dispute.phase {
        Phase::Drawing => over.then(|| fail(dispute, Failure::NoDraw, height)),
        Phase::Seating { .. } => {
            let accepted = panel.count(|state| state == SeatState::Accepted);
            let asked = panel.count(|state| state == SeatState::Asked);
            if accepted + asked < majority || (over && accepted < majority) {
                return Some(fail(dispute, Failure::TooFewSeated, height));
            }
            let begun = |until| Event::CommittingBegun { until };
            let plan = &dispute.opening.plan;
            over.then(|| begin(dispute, height, (plan.commit_blocks, plan.after_seating()), begun))
        }
        Phase::Committing { .. } => {
            let over = over || panel.count(|state| state == SeatState::Accepted) == 0;
            if over && panel.count(|state| matches!(state, SeatState::Committed { .. })) < majority {
                return Some(fail(dispute, Failure::TooFewCommitted, height));
            }
            let begun = |until| Event::RevealingBegun { until };
            let blocks = dispute.opening.plan.reveal_blocks;
            over.then(|| begin(dispute, height, (blocks, blocks), begun))
        }
        Phase::Revealing { .. } => {
            let over = over || panel.count(|state| matches!(state, SeatState::Committed { .. })) == 0;
            over.then(|| rule(dispute, height))
        }
        Phase::Ruled { award, accepted, .. } => {
            let agreed = [Side::Payer, Side::Payee].iter().all(|side| accepted.contains(side));
            (over || agreed).then(|| vec![Event::DisputeDecided { award: *award }])
        }
        Phase::Decided { .. } | Phase::Failed | Phase::Withdrawn | Phase::Closed => None,
    }
}

/// Begins a phase, unless it and what follows no longer fit. Phases count from when they really begin, so that a node
/// that was late takes nobody's time away.
fn begin(
    dispute: &Dispute,
    height: BlockHeight,
    (blocks, to_ruling): (Blocks, Blocks),
    begun: impl Fn(BlockHeight) -> Event,
) -> Vec<Event> {
    if height.after(to_ruling) > dispute.opening.rule_by {
        return fail(dispute, Failure::NoTime, height);
    }
    vec![begun(height.after(blocks))]
}

fn rule(dispute: &Dispute, height: BlockHeight) -> Vec<Event> {
    let votes = dispute.panel.votes();
    match median(&votes, &dispute.opening.parts) {
        Some(award) if votes.len() >= dispute.panel.seats.majority() => {
            vec![Event::RulingMade { round: dispute.round(), award, until: appeal_until(dispute, height) }]
        }
        _ => fail(dispute, Failure::TooFewRevealed, height),
    }
}

/// A ruling can be appealed once, and only while a whole round still fits after it.
fn appeal_until(dispute: &Dispute, height: BlockHeight) -> BlockHeight {
    if dispute.appealed_by().is_some() {
        return height;
    }
    let plan = &dispute.opening.plan;
    let last_start = dispute.opening.rule_by.before(plan.round_blocks());
    height.after(plan.appeal_blocks).min(last_start.after(Blocks(1))).max(height)
}

/// A panel failed. The ruling that was appealed stands; a first panel is replaced once, if a whole round still fits and
/// if its list had enough names: the list of the next is the same.
fn fail(dispute: &Dispute, why: Failure, at: BlockHeight) -> Vec<Event> {
    let failed = Event::PanelFailed { round: dispute.round(), why, at };
    let panel = &dispute.panel;
    let short = panel.draw.as_ref().is_some_and(|draw| draw.order.len() < panel.seats.majority());
    let fits = at.after(dispute.opening.plan.round_blocks()) <= dispute.opening.rule_by;
    let then = match panel.cause {
        Cause::Appeal { against, .. } => decided(against),
        Cause::Opening if fits && !short => Event::RoundBegun {
            round: dispute.round().saturating_add(1),
            cause: Cause::Replacement,
            seats: panel.seats,
            at,
        },
        Cause::Opening | Cause::Replacement => Event::DisputeFailed,
    };
    vec![failed, then]
}

const fn decided(award: Award) -> Event {
    Event::DisputeDecided { award }
}
