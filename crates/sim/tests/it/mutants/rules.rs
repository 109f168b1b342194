//! Rules with a bug in them, each around the real ones.

use tallystick_civics::dispute;
use tallystick_core::{Blocks, Ctx, Decider, Decision, Msat, Timestamp};
use tallystick_escrow::{
    Command, Effect, Escrow, Event, NodeCommand, OnSilence, Phase, Purpose, RefundReason, Rejection, ReleaseReason,
    Stage, State, Task, Tranche, TrancheState, UserCommand, payout_id, plan::GRACE,
};

type Answer = Result<Decision<Event, Effect>, Rejection>;

fn parts(state: &State) -> &[Tranche] {
    match state {
        State::Present(task) => task.phase.job().map(|job| job.tranches.as_slice()).unwrap_or_default(),
        State::Absent => &[],
    }
}

fn changed(answer: Answer, change: impl FnOnce(&mut Vec<Event>, &mut Vec<Effect>)) -> Answer {
    let mut answer = answer?;
    if let Decision::Accept { events, effects } = &mut answer {
        change(events, effects);
    }
    Ok(answer)
}

/// An approval looks at the deadline of the hold alone, and not at what a payout may take until then.
pub fn payout_too_late(state: &State, command: Command, ctx: &Ctx) -> Answer {
    let (Command::User(UserCommand::ApproveWork { .. }), State::Present(task)) = (&command, state) else {
        return Escrow::decide(state, command, ctx);
    };
    let mut other: Box<Task> = task.clone();
    (other.policy.payout_margin, other.policy.payout_cltv_max) = (Blocks(0), Blocks(1));
    let limit = task.policy.payout_cltv_max;
    changed(Escrow::decide(&State::Present(other), command, ctx), |_, effects| {
        for effect in effects {
            if let Effect::Pay { cltv_limit, .. } = effect {
                *cltv_limit = limit;
            }
        }
    })
}

/// An offer to renew lets the hold go at once, before the next one is locked.
pub fn hold_let_go_before_its_renewal(state: &State, command: Command, ctx: &Ctx) -> Answer {
    let is_offer = matches!(command, Command::User(UserCommand::OfferRenewal { .. }));
    changed(Escrow::decide(state, command, ctx), |_, effects| {
        let held = parts(state).iter().filter(|part| part.state.is_held() && is_offer);
        effects.extend(held.map(|part| Effect::CancelHold { hash: part.hash }));
    })
}

/// A failure is taken for the failure of the attempt that is under way, whichever it was.
pub fn failure_counted_twice(state: &State, mut command: Command, ctx: &Ctx) -> Answer {
    if let (Command::Node(NodeCommand::RecordPayoutFailed { hash, id, .. }), State::Present(task)) =
        (&mut command, state)
    {
        for (tranche, part) in (0..).zip(parts(state)) {
            if let (TrancheState::Paying { attempt, .. }, true) = (part.state, part.hash == *hash) {
                *id = payout_id(task.id, tranche, attempt);
            }
        }
    }
    Escrow::decide(state, command, ctx)
}

/// Whoever cancels gets back what is being paid out, too.
pub fn refund_under_a_payout(state: &State, command: Command, ctx: &Ctx) -> Answer {
    let paying = |(_, part): &(u32, &Tranche)| matches!(part.state, TrancheState::Paying { covered: true, .. });
    match (&command, (0..).zip(parts(state)).find(paying)) {
        (Command::User(UserCommand::CancelTask), Some((tranche, part))) => Ok(Decision::Accept {
            events: vec![Event::TrancheRefundBegun { tranche }],
            effects: vec![Effect::CancelHold { hash: part.hash }],
        }),
        _ => Escrow::decide(state, command, ctx),
    }
}

/// The payer's money is claimed together with the payout, not after it.
pub fn claim_before_the_payout(state: &State, command: Command, ctx: &Ctx) -> Answer {
    changed(Escrow::decide(state, command, ctx), |_, effects| {
        let pays = effects.iter().filter_map(|effect| match effect {
            Effect::Pay { hash, fee_limit, .. } => Some(Effect::ClaimHold { hash: *hash, amount: *fee_limit }),
            _ => None,
        });
        let claims: Vec<Effect> = pays.collect();
        effects.extend(claims);
    })
}

