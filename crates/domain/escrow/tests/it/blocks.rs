//! The block plan: what fits, and what happens at, before and after the last height for a payout.

use tallystick_core::{Blocks, Duration};
use tallystick_escrow::{
    Effect, Event, NodeCommand, OnSilence, Policy, RefundReason, Rejection, ReleaseReason, Terms, UserCommand, plan,
};
use tallystick_testkit::escrow::*;

fn work_for(span: Duration) -> Terms {
    Terms { work_deadline: NOW.after(span), ..terms(&[20_000]) }
}

#[test]
fn a_hold_that_is_too_long_is_refused_with_the_numbers() {
    // 1,000 blocks at most, less 288 + 48 for the payout, 39 until LDK gives back and 3 on the way: 622.
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    Given::nothing().when(requester(), create(work_for(hours(86)))).then_rejected(&Rejection::HoldTooLong {
        blocks: Blocks(627),
        delta: Blocks(1_005),
        limit: Blocks(1_000),
    });
    let given = open_with(work_for(hours(85)));
    assert_eq!(given.task().hold_blocks, Blocks(620));
    let fits = Terms { hold_blocks: Some(Blocks(622)), ..work_for(hours(1)) };
    assert_eq!(open_with(fits.clone()).task().hold_blocks, Blocks(622));
    let too_long = Terms { hold_blocks: Some(Blocks(623)), ..fits };
    Given::nothing().when(requester(), create(too_long)).then_rejected(&Rejection::HoldTooLong {
        blocks: Blocks(623),
        delta: Blocks(1_001),
        limit: Blocks(1_000),
    });
    let absurd = Terms { hold_blocks: Some(Blocks(u32::MAX)), ..work_for(hours(1)) };
    Given::nothing().when(requester(), create(absurd)).then_rejected(&Rejection::HoldTooLong {
        blocks: Blocks(u32::MAX),
        delta: Blocks(u32::MAX),
        limit: Blocks(1_000),
    });
}

#[test]
fn a_hold_that_is_too_short_is_refused_with_the_numbers() {
    let short = Terms { hold_blocks: Some(Blocks(179)), ..terms(&[20_000]) };
    Given::nothing()
        .when(requester(), create(short))
        .then_rejected(&Rejection::HoldTooShort { blocks: Blocks(179), needed: HOLD_BLOCKS });
}

#[test]
fn a_deadline_beyond_all_time_is_too_long_and_no_overflow() {
    let endless = Terms { work_deadline: tallystick_core::Timestamp::from_millis(u64::MAX), ..terms(&[20_000]) };
    Given::nothing().when(requester(), create(endless)).then_rejected(&Rejection::HoldTooLong {
        blocks: Blocks(u32::MAX),
        delta: Blocks(u32::MAX),
        limit: Blocks(1_000),
    });
}

#[test]
fn a_hold_locked_in_time_leaves_all_planned_blocks() {
    let given = held(&[20_000]);
    assert_eq!(given.height.until(decide_by()), HOLD_BLOCKS);
    assert_eq!(decide_by().until(claim_deadline()), Blocks(336));
    assert_eq!(plan::time_of(Blocks(6)), Duration::from_secs(3_600));
}

#[test]
fn work_can_be_submitted_up_to_the_last_height() {
    for height in [decide_by().before(Blocks(1)), decide_by()] {
        let given = held(&[20_000]).height(height).done(worker(), submit());
        assert_eq!(given.phase_name(), "submitted");
    }
    let late = decide_by().after(Blocks(1));
    held(&[20_000]).height(late).when(worker(), submit()).then_rejected(&Rejection::TooFewBlocks {
        left: Blocks(0),
        height: late,
        decide_by: decide_by(),
    });
}

