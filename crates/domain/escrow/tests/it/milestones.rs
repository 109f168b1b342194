//! Tasks of several milestones, and work that is accepted in parts.

use tallystick_core::{Duration, Timestamp};
use tallystick_escrow::{
    Effect, Event, NodeCommand, OnSilence, Phase, RefundReason, Rejection, ReleaseReason, TaskView, Terms, TermsError,
    UserCommand,
};
use tallystick_testkit::escrow::*;

/// When the first of the two milestones is due.
const FIRST: Timestamp = NOW.after(Duration::from_secs(43_200));

/// Two tranches for the first half of the day, three for the second.
fn two() -> Terms {
    Terms {
        milestones: vec![milestone(&[1_000, 2_000], FIRST), milestone(&[3_000, 4_000, 5_000], DEADLINE)],
        ..terms(&[])
    }
}

fn names(given: &Given) -> Vec<String> {
    TaskView::from(given.task()).milestones.into_iter().map(|part| part.state).collect()
}

fn cancel(tranche: u8) -> Effect {
    Effect::CancelHold { hash: hash(tranche) }
}

#[test]
fn one_call_asks_for_all_invoices_and_all_must_be_paid() {
    let given = funding_with(two());
    let invoices = given.effects.iter().filter(|effect| matches!(effect, Effect::MakeHoldInvoice { .. }));
    assert_eq!(invoices.count(), 5);
    let payouts = [1_000, 2_000, 3_000, 4_000];
    let most = (0..).zip(payouts).fold(given, |given, (tranche, payout)| given.reported(locked(tranche, payout)));
    assert_eq!(most.phase_name(), "funding");
    most.when(worker(), submit()).then_rejected(&Rejection::NotHeld { state: "funding" });
    let lapsed = most.clone().later(policy().funding_window).reported(NodeCommand::Wake);
    assert_eq!(lapsed.effects[lapsed.effects.len() - 4..], [cancel(0), cancel(1), cancel(2), cancel(3)]);
    assert_eq!(names(&most.reported(locked(4, 5_000))), ["held", "held"]);
}

#[test]
fn each_milestone_is_decided_on_by_itself() {
    let given = held_with(two()).done(worker(), submit_for(0));
    assert_eq!((given.phase_name(), names(&given)), ("submitted", vec!["submitted".into(), "held".into()]));
    let given = given
        .when(requester(), approve())
        .then_events_and_payouts(&[0, 1], ReleaseReason::Approved)
        .done(worker(), submit_for(1));
    assert_eq!(names(&given), ["releasing", "submitted"]);
    let given = given.when(requester(), reject_for(1)).then(
        &[
            Event::WorkRejected { milestone: 1, reason_hash: REASONS },
            Event::RefundBegun { milestone: Some(1), reason: RefundReason::Rejected },
        ],
        &[cancel(2), cancel(3), cancel(4)],
    );
    assert_eq!((given.phase_name(), names(&given)), ("releasing", vec!["releasing".into(), "refunding".into()]));
    let given = (2..5).fold(given, |given, tranche| given.reported(returned(tranche)));
    let given = given.reported(paid(0, 1)).reported(claimed(0, 1_000)).reported(paid(1, 1));
    let given = given.when_reported(claimed(1, 2_000));
    let given = given.then_events(&[Event::HoldClaimed { tranche: 1, amount: hold_of(2_000) }, Event::TaskSettled]);
    assert_eq!(names(&given), ["settled", "refunded"]);
}

#[test]
fn a_missed_milestone_goes_back_and_the_others_go_on() {
    let missed = held_with(two()).at(FIRST);
    assert_eq!(missed.state.wake().at, Some(FIRST));
    let given = missed
        .when_reported(NodeCommand::Wake)
        .then(&[refund_begun(RefundReason::WorkDeadline)], &[cancel(0), cancel(1)]);
    assert_eq!(given.state.wake().at, Some(DEADLINE));
    let late = Rejection::NotHeld { state: "refunding" };
    given.when(worker(), submit_for(0)).then_rejected(&late);
    assert_eq!(names(&given.done(worker(), submit_for(1))), ["refunding", "submitted"]);
}

#[test]
fn one_wake_up_decides_on_all_that_are_due() {
    let terms = Terms { on_silence: OnSilence::Refund, ..two() };
    let given = held_with(terms).done(worker(), submit_for(0)).at(DEADLINE);
    given.when_reported(NodeCommand::Wake).then(
        &[
            refund_begun(RefundReason::Silence),
            Event::RefundBegun { milestone: Some(1), reason: RefundReason::WorkDeadline },
        ],
        &[cancel(0), cancel(1), cancel(2), cancel(3), cancel(4)],
    );
}