/// Nobody looks at the blocks: what runs out of them stays held.
pub fn hold_kept_at_its_deadline(state: &State, command: Command, ctx: &Ctx) -> Answer {
    let answer = Escrow::decide(state, command, ctx)?;
    let by_blocks = |event: &Event| {
        matches!(event, Event::RefundBegun { reason: RefundReason::BlocksRanOut | RefundReason::RenewalMissed, .. })
    };
    match &answer {
        Decision::Accept { events, .. } if events.iter().any(by_blocks) => Ok(Decision::AlreadyApplied),
        _ => Ok(answer),
    }
}

/// Every payout goes to the first tranche's invoice.
pub fn payout_of_another_tranche(state: &State, command: Command, ctx: &Ctx) -> Answer {
    changed(Escrow::decide(state, command, ctx), |_, effects| {
        for effect in effects {
            if let (Effect::Pay { bolt11, .. }, Some(first)) = (effect, parts(state).first()) {
                bolt11.clone_from(&first.payout_invoice);
            }
        }
    })
}

/// Every hold invoice asks for the first tranche's money.
pub fn hold_of_another_tranche(state: &State, command: Command, ctx: &Ctx) -> Answer {
    changed(Escrow::decide(state, command, ctx), |_, effects| {
        for effect in effects {
            if let (Effect::MakeHoldInvoice { amount, .. }, Some(first)) = (effect, parts(state).first()) {
                *amount = first.hold().unwrap_or(*amount);
            }
        }
    })
}

/// The review is over after half of its time.
pub fn silence_before_the_review_is_over(state: &State, command: Command, ctx: &Ctx) -> Answer {
    changed(Escrow::decide(state, command, ctx), |events, _| {
        for event in events {
            if let Event::WorkSubmitted { review_until, .. } = event {
                let half = ctx.now.until(*review_until).as_millis() / 2;
                *review_until = Timestamp::from_millis(ctx.now.as_millis() + half);
            }
        }
    })
}

/// What was funded in part waits for the rest for ever.
pub fn partial_funding_kept(state: &State, command: Command, ctx: &Ctx) -> Answer {
    let in_part = match state {
        State::Present(task) => {
            matches!(task.phase, Phase::Funding { .. }) && parts(state).iter().any(|part| part.state.is_held())
        }
        State::Absent => false,
    };
    match command {
        Command::Node(NodeCommand::Wake) if in_part => Ok(Decision::AlreadyApplied),
        command => Escrow::decide(state, command, ctx),
    }
}

/// Nobody asks for the return of a hold whose place was taken.
pub fn replaced_hold_kept(state: &State, command: Command, ctx: &Ctx) -> Answer {
    changed(Escrow::decide(state, command, ctx), |events, effects| {
        if events.iter().any(|event| matches!(event, Event::HoldRenewed { .. })) {
            effects.clear();
        }
    })
}

/// A payout may cost whatever its route asks for.
pub fn fee_without_a_limit(state: &State, command: Command, ctx: &Ctx) -> Answer {
    changed(Escrow::decide(state, command, ctx), |_, effects| {
        for effect in effects {
            if let Effect::Pay { fee_limit, .. } = effect {
                *fee_limit = Msat::try_new(1_000_000_000).expect("less than all bitcoin");
            }
        }
    })
}

/// The requester gets back even what was handed in and waits for a decision.
pub fn work_taken_back(state: &State, command: Command, ctx: &Ctx) -> Answer {
    match (&command, state) {
        (Command::User(UserCommand::CancelTask), State::Present(task))
            if task.requester == ctx.author && parts(state).iter().any(|part| part.state.is_held()) =>
        {
            let held = parts(state).iter().filter(|part| part.state.is_held());
            Ok(Decision::Accept {
                events: vec![Event::RefundBegun { milestone: None, reason: RefundReason::CancelledByRequester }],
                effects: held.map(|part| Effect::CancelHold { hash: part.hash }).collect(),
            })
        }
        _ => Escrow::decide(state, command, ctx),
    }
}

/// A hold stays where it is when its payout has failed for good.
pub fn failed_payout_kept(state: &State, command: Command, ctx: &Ctx) -> Answer {
    changed(Escrow::decide(state, command, ctx), |events, effects| {
        if events.iter().any(|event| matches!(event, Event::TrancheRefundBegun { .. })) {
            effects.retain(|effect| !matches!(effect, Effect::CancelHold { .. }));
        }
    })
}

/// While a panel sits, time decides all the same.
pub fn dispute_unseen(state: &State, command: Command, ctx: &Ctx) -> Answer {
    let (Command::Node(NodeCommand::Wake), State::Present(task)) = (&command, state) else {
        return Escrow::decide(state, command, ctx);
    };
    let mut other: Box<Task> = task.clone();
    if let Phase::Active { job } = &mut other.phase {
        job.milestones.iter_mut().for_each(|part| part.cases.clear());
    }
    match Escrow::decide(&State::Present(other), command.clone(), ctx) {
        Ok(Decision::AlreadyApplied) => Escrow::decide(state, command, ctx),
        answer => answer,
    }
}

