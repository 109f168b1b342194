//! Tasks in several tranches: funded in part, paid in part, lost in part.

use tallystick_core::Blocks;
use tallystick_escrow::{
    Effect, Event, NodeCommand, PayFailure, Phase, Policy, RefundReason, Rejection, ReleaseReason, TrancheState,
    UserCommand, Verdict,
};
use tallystick_testkit::escrow::*;

const THREE: [u64; 3] = [1_000, 2_000, 3_000];

fn states(given: &Given) -> Vec<TrancheState> {
    given.phase().job().unwrap().tranches.iter().map(|part| part.state).collect()
}

fn held_state() -> TrancheState {
    TrancheState::Held { claim_deadline: claim_deadline() }
}

#[test]
fn a_task_is_held_once_its_last_tranche_is_locked() {
    let given = funding(&THREE).reported(locked(2, 3_000)).reported(locked(0, 1_000));
    assert_eq!(given.phase_name(), "funding");
    given.when_reported(locked(1, 2_000)).then_events(&[
        Event::HoldLocked { tranche: 1, amount: hold_of(2_000), claim_deadline: claim_deadline() },
        Event::TaskHeld,
    ]);
}

#[test]
fn the_earliest_hold_decides_for_all() {
    let later = |tranche, payout: u64, more| NodeCommand::RecordHoldLocked {
        hash: hash(tranche),
        amount: hold_of(payout),
        claim_deadline: claim_deadline().after(Blocks(more)),
    };
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let given = order.into_iter().fold(funding(&THREE), |given, tranche| {
            given.reported(later(tranche, THREE[usize::from(tranche)], 100 * (2 - u32::from(tranche))))
        });
        let at = given.task().decide_by(given.phase().job().unwrap(), 0);
        assert_eq!((given.phase_name(), at), ("held", Some(decide_by())), "{order:?}");
    }
}

#[test]
fn what_was_locked_goes_back_when_the_rest_is_not_funded_in_time() {
    let given = funding(&THREE)
        .reported(locked(1, 2_000))
        .later(Policy::default().funding_window)
        .when_reported(NodeCommand::Wake)
        .then(&[refund_of_all(RefundReason::FundingLapsed)], &[Effect::CancelHold { hash: hash(1) }]);
    assert_eq!(states(&given), [TrancheState::Returned, TrancheState::Returning, TrancheState::Returned]);
    given.when_reported(returned(1)).then_events(&[Event::HoldReturned { tranche: 1 }, Event::TaskRefunded]);
}

#[test]
fn what_was_locked_goes_back_when_blocks_run_out_before_the_rest_is_funded() {
    let given = funding(&THREE).reported(locked(1, 2_000));
    given.clone().height(decide_by().before(Blocks(1))).when_reported(NodeCommand::Wake).then_already_applied();
    given
        .height(decide_by())
        .when_reported(NodeCommand::Wake)
        .then(&[refund_of_all(RefundReason::BlocksRanOut)], &[Effect::CancelHold { hash: hash(1) }]);
}

#[test]
fn stepping_back_from_a_partly_funded_task_gives_back_what_was_locked() {
    for (by, reason) in [(requester(), RefundReason::CancelledByRequester), (worker(), RefundReason::CancelledByWorker)]
    {
        funding(&THREE).reported(locked(0, 1_000)).reported(locked(2, 3_000)).when(by, UserCommand::CancelTask).then(
            &[refund_of_all(reason)],
            &[Effect::CancelHold { hash: hash(0) }, Effect::CancelHold { hash: hash(2) }],
        );
    }
}

#[test]
fn one_tranche_may_be_paid_while_another_goes_back() {
    let given = releasing(&THREE)
        .reported(paid(0, 1))
        .when_reported(failed(1, 1, PayFailure::InvoiceExpired))
        .then(
            &[
                Event::PayoutFailed { tranche: 1, attempt: 1, reason: PayFailure::InvoiceExpired },
                Event::TrancheRefundBegun { tranche: 1 },
            ],
            &[Effect::CancelHold { hash: hash(1) }],
        )
        .reported(returned(1))
        .reported(claimed(0, 1_000));
    assert_eq!(given.phase_name(), "releasing");
    let given = given.reported(paid(2, 1));
    given
        .when_reported(claimed(2, 3_000))
        .then_events(&[Event::HoldClaimed { tranche: 2, amount: hold_of(3_000) }, Event::TaskSettled]);
}

#[test]
fn the_last_tranche_to_end_may_be_the_one_that_goes_back() {
    releasing(&[1_000, 2_000])
        .reported(failed(1, 1, PayFailure::InvoiceExpired))
        .reported(paid(0, 1))
        .reported(claimed(0, 1_000))
        .when_reported(returned(1))
        .then_events(&[Event::HoldReturned { tranche: 1 }, Event::TaskSettled]);
}

#[test]
fn without_one_payout_the_task_is_refunded() {
    let given = releasing(&[1_000, 2_000])
        .reported(failed(0, 1, PayFailure::TooLate))
        .reported(failed(1, 1, PayFailure::TooLate))
        .reported(returned(0))
        .when_reported(returned(1))
        .then_events(&[Event::HoldReturned { tranche: 1 }, Event::TaskRefunded]);
    assert!(matches!(given.phase(), Phase::Refunded { .. }));
    assert_eq!(given.task().verdict(), Some(Verdict::Refund(RefundReason::PayoutFailed)));
}

