//! The block plan: what fits, and what happens at, before and after the last height for a payout.

use tallystick_core::{Blocks, Duration};
use tallystick_escrow::{
    Effect, Event, NodeCommand, OnSilence, Policy, RefundReason, Rejection, ReleaseReason, Terms, UserCommand, plan,
};
use tallystick_testkit::escrow::*;

fn work_for(span: Duration) -> Terms {
    due(NOW.after(span), terms(&[20_000]))
}

#[test]
fn a_hold_that_is_too_long_is_refused_with_the_numbers() {
    // 1,000 blocks at most, less 288 + 48 for the payout, 39 until LDK gives back and 3 on the way: 622.
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    Given::nothing().when(requester(), create(work_for(hours(85)))).then_rejected(&Rejection::HoldTooLong {
        blocks: Blocks(626),
        delta: Blocks(1_004),
        limit: Blocks(1_000),
    });
    let given = open_with(work_for(hours(84)));
    assert_eq!(given.task().hold_blocks, Blocks(618));
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
    let short = Terms { hold_blocks: Some(Blocks(185)), ..terms(&[20_000]) };
    Given::nothing()
        .when(requester(), create(short))
        .then_rejected(&Rejection::HoldTooShort { blocks: Blocks(185), needed: HOLD_BLOCKS });
}

#[test]
fn a_deadline_beyond_all_time_is_too_long_and_no_overflow() {
    let endless = due(tallystick_core::Timestamp::from_millis(u64::MAX), terms(&[20_000]));
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

/// A task whose silence means this, with its money locked.
fn held_until(on_silence: OnSilence, review_window: Duration) -> Given {
    let blocks = Some(Blocks(400));
    let terms = Terms { on_silence, review_window, hold_blocks: blocks, ..terms(&[20_000]) };
    let given = funding_with(terms);
    let claim_deadline = HEIGHT.after(Blocks(400)).after(policy().payout_reserve());
    given.reported(NodeCommand::RecordHoldLocked { hash: hash(0), amount: hold_of(20_000), claim_deadline })
}

#[test]
fn where_silence_pays_work_comes_in_time_for_a_whole_review() {
    let last_payout = HEIGHT.after(Blocks(400));
    // The average blocks of a review, rounded up, before the six by which silence leads.
    let reviews = [(1, 1), (600, 1), (601, 2), (3_600, 6), (86_400, 144)];
    for (secs, blocks) in reviews {
        let given = held_until(OnSilence::Release, Duration::from_secs(secs));
        let last = last_payout.before(Blocks(6 + blocks));
        assert_eq!(tallystick_escrow::TaskView::from(given.task()).milestones[0].submit_by, Some(last));
        let late = last.after(Blocks(1));
        let rejection = Rejection::TooFewBlocks { height: late, last };
        given.clone().height(late).when(worker(), submit()).then_rejected(&rejection);
        let submitted = given.height(last).done(worker(), submit());
        // Whatever the blocks do, the requester has as many as the review takes.
        let before = submitted.clone().height(last.after(Blocks(blocks - 1)));
        before.when_reported(NodeCommand::Wake).then_already_applied();
        let released = submitted.height(last.after(Blocks(blocks))).reported(NodeCommand::Wake);
        assert!(released.facts.contains(&release_begun(1, ReleaseReason::Silence)));
    }
}

#[test]
fn where_silence_gives_back_work_can_be_handed_in_up_to_the_last_height() {
    let last = HEIGHT.after(Blocks(400));
    let given = held_until(OnSilence::Refund, REVIEW);
    let submitted = given.clone().height(last).done(worker(), submit());
    assert_eq!(submitted.clone().done(requester(), approve()).phase_name(), "releasing");
    submitted
        .when_reported(NodeCommand::Wake)
        .then(&[refund_begun(RefundReason::BlocksRanOut)], &[Effect::CancelHold { hash: hash(0) }]);
    let late = last.after(Blocks(1));
    given.height(late).when(worker(), submit()).then_rejected(&Rejection::TooFewBlocks { height: late, last });
}

#[test]
fn the_longest_work_leaves_a_whole_review_even_if_blocks_come_a_fifth_faster() {
    // A day of work takes 173 blocks then; the hold has them, an hour's review, and what silence leads by.
    let given = held(&[20_000]).height(HEIGHT.after(Blocks(173))).done(worker(), submit());
    assert_eq!(given.phase_name(), "submitted");
}

#[test]
fn work_can_be_approved_up_to_the_last_height() {
    for height in [decide_by().before(Blocks(1)), decide_by()] {
        let given = submitted(&[20_000]).height(height).done(requester(), approve());
        assert_eq!(given.phase_name(), "releasing");
    }
    let late = decide_by().after(Blocks(1));
    submitted(&[20_000])
        .height(late)
        .when(requester(), approve())
        .then_rejected(&Rejection::TooFewBlocks { height: late, last: decide_by() });
}

#[test]
fn a_hold_that_nobody_resolves_goes_back_at_the_last_height() {
    held(&[20_000]).height(decide_by().before(Blocks(1))).when_reported(NodeCommand::Wake).then_already_applied();
    for height in [decide_by(), decide_by().after(Blocks(1)), claim_deadline()] {
        held(&[20_000])
            .height(height)
            .when_reported(NodeCommand::Wake)
            .then(&[refund_begun(RefundReason::BlocksRanOut)], &[Effect::CancelHold { hash: hash(0) }]);
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
        .then(&[refund_begun(RefundReason::BlocksRanOut)], &[Effect::CancelHold { hash: hash(0) }]);
    for height in [releases_at, releases_at.after(Blocks(3)), decide_by()] {
        let release = submitted_with(&[20_000], OnSilence::Release).height(height).reported(NodeCommand::Wake);
        assert!(release.facts.contains(&release_begun(1, ReleaseReason::Silence)));
    }
}

#[test]
fn after_the_last_height_even_silence_for_the_worker_gives_back() {
    for later in [Duration::from_secs(0), REVIEW] {
        submitted_with(&[20_000], OnSilence::Release)
            .height(decide_by().after(Blocks(1)))
            .later(later)
            .when_reported(NodeCommand::Wake)
            .then(&[refund_begun(RefundReason::BlocksRanOut)], &[Effect::CancelHold { hash: hash(0) }]);
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
    let command = |policy| UserCommand::CreateTask { id: task_id(), terms: work_for(REVIEW), policy: Box::new(policy) };
    let given = Given::nothing().done(requester(), command(tight.clone()));
    assert_eq!(given.task().policy, tight);
    // The same request under another policy is the same request.
    given.when(requester(), command(Policy::default())).then_already_applied();
    // 6 blocks an hour, two hours, a fifth more, and 6.
    assert_eq!(given.task().hold_blocks, Blocks(21));
}