/// A ruling gives everything back, whatever the votes were.
pub fn votes_unseen(state: &State, command: Command, ctx: &Ctx) -> Answer {
    changed(Escrow::decide(state, command, ctx), |events, _| {
        for event in events {
            if let Event::Dispute { event: dispute::Event::DisputeDecided { award }, .. } = event {
                *award = dispute::Award::NOTHING;
            }
        }
    })
}

/// A panel's award is paid, and all of the rest with it.
pub fn award_exceeded(state: &State, command: Command, ctx: &Ctx) -> Answer {
    changed(Escrow::decide(state, command, ctx), |events, _| {
        for event in events {
            if let (Event::ReleaseBegun { milestone, tranches, reason: ReleaseReason::Ruled }, State::Present(task)) =
                (event, state)
            {
                *tranches = (0..).take(task.terms.tranches_of(*milestone).len()).collect();
            }
        }
    })
}

/// A bond is taken whether the node was away or not.
pub fn outages_unseen(state: &State, mut command: Command, ctx: &Ctx) -> Answer {
    if let Command::Node(NodeCommand::WakeKnowing { outages }) = &mut command {
        outages.clear();
    }
    Escrow::decide(state, command, ctx)
}

/// Who is late by less than what is allowed loses its bond.
pub fn bond_taken_at_the_deadline(state: &State, command: Command, ctx: &Ctx) -> Answer {
    let wakes = matches!(command, Command::Node(NodeCommand::Wake | NodeCommand::WakeKnowing { .. }));
    let later = Ctx { now: ctx.now.after(GRACE), ..*ctx };
    Escrow::decide(state, command, if wakes && is_idle(state) { &later } else { ctx })
}

/// Whether a worker with a bond has handed nothing in.
fn is_idle(state: &State) -> bool {
    let State::Present(task) = state else { return false };
    let Phase::Active { job } = &task.phase else { return false };
    task.terms.bonds.worker.is_some() && job.milestones.iter().all(|part| part.stage == Stage::Working)
}

/// What is paid to the other side is asked back as well.
pub fn bond_taken_and_given_back(state: &State, command: Command, ctx: &Ctx) -> Answer {
    changed(Escrow::decide(state, command, ctx), |events, effects| {
        let taken = events.iter().filter_map(|event| match event {
            Event::BondTaken { tranche, .. } => parts(state).get(usize::try_from(*tranche).ok()?),
            _ => None,
        });
        let back: Vec<Effect> = taken.map(|part| Effect::CancelHold { hash: part.hash }).collect();
        effects.extend(back);
    })
}

/// Nobody looks at the blocks of a bond: it stays until its hold ends.
pub fn bond_kept_at_its_deadline(state: &State, command: Command, ctx: &Ctx) -> Answer {
    let is_late = |event: &Event| matches!(event, Event::BondReturnBegun { reason: RefundReason::BlocksRanOut, .. });
    match Escrow::decide(state, command, ctx)? {
        Decision::Accept { events, .. } if events.iter().all(is_late) => Ok(Decision::AlreadyApplied),
        answer => Ok(answer),
    }
}

/// Nobody asks for the return of a bond when all else is over.
pub fn bond_never_given_back(state: &State, command: Command, ctx: &Ctx) -> Answer {
    changed(Escrow::decide(state, command, ctx), |events, effects| {
        let is_over = |event: &Event| matches!(event, Event::BondReturnBegun { reason: RefundReason::BondKept, .. });
        if events.iter().any(is_over) {
            let bonds = parts(state).iter().filter(|part| part.purpose != Purpose::Work).map(|part| part.hash);
            let bonds: Vec<_> = bonds.collect();
            effects.retain(|effect| !matches!(effect, Effect::CancelHold { hash } if bonds.contains(hash)));
        }
    })
}

fn workers_bond(state: &State) -> Option<u32> {
    let own = parts(state).iter().position(|part| part.purpose == Purpose::Bond(dispute::Side::Payee));
    own.and_then(|at| u32::try_from(at).ok())
}

