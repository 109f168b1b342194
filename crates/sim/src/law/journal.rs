//! Laws about the journal: that it keeps what was answered, and that it tells the truth.

use tallystick_core::PaymentHash;
use tallystick_escrow::{Event, State, TaskView, payout_id, reward_id};
use tallystick_testkit::rail::{HoldState, Outgoing};

use super::{Evidence, short};
use crate::books::{Told, tranches};

pub(super) fn kept(seen: &Evidence<'_>) -> Result<(), String> {
    seen.unkept.first().map_or(Ok(()), |what| Err(what.clone()))
}

pub(super) fn again(seen: &Evidence<'_>) -> Result<(), String> {
    seen.twice.first().map_or(Ok(()), |what| Err(what.clone()))
}

pub(super) fn views(seen: &Evidence<'_>) -> Result<(), String> {
    for (task, shown) in seen.views {
        let State::Present(made) = &seen.books.states[*task] else { continue };
        let made = serde_json::to_string(&TaskView::from(made.as_ref())).map_err(|error| error.to_string())?;
        if shown.as_deref() != Some(made.as_str()) {
            return Err(format!("task {task} is shown otherwise than its facts make it"));
        }
    }
    Ok(())
}

pub(super) fn told(seen: &Evidence<'_>) -> Result<(), String> {
    match seen.told_of {
        None => Ok(()),
        Some(Some(told)) if told == seen.appends => Ok(()),
        Some(told) => Err(format!("a replica told of {told:?}, and these appends ended: {:?}", seen.appends)),
    }
}

/// What a fact says of the network is so. Only what stays so is compared: the network may have moved on since.
pub(super) fn truth(seen: &Evidence<'_>) -> Result<(), String> {
    seen.told.iter().try_for_each(|told| true_fact(seen, told))
}

fn true_fact(seen: &Evidence<'_>, told: &Told) -> Result<(), String> {
    let parts = tranches(&told.before);
    let part = |tranche: &u32| usize::try_from(*tranche).ok().and_then(|at| parts.get(at));
    let hash_of = |tranche: &u32| part(tranche).map(|part| part.hash).unwrap_or(PaymentHash([0; 32]));
    let hold = |hash: &PaymentHash| seen.holds.get(hash).map(|hold| hold.state);
    let is_true = match &told.event {
        Event::HoldLocked { tranche, amount, .. } => {
            let should = part(tranche).and_then(|part| part.hold().ok());
            seen.holds.contains_key(&hash_of(tranche)) && should == Some(*amount)
        }
        Event::HoldRenewed { tranche, amount, .. } => {
            let next = part(tranche).and_then(|part| Some((part.renewal.as_ref()?.hash, part.hold().ok()?)));
            next.is_some_and(|(hash, should)| seen.holds.contains_key(&hash) && should == *amount)
        }
        Event::PayoutPaid { tranche, fee } => seen.payments.values().any(|payment| {
            payment.hash == hash_of(tranche) && payment.state == Outgoing::Paid && payment.fee == fee.get()
        }),
        Event::PayoutFailed { tranche, attempt, .. } => {
            let State::Present(task) = &told.before else { return Ok(()) };
            let payment = seen.payments.get(&payout_id(task.id, *tranche, *attempt));
            payment.is_some_and(|payment| matches!(payment.state, Outgoing::Failed(_)))
        }
        Event::RewardPaid { dispute, arbitrator, fee } => seen.payments.values().any(|payment| {
            let of = seen.books.rewards.get(&payment.hash);
            let is_it = of.is_some_and(|(of, who, _)| (of, who) == (dispute, arbitrator));
            is_it && payment.state == Outgoing::Paid && payment.fee == fee.get()
        }),
        Event::RewardFailed { dispute, arbitrator, attempt, .. } => {
            let payment = seen.payments.get(&reward_id(*dispute, *arbitrator, *attempt));
            payment.is_some_and(|payment| matches!(payment.state, Outgoing::Failed(_)))
        }
        Event::HoldClaimed { tranche, .. } => hold(&hash_of(tranche)) == Some(HoldState::Claimed),
        Event::HoldReturned { tranche } => hold(&hash_of(tranche)).is_none_or(|state| state == HoldState::Back),
        Event::ReplacedHoldReturned { hash, .. } => hold(hash).is_none_or(|state| state == HoldState::Back),
        Event::HoldLost { tranche } => seen.rail.lost_holds().contains(&hash_of(tranche)),
        Event::HoldSpent { .. } | Event::OtherHoldSpent { .. } => false,
        _ => true,
    };
    if is_true {
        return Ok(());
    }
    let (seq, task) = (told.seq, told.task);
    let of = crate::story::tranche_of(&told.event).map(|tranche| short(&hash_of(&tranche))).unwrap_or_default();
    Err(format!("fact {seq} of task {task}, {} {of}, is not so", told.event.kind()))
}