#[test]
fn a_hold_lost_while_funding_can_be_locked_again() {
    let given = funding(&THREE)
        .reported(locked(0, 1_000))
        .when_reported(lost(0))
        .then_events(&[Event::HoldLost { tranche: 0 }]);
    assert_eq!(states(&given), [TrancheState::Unfunded; 3]);
    let given = given.reported(locked(0, 1_000));
    assert_eq!(states(&given), [held_state(), TrancheState::Unfunded, TrancheState::Unfunded]);
}

#[test]
fn a_hold_lost_before_the_work_gives_back_the_rest() {
    let given = held(&THREE).when_reported(lost(1)).then(
        &[Event::HoldLost { tranche: 1 }, refund_begun(RefundReason::HoldLost)],
        &[Effect::CancelHold { hash: hash(0) }, Effect::CancelHold { hash: hash(2) }],
    );
    assert_eq!(states(&given), [TrancheState::Returning, TrancheState::Returned, TrancheState::Returning]);
    held(&[1_000]).when_reported(lost(0)).then_events(&[
        Event::HoldLost { tranche: 0 },
        refund_begun(RefundReason::HoldLost),
        Event::TaskRefunded,
    ]);
}

/// A requester who has one hold lost on purpose does not get the others back for it.
#[test]
fn a_hold_lost_after_the_work_was_handed_in_leaves_the_rest_to_be_decided() {
    let given = submitted(&THREE).when_reported(lost(1)).then_events(&[Event::HoldLost { tranche: 1 }]);
    assert_eq!(states(&given), [held_state(), TrancheState::Returned, held_state()]);
    let approved = given.clone().done(requester(), approve());
    assert!(approved.facts.contains(&Event::ReleaseBegun {
        milestone: 0,
        tranches: vec![0, 2],
        reason: ReleaseReason::Approved
    }));
    let named = given.when(requester(), approve_some(0, &[1, 2]));
    named.then_rejected(&Rejection::TrancheDecided { tranche: 1 });
    submitted(&[1_000]).when_reported(lost(0)).then_events(&[Event::HoldLost { tranche: 0 }, Event::TaskRefunded]);
}

#[test]
fn a_hold_lost_under_a_payout_leaves_it_uncovered() {
    let given = releasing(&[1_000]).when_reported(lost(0)).then_events(&[Event::HoldLost { tranche: 0 }]);
    assert_eq!(states(&given), [TrancheState::Paying { attempt: 1, covered: false, claim_deadline: claim_deadline() }]);
    // It arrives all the same: the platform's loss, and nothing to claim.
    let arrived = given
        .when_reported(paid(0, 1))
        .then_events(&[Event::PayoutPaid { tranche: 0, fee: ROUTING_FEE }, Event::TaskSettled]);
    assert_eq!(states(&arrived), [TrancheState::Uncovered { fee: ROUTING_FEE }]);
    // It fails: it is not tried again without cover, and there is nothing to give back.
    let over = given.when_reported(failed(0, 1, PayFailure::NoRoute)).then_events(&[
        Event::PayoutFailed { tranche: 0, attempt: 1, reason: PayFailure::NoRoute },
        Event::TrancheRefundBegun { tranche: 0 },
        Event::TaskRefunded,
    ]);
    assert_eq!(states(&over), [TrancheState::Returned]);
}

#[test]
fn a_hold_lost_after_the_payout_is_the_platforms_loss() {
    let given = releasing(&[1_000, 2_000]).reported(paid(0, 1)).reported(lost(0));
    assert_eq!(states(&given)[0], TrancheState::Uncovered { fee: ROUTING_FEE });
    // The claim won after all, as long as the task has not ended.
    let won = given.clone().reported(claimed(0, 1_000));
    assert_eq!(states(&won)[0], TrancheState::Claimed { fee: ROUTING_FEE });
    // Once it has ended, nothing changes.
    given.reported(paid(1, 1)).reported(claimed(1, 2_000)).when_reported(claimed(0, 1_000)).then_already_applied();
}

#[test]
fn a_hold_lost_on_its_way_back_is_back() {
    refunding(&[1_000]).when_reported(lost(0)).then_events(&[Event::HoldLost { tranche: 0 }, Event::TaskRefunded]);
}

#[test]
fn attempts_of_one_tranche_are_not_those_of_another() {
    let given = releasing(&[1_000, 2_000]).reported(failed(0, 1, PayFailure::NoRoute));
    // The end of an earlier attempt, or of another tranche's, told under this hash.
    given.when_reported(failed(0, 1, PayFailure::Refused)).then_already_applied();
    let confused = NodeCommand::RecordPayoutFailed { hash: hash(0), id: pay_id(1, 2), reason: PayFailure::Other };
    given.when_reported(confused).then_already_applied();
    assert_eq!(states(&given)[0], TrancheState::Paying { attempt: 2, covered: true, claim_deadline: claim_deadline() });
}