#[test]
fn work_may_be_accepted_in_parts() {
    let given = held_with(two()).done(worker(), submit_for(0)).done(worker(), submit_for(1));
    let given =
        given.when(requester(), approve_some(1, &[2, 0])).then_events_and_payouts(&[2, 4], ReleaseReason::Approved);
    assert!(given.facts.contains(&Event::ReleaseBegun {
        milestone: 1,
        tranches: vec![0, 2],
        reason: ReleaseReason::Approved
    }));
    // The same again, or a part of it: done already. One more: that one is paid.
    for again in [&[2, 0][..], &[0], &[2]] {
        given.when(requester(), approve_some(1, again)).then_already_applied();
    }
    let all = given.when(requester(), approve_some(1, &[0, 1, 2]));
    let all = all.then_events_and_payouts(&[3], ReleaseReason::Approved);
    assert_eq!(names(&all), ["submitted", "releasing"]);
    // Or the rest is refused.
    let refused = given.when(requester(), reject_for(1)).then(
        &[
            Event::WorkRejected { milestone: 1, reason_hash: REASONS },
            Event::RefundBegun { milestone: Some(1), reason: RefundReason::Rejected },
        ],
        &[cancel(3)],
    );
    refused.when(requester(), approve_some(1, &[1])).then_rejected(&Rejection::TrancheDecided { tranche: 1 });
    refused.when(requester(), UserCommand::ApproveWork { milestone: 1, tranches: None }).then_already_applied();
    refused.when(requester(), reject_for(1)).then_already_applied();
}

#[test]
fn what_is_left_after_a_part_was_accepted_ends_by_the_terms() {
    for (on_silence, ends) in [(OnSilence::Release, "releasing"), (OnSilence::Refund, "refunding")] {
        let given = held_with(Terms { on_silence, ..terms(&[1_000, 2_000]) }).done(worker(), submit());
        let given = given.done(requester(), approve_some(0, &[1])).reported(paid(1, 1)).reported(claimed(1, 2_000));
        assert_eq!(given.phase_name(), "submitted");
        let silent = given.later(REVIEW).reported(NodeCommand::Wake);
        assert_eq!(silent.phase_name(), ends);
    }
}

#[test]
fn only_what_there_is_can_be_named() {
    let given = held_with(two()).done(worker(), submit_for(0));
    let none = |milestone| Rejection::NoMilestone { milestone, count: 2 };
    for milestone in [2, u32::MAX] {
        given.when(worker(), submit_for(milestone)).then_rejected(&none(milestone));
        given.when(requester(), approve_some(milestone, &[0])).then_rejected(&none(milestone));
        given.when(requester(), reject_for(milestone)).then_rejected(&none(milestone));
    }
    for (named, tranche) in [(&[2][..], 2), (&[0, 0], 0), (&[u32::MAX], u32::MAX)] {
        let rejection = Rejection::NoTranche { tranche, count: 2 };
        given.when(requester(), approve_some(0, named)).then_rejected(&rejection);
    }
    given.when(requester(), approve_some(0, &[])).then_rejected(&Rejection::NothingToApprove);
    given.when(requester(), approve_some(1, &[0])).then_rejected(&Rejection::NotSubmitted { state: "held" });
}

#[test]
fn a_requester_takes_back_only_what_nobody_handed_in() {
    let given = held_with(two()).done(worker(), submit_for(0));
    let back = |reason| Event::RefundBegun { milestone: Some(1), reason };
    let stepped = given
        .when(requester(), UserCommand::CancelTask)
        .then(&[back(RefundReason::CancelledByRequester)], &[cancel(2), cancel(3), cancel(4)]);
    stepped.when(requester(), UserCommand::CancelTask).then_already_applied();
    assert_eq!(names(&stepped), ["submitted", "refunding"]);
    let all = (0..5).map(cancel).collect::<Vec<_>>();
    given.when(worker(), UserCommand::CancelTask).then(&[refund_of_all(RefundReason::CancelledByWorker)], &all);
    // After a part was paid, the worker gives up the rest.
    let paid_out = given.done(requester(), approve());
    let rest = paid_out.when(worker(), UserCommand::CancelTask);
    rest.then(&[back(RefundReason::CancelledByWorker)], &[cancel(2), cancel(3), cancel(4)]);
}

#[test]
fn a_lost_hold_ends_its_own_milestone_only() {
    let given = held_with(two()).when_reported(lost(3)).then(
        &[Event::HoldLost { tranche: 3 }, Event::RefundBegun { milestone: Some(1), reason: RefundReason::HoldLost }],
        &[cancel(2), cancel(4)],
    );
    assert_eq!(names(&given), ["held", "refunding"]);
    assert!(matches!(given.phase(), Phase::Active { .. }));
}

#[test]
fn milestones_are_in_order_and_none_is_empty() {
    let refused = |milestones, error| {
        let command = create(Terms { milestones, ..terms(&[]) });
        Given::nothing().when(requester(), command).then_rejected(&Rejection::Terms(error));
    };
    let order = TermsError::DeadlineOrder { milestone: 1, deadline: FIRST };
    refused(vec![milestone(&[1_000], DEADLINE), milestone(&[1_000], FIRST)], order);
    refused(vec![milestone(&[1_000], FIRST), milestone(&[], FIRST)], TermsError::Tranches { count: 1, limit: 8 });
    refused(vec![milestone(&[1; 5], FIRST), milestone(&[1; 4], FIRST)], TermsError::Tranches { count: 9, limit: 8 });
    let at_once = vec![milestone(&[1_000], FIRST), milestone(&[1_000], FIRST)];
    assert_eq!(open_with(Terms { milestones: at_once, ..terms(&[]) }).phase_name(), "open");
}
