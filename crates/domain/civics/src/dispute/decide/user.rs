//! What parties and arbitrators ask.

use tallystick_core::{BlockHeight, Blocks, Ctx, Digest32};

use super::{Decision, progress::settle};
use crate::dispute::{
    Award, Cause, Dispute, EVIDENCE_BYTES_MAX, EVIDENCE_FILES_MAX, EVIDENCE_TOTAL_MAX, Event, Evidence, Phase,
    Rejection, Seat, SeatState, Side, UserCommand, commitment,
};

pub(super) fn decide(dispute: &Dispute, command: UserCommand, ctx: &Ctx) -> Result<Decision, Rejection> {
    match command {
        UserCommand::FileEvidence { hash, bytes } => file_evidence(dispute, hash, bytes, ctx),
        UserCommand::AcceptSeat => accept_seat(dispute, ctx),
        UserCommand::RefuseSeat => refuse_seat(dispute, ctx),
        UserCommand::CommitVote { commitment } => commit_vote(dispute, commitment, ctx),
        UserCommand::RevealVote { award, salt } => reveal_vote(dispute, award, salt, ctx),
        UserCommand::Appeal => appeal(dispute, ctx),
        UserCommand::AcceptRuling => accept_ruling(dispute, ctx),
        UserCommand::Withdraw => withdraw(dispute, ctx),
    }
}

fn file_evidence(dispute: &Dispute, hash: Digest32, bytes: u64, ctx: &Ctx) -> Result<Decision, Rejection> {
    let by = party(dispute, ctx)?;
    let filed = Evidence { by, hash, bytes };
    if let Some(before) = dispute.evidence.iter().find(|before| before.hash == hash) {
        return if *before == filed { Ok(Decision::AlreadyApplied) } else { Err(Rejection::EvidenceKnown) };
    }
    match dispute.phase {
        Phase::Drawing => in_time(dispute.draw_by().after(Blocks(1)), ctx)?,
        Phase::Seating { until } => in_time(until, ctx)?,
        _ => return Err(Rejection::EvidenceClosed { state: dispute.phase.name() }),
    }
    if !(1..=EVIDENCE_BYTES_MAX).contains(&bytes) {
        return Err(Rejection::EvidenceSize { bytes });
    }
    let own = || dispute.evidence.iter().filter(|before| before.by == by);
    if own().count() >= EVIDENCE_FILES_MAX {
        return Err(Rejection::EvidenceCount);
    }
    let left = own().fold(EVIDENCE_TOTAL_MAX, |left, before| left.saturating_sub(before.bytes));
    if bytes > left {
        return Err(Rejection::EvidenceTotal { bytes, left });
    }
    Ok(settle(dispute, vec![Event::EvidenceFiled { by, hash, bytes }], ctx.height))
}

fn accept_seat(dispute: &Dispute, ctx: &Ctx) -> Result<Decision, Rejection> {
    let (round, seat) = seat(dispute, ctx)?;
    match seat.state {
        SeatState::Accepted | SeatState::Committed { .. } | SeatState::Revealed { .. } => {
            return Ok(Decision::AlreadyApplied);
        }
        SeatState::Refused => return Err(Rejection::SeatRefused),
        SeatState::Asked | SeatState::Missed(_) => {}
    }
    in_seating(dispute, round, ctx)?;
    Ok(settle(dispute, vec![Event::SeatAccepted { arbitrator: ctx.author }], ctx.height))
}

fn refuse_seat(dispute: &Dispute, ctx: &Ctx) -> Result<Decision, Rejection> {
    let (round, seat) = seat(dispute, ctx)?;
    if seat.state == SeatState::Refused {
        return Ok(Decision::AlreadyApplied);
    }
    in_seating(dispute, round, ctx)?;
    Ok(settle(dispute, vec![Event::SeatRefused { arbitrator: ctx.author, at: ctx.height }], ctx.height))
}

fn commit_vote(dispute: &Dispute, commitment: Digest32, ctx: &Ctx) -> Result<Decision, Rejection> {
    let (round, seat) = seat(dispute, ctx)?;
    if let SeatState::Committed { commitment: before } | SeatState::Revealed { commitment: before, .. } = seat.state {
        let same = before == commitment;
        return if same { Ok(Decision::AlreadyApplied) } else { Err(Rejection::AlreadyCommitted) };
    }
    match dispute.phase {
        Phase::Committing { until } if round == dispute.round() => in_time(until, ctx)?,
        _ => return Err(Rejection::NotCommitting { state: dispute.phase.name() }),
    }
    if seat.state != SeatState::Accepted {
        return Err(Rejection::NotSeated);
    }
    Ok(settle(dispute, vec![Event::VoteCommitted { arbitrator: ctx.author, commitment }], ctx.height))
}