/// The worker's bond is taken at the deadline, though so many blocks came before it that its work would have been refused.
pub fn bond_taken_in_spite_of_blocks(state: &State, command: Command, ctx: &Ctx) -> Answer {
    let (Command::Node(NodeCommand::WakeKnowing { .. }), State::Present(task)) = (&command, state) else {
        return Escrow::decide(state, command, ctx);
    };
    // As if work could be handed in for as long as blocks do not decide.
    let mut other: Box<Task> = task.clone();
    other.terms.on_silence = OnSilence::Refund;
    match Escrow::decide(&State::Present(other), command.clone(), ctx) {
        Ok(Decision::Accept { events, effects })
            if events
                .iter()
                .any(|event| matches!(event, Event::BondTaken { reason: ReleaseReason::BrokenPromise, .. })) =>
        {
            Ok(Decision::Accept { events, effects })
        }
        _ => Escrow::decide(state, command, ctx),
    }
}

/// Funding invoices can be paid to the deadline, whatever a bond answers for, and a lock counts whenever it is told.
pub fn bond_locked_at_the_last_moment(state: &State, command: Command, ctx: &Ctx) -> Answer {
    let is_lock = matches!(command, Command::Node(NodeCommand::RecordHoldLocked { .. }));
    changed(Escrow::decide(state, command, ctx), |events, _| {
        let State::Present(task) = state else { return };
        for event in events.iter_mut() {
            if let Event::FundingRequested { until } = event {
                *until = ctx.now.after(task.policy.funding_window).min(task.terms.first_deadline());
            }
        }
        let locked = events.iter().filter(|event| matches!(event, Event::HoldLocked { .. })).count();
        let held = parts(state).iter().filter(|part| part.state.is_held()).count();
        if is_lock && locked == 1 && held + 1 == parts(state).len() && events.len() == 1 {
            events.push(Event::TaskHeld);
        }
    })
}

/// The worker's bond is taken once time has decided, whether anything was handed in or not.
pub fn bond_taken_in_spite_of_work(state: &State, command: Command, ctx: &Ctx) -> Answer {
    let is_wake = matches!(command, Command::Node(NodeCommand::WakeKnowing { .. }));
    let tranche = workers_bond(state);
    changed(Escrow::decide(state, command, ctx), |events, _| {
        let is_decided = |event: &Event| matches!(event, Event::ReleaseBegun { reason: ReleaseReason::Silence, .. });
        if is_wake && events.iter().any(is_decided) {
            events.extend(tranche.map(|tranche| Event::BondTaken { tranche, reason: ReleaseReason::BrokenPromise }));
        }
    })
}

/// The worker's bond is taken by any ruling, whatever it says.
pub fn bond_taken_by_any_ruling(state: &State, command: Command, ctx: &Ctx) -> Answer {
    changed(Escrow::decide(state, command, ctx), |events, _| {
        let is_ruling =
            |event: &Event| matches!(event, Event::Dispute { event: dispute::Event::DisputeDecided { .. }, .. });
        let is_taken = events.iter().any(|event| matches!(event, Event::BondTaken { .. }));
        let Some(tranche) = workers_bond(state) else { return };
        if events.iter().any(is_ruling) && !is_taken {
            events.push(Event::BondTaken { tranche, reason: ReleaseReason::Ruled });
        }
    })
}

/// A worker whose deadline passes with nothing handed in keeps its bond, as if nobody ever knew when the node was away.
pub fn broken_promise_unseen(state: &State, command: Command, ctx: &Ctx) -> Answer {
    let command = match command {
        Command::Node(NodeCommand::WakeKnowing { .. }) => Command::Node(NodeCommand::Wake),
        command => command,
    };
    Escrow::decide(state, command, ctx)
}

/// A ruling pays the work that it awards, and takes no bond.
pub fn bond_left_by_a_ruling(state: &State, command: Command, ctx: &Ctx) -> Answer {
    changed(Escrow::decide(state, command, ctx), |events, effects| {
        let ruled = events.iter().filter_map(|event| match event {
            Event::BondTaken { tranche, reason: ReleaseReason::Ruled } => Some(*tranche),
            _ => None,
        });
        let ruled: Vec<u32> = ruled.collect();
        let bonds = (0..).zip(parts(state)).filter(|(tranche, _)| ruled.contains(tranche));
        let hashes: Vec<_> = bonds.map(|(_, part)| part.hash).collect();
        events.retain(|event| match event {
            Event::BondTaken { tranche, .. } | Event::PayoutBegun { tranche, .. } => !ruled.contains(tranche),
            _ => true,
        });
        effects.retain(|effect| !matches!(effect, Effect::Pay { hash, .. } if hashes.contains(hash)));
    })
}