#[test]
fn work_can_be_approved_up_to_the_last_height() {
    for height in [decide_by().before(Blocks(1)), decide_by()] {
        let given = submitted(&[20_000]).height(height).done(requester(), UserCommand::ApproveWork);
        assert_eq!(given.phase_name(), "releasing");
    }
    let late = decide_by().after(Blocks(1));
    submitted(&[20_000])
        .height(late)
        .when(requester(), UserCommand::ApproveWork)
        .then_rejected(&Rejection::TooFewBlocks { left: Blocks(0), height: late, decide_by: decide_by() });
}

#[test]
fn a_hold_that_nobody_resolves_goes_back_at_the_last_height() {
    held(&[20_000]).height(decide_by().before(Blocks(1))).when_reported(NodeCommand::Wake).then_already_applied();
    for height in [decide_by(), decide_by().after(Blocks(1)), claim_deadline()] {
        held(&[20_000]).height(height).when_reported(NodeCommand::Wake).then(
            &[Event::RefundBegun { reason: RefundReason::BlocksRanOut }],
            &[Effect::CancelHold { hash: hash(0) }],
        );
    }
}

#[test]
fn undecided_work_ends_by_its_terms_at_the_last_height() {
    // Silence that pays does so six blocks earlier, so that there is time to try again.
    let releases_at = decide_by().before(Blocks(6));
    for (on_silence, ends_at) in [(OnSilence::Release, releases_at), (OnSilence::Refund, decide_by())] {
        submitted_with(&[20_000], on_silence)
            .height(ends_at.before(Blocks(1)))
            .when_reported(NodeCommand::Wake)
            .then_already_applied();
    }
    let refund = submitted_with(&[20_000], OnSilence::Refund).height(decide_by());
    refund
        .when_reported(NodeCommand::Wake)
        .then(&[Event::RefundBegun { reason: RefundReason::BlocksRanOut }], &[Effect::CancelHold { hash: hash(0) }]);
    for height in [releases_at, releases_at.after(Blocks(3)), decide_by()] {
        let release = submitted_with(&[20_000], OnSilence::Release).height(height).reported(NodeCommand::Wake);
        assert!(release.facts.contains(&Event::ReleaseBegun { reason: ReleaseReason::Silence }));
    }
}

#[test]
fn after_the_last_height_even_silence_for_the_worker_gives_back() {
    for later in [Duration::from_secs(0), REVIEW] {
        submitted_with(&[20_000], OnSilence::Release)
            .height(decide_by().after(Blocks(1)))
            .later(later)
            .when_reported(NodeCommand::Wake)
            .then(
                &[Event::RefundBegun { reason: RefundReason::BlocksRanOut }],
                &[Effect::CancelHold { hash: hash(0) }],
            );
    }
}

#[test]
fn a_failed_payout_is_tried_again_up_to_the_last_height() {
    use tallystick_escrow::PayFailure::NoRoute;
    let at = releasing(&[20_000]).height(decide_by()).reported(failed(0, 1, NoRoute));
    assert!(matches!(at.facts.last(), Some(Event::PayoutBegun { attempt: 2, .. })));
    assert!(matches!(at.effects.last(), Some(Effect::Pay { begin_by, .. }) if *begin_by == decide_by()));
    let after = releasing(&[20_000]).height(decide_by().after(Blocks(1))).reported(failed(0, 1, NoRoute));
    assert_eq!(after.facts.last(), Some(&Event::TrancheRefundBegun { tranche: 0 }));
}

#[test]
fn the_policy_of_the_day_it_was_made_stays_with_a_task() {
    let tight = Policy { final_cltv_max: Blocks(400), ..Policy::default() };
    let command = |policy| UserCommand::CreateTask { id: task_id(), terms: work_for(REVIEW), policy };
    let given = Given::nothing().done(requester(), command(tight.clone()));
    assert_eq!(given.task().policy, tight);
    // The same request under another policy is the same request.
    given.when(requester(), command(Policy::default())).then_already_applied();
    // 6 blocks an hour, two hours, a fifth more.
    assert_eq!(given.task().hold_blocks, Blocks(15));
}