fn reveal_vote(dispute: &Dispute, award: Award, salt: [u8; 32], ctx: &Ctx) -> Result<Decision, Rejection> {
    let (round, seat) = seat(dispute, ctx)?;
    let arbitrator = ctx.author;
    let shown = commitment(dispute.opening.id, round, arbitrator, award, &salt);
    if let SeatState::Revealed { commitment: before, .. } = seat.state {
        return if before == shown { Ok(Decision::AlreadyApplied) } else { Err(Rejection::AlreadyRevealed) };
    }
    match dispute.phase {
        Phase::Revealing { until } if round == dispute.round() => in_time(until, ctx)?,
        _ => return Err(Rejection::NotRevealing { state: dispute.phase.name() }),
    }
    let SeatState::Committed { commitment: committed } = seat.state else { return Err(Rejection::NotCommitted) };
    let parts = dispute.opening.parts.len();
    if !award.fits(parts) {
        return Err(Rejection::BadAward { parts });
    }
    if shown != committed {
        return Err(Rejection::CommitmentDiffers);
    }
    Ok(settle(dispute, vec![Event::VoteRevealed { arbitrator, award, salt }], ctx.height))
}

fn appeal(dispute: &Dispute, ctx: &Ctx) -> Result<Decision, Rejection> {
    let by = party(dispute, ctx)?;
    match dispute.appealed_by() {
        Some(before) if before == by => return Ok(Decision::AlreadyApplied),
        Some(_) => return Err(Rejection::AlreadyAppealed),
        None => {}
    }
    let Phase::Ruled { award, accepted, until } = &dispute.phase else {
        return Err(Rejection::NotRuled { state: dispute.phase.name() });
    };
    if accepted.contains(&by) {
        return Err(Rejection::RulingAccepted);
    }
    // The time to appeal ends before there is too little left for a whole round.
    in_time(*until, ctx)?;
    let begun = Event::RoundBegun {
        round: dispute.round().saturating_add(1),
        cause: Cause::Appeal { by, against: *award },
        seats: dispute.panel.seats.on_appeal(),
        at: ctx.height,
    };
    Ok(settle(dispute, vec![begun], ctx.height))
}

fn accept_ruling(dispute: &Dispute, ctx: &Ctx) -> Result<Decision, Rejection> {
    let by = party(dispute, ctx)?;
    match &dispute.phase {
        Phase::Ruled { accepted, .. } if accepted.contains(&by) => Ok(Decision::AlreadyApplied),
        Phase::Ruled { .. } => Ok(settle(dispute, vec![Event::RulingAccepted { by }], ctx.height)),
        Phase::Decided { .. } => Ok(Decision::AlreadyApplied),
        phase => Err(Rejection::NotRuled { state: phase.name() }),
    }
}

fn withdraw(dispute: &Dispute, ctx: &Ctx) -> Result<Decision, Rejection> {
    if dispute.opening.side_of(ctx.author) != Some(dispute.opened_by) {
        return Err(Rejection::NotOpener);
    }
    match dispute.phase {
        Phase::Withdrawn => Ok(Decision::AlreadyApplied),
        _ if dispute.may_be_given_up() => Ok(Decision::event(Event::DisputeWithdrawn)),
        _ => Err(Rejection::NotWithdrawable { state: dispute.phase.name() }),
    }
}

fn party(dispute: &Dispute, ctx: &Ctx) -> Result<Side, Rejection> {
    dispute.opening.side_of(ctx.author).ok_or(Rejection::NotParty)
}

/// Who asks was asked to sit: in which round, and the seat.
fn seat<'a>(dispute: &'a Dispute, ctx: &Ctx) -> Result<(u32, &'a Seat), Rejection> {
    dispute.seat_of(ctx.author).ok_or(Rejection::NotSeated)
}

fn in_seating(dispute: &Dispute, round: u32, ctx: &Ctx) -> Result<(), Rejection> {
    match dispute.phase {
        Phase::Seating { until } if round == dispute.round() => in_time(until, ctx),
        _ => Err(Rejection::NotSeating { state: dispute.phase.name() }),
    }
}

fn in_time(until: BlockHeight, ctx: &Ctx) -> Result<(), Rejection> {
    if ctx.height < until { Ok(()) } else { Err(Rejection::TimeOver { height: ctx.height, until }) }
}
