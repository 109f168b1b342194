//! Work that takes longer than a hold: the next one is locked before the one before is let go.

use tallystick_core::{Blocks, Coded, Duration, Timestamp};
use tallystick_escrow::{
    Effect, Event, NodeCommand, OnSilence, Phase, RefundReason, Rejection, ReleaseReason, TaskView, Terms,
    TrancheState, UserCommand, plan,
};
use tallystick_testkit::escrow::*;

const TWO: [u64; 2] = [1_000, 2_000];
const BOTH: [(u8, u64); 2] = [(0, 1_000), (1, 2_000)];
/// Two weeks of work: far longer than any hold.
const LATER: Timestamp = NOW.after(Duration::from_secs(14 * 86_400));

/// Two weeks of work on holds of 200 blocks, renewed; a requester who misses it means this.
fn long(renewal: OnSilence) -> Terms {
    due(LATER, Terms { renewal: Some(renewal), hold_blocks: Some(Blocks(200)), ..terms(&TWO) })
}

fn held_long(renewal: OnSilence) -> Given {
    let given = funding_with(long(renewal));
    BOTH.into_iter().fold(given, |given, (tranche, payout)| locked_now(given, tranche, payout))
}

/// A hold that is long enough when it is locked now.
fn lock(given: &Given, tranche: u8, payout: u64) -> NodeCommand {
    let claim_deadline = given.height.after(given.task().hold_blocks).after(policy().payout_reserve());
    NodeCommand::RecordHoldLocked { hash: hash(tranche), amount: hold_of(payout), claim_deadline }
}

fn locked_now(given: Given, tranche: u8, payout: u64) -> Given {
    let lock = lock(&given, tranche, payout);
    given.reported(lock)
}

fn decide_by(given: &Given) -> tallystick_core::BlockHeight {
    given.task().decide_by(given.phase().job().unwrap(), 0).unwrap()
}

/// Offered so many blocks before the last height, with both invoices made.
fn offered(renewal: OnSilence, before: u32) -> Given {
    let given = held_long(renewal);
    let height = decide_by(&given).before(Blocks(before));
    let given = given.height(height).done(worker(), offer(0, &BOTH));
    given.reported(invoice_made(next(0))).reported(invoice_made(next(1)))
}

#[test]
fn the_next_hold_is_locked_before_the_one_before_is_let_go() {
    let given = offered(OnSilence::Refund, 100);
    let until = |given: &Given| TaskView::from(given.task()).milestones[0].decide_by.unwrap();
    let before = until(&given);
    // Only one of the two: the task's own deadline is still the earlier one.
    let claim_deadline = given.height.after(Blocks(200)).after(policy().payout_reserve());
    let lock = lock(&given, next(0), 1_000);
    let given = given.when_reported(lock).then(
        &[Event::HoldRenewed { tranche: 0, amount: hold_of(1_000), claim_deadline }],
        &[Effect::CancelHold { hash: hash(0) }],
    );
    assert_eq!(until(&given), before);
    let given = locked_now(given, next(1), 2_000);
    assert_eq!(until(&given), before.after(Blocks(100)));
    let given = given.when_reported(returned(0));
    let given = given.then_events(&[Event::ReplacedHoldReturned { tranche: 0, hash: hash(0) }]);
    // What is approved then is paid on the new hashes, and the task ends when the last old hold is back.
    let given = given.done(worker(), submit()).done(requester(), approve());
    let paid_hashes = given.effects.iter().filter_map(|effect| match effect {
        Effect::Pay { hash, .. } => Some(*hash),
        _ => None,
    });
    assert_eq!(paid_hashes.collect::<Vec<_>>(), [hash(next(0)), hash(next(1))]);
    let paid_on = |tranche: u8| NodeCommand::RecordPayoutPaid {
        hash: hash(next(tranche)),
        id: pay_id(tranche, 1),
        fee: ROUTING_FEE,
    };
    let given = BOTH.into_iter().fold(given, |given, (tranche, payout)| {
        given.reported(paid_on(tranche)).reported(claimed(next(tranche), payout))
    });
    assert!(matches!(given.phase(), Phase::Active { .. }), "an old hold is not back yet");
    let given = given.when_reported(returned(1));
    given.then_events(&[Event::ReplacedHoldReturned { tranche: 1, hash: hash(1) }, Event::TaskSettled]);
}

#[test]
fn a_hold_can_be_renewed_as_often_as_the_work_needs() {
    let mut given = held_long(OnSilence::Refund);
    for round in 1..=5u8 {
        let height = decide_by(&given).before(Blocks(80));
        given = given.height(height).later(plan::time_of(Blocks(120)));
        let invoices = BOTH.map(|(tranche, payout)| invoice(tranche + 0x10 * (round + 1), payout));
        given = given.done(worker(), UserCommand::OfferRenewal { milestone: 0, invoices: invoices.to_vec() });
        for (tranche, payout) in BOTH {
            let tranche = tranche + 0x10 * (round + 1);
            given = given.reported(invoice_made(tranche));
            given = locked_now(given, tranche, payout);
        }
        let view = TaskView::from(given.task());
        assert_eq!(view.milestones[0].tranches[0].renewals, u32::from(round));
    }
    assert_eq!(given.phase_name(), "held");
    assert_eq!(given.done(worker(), submit()).phase_name(), "submitted");
}

#[test]
fn a_renewal_that_the_requester_misses_follows_the_terms() {
    let last = |given: &Given| given.clone().height(decide_by(given));
    let refund = last(&offered(OnSilence::Refund, 72));
    assert_eq!(TaskView::from(refund.task()).milestones[0].at_deadline, Some(OnSilence::Refund));
    refund.when_reported(NodeCommand::Wake).then(
        &[refund_begun(RefundReason::RenewalMissed)],
        &[Effect::CancelHold { hash: hash(0) }, Effect::CancelHold { hash: hash(1) }],
    );
    let release = last(&offered(OnSilence::Release, 72));
    assert_eq!(TaskView::from(release.task()).milestones[0].at_deadline, Some(OnSilence::Release));
    release.when_reported(NodeCommand::Wake).then_events_and_payouts(&[0, 1], ReleaseReason::RenewalMissed);
}

/// Else a worker would be paid for nothing: by offering no renewal, or too late for anybody to lock it.
#[test]
fn a_renewal_that_the_worker_misses_gives_back() {
    for given in [held_long(OnSilence::Release), offered(OnSilence::Release, 71)] {
        let view = TaskView::from(given.task());
        assert_eq!(view.milestones[0].at_deadline, Some(OnSilence::Refund));
        let given = given.clone().height(decide_by(&given)).reported(NodeCommand::Wake);
        assert!(given.facts.contains(&refund_begun(RefundReason::BlocksRanOut)));
    }
}

/// Nor does anybody answer for what could not be locked: a renewal whose invoice the node could not make.
#[test]
fn a_renewal_without_an_invoice_gives_back() {
    let given = held_long(OnSilence::Release);
    let given = given.clone().height(decide_by(&given).before(Blocks(100))).done(worker(), offer(0, &BOTH));
    let given = given.reported(invoice_made(next(0)));
    assert_eq!(TaskView::from(given.task()).milestones[0].at_deadline, Some(OnSilence::Refund));
    let given = given.clone().height(decide_by(&given)).reported(NodeCommand::Wake);
    assert!(given.facts.contains(&refund_begun(RefundReason::BlocksRanOut)));
}

/// What was asked for on a hash once is not done again, so that an invoice on a hash that came before would never be made: a
/// worker would be paid for a renewal that nobody could lock.
#[test]
fn no_hash_comes_twice_in_a_tasks_life() {
    let again = |n: u8| UserCommand::OfferRenewal {
        milestone: 0,
        invoices: [0, 1]
            .map(|at| (format!("another invoice {n} {at}"), invoice(n + at, TWO[usize::from(at)]).1))
            .into(),
    };
    let renewed = offered(OnSilence::Release, 100);
    let renewed = locked_now(locked_now(renewed, next(0), 1_000), next(1), 2_000);
    let renewed = renewed.reported(returned(0)).reported(returned(1));
    assert!(renewed.phase().job().unwrap().tranches.iter().all(|part| part.replaced.is_empty()));
    for before in [0, next(0)] {
        renewed.when(worker(), again(before)).then_rejected(&Rejection::HashReused);
    }
    // One whose invoice could not be made, or that was offered in vain, counts as well.
    let given = held_long(OnSilence::Release).done(worker(), offer(0, &BOTH));
    let given = given.reported(refused(next(0))).reported(refused(next(1)));
    given.when(worker(), again(next(0))).then_rejected(&Rejection::HashReused);
    let replaced = held_long(OnSilence::Release).done(worker(), offer(0, &BOTH)).done(worker(), again(0x60));
    replaced.when(worker(), again(next(0))).then_rejected(&Rejection::HashReused);
}

#[test]
fn half_a_renewal_keeps_what_was_renewed_only_as_long_as_all() {
    let given = offered(OnSilence::Refund, 100);
    let given = locked_now(given, next(0), 1_000);
    let given = given.clone().height(decide_by(&given));
    given.when_reported(NodeCommand::Wake).then(
        &[refund_begun(RefundReason::BlocksRanOut)],
        &[Effect::CancelHold { hash: hash(next(0)) }, Effect::CancelHold { hash: hash(1) }],
    );
}

#[test]
fn money_for_a_renewal_that_is_not_wanted_any_more_goes_back() {
    let given = offered(OnSilence::Refund, 100);
    let late = lock(&given, next(0), 1_000);
    let over = given.clone().done(requester(), UserCommand::CancelTask);
    over.when_reported(late.clone()).then_rejected(&Rejection::HoldUnwanted { state: "refunding" });
    let short = NodeCommand::RecordHoldLocked {
        hash: hash(next(0)),
        amount: hold_of(1_000),
        claim_deadline: given.height.after(Blocks(199)).after(policy().payout_reserve()),
    };
    let answer = given.decide(node(), tallystick_escrow::Command::Node(short));
    assert_eq!(answer.unwrap_err().code().0, "escrow.hold_unfit");
    let paying = given.done(worker(), submit()).done(requester(), approve());
    paying.when_reported(late).then_rejected(&Rejection::HoldUnwanted { state: "releasing" });
}

#[test]
fn what_can_be_offered() {
    let given = held_long(OnSilence::Refund);
    let both = || offer(0, &BOTH);
    given.when(stranger(), both()).then_rejected(&Rejection::NotWorker);
    given.when(requester(), both()).then_rejected(&Rejection::NotWorker);
    given.when(worker(), offer(1, &BOTH)).then_rejected(&Rejection::NoMilestone { milestone: 1, count: 1 });
    given.when(worker(), offer(0, &BOTH[..1])).then_rejected(&Rejection::InvoiceCount { invoices: 1, tranches: 2 });
    let used = UserCommand::OfferRenewal { milestone: 0, invoices: invoices(&TWO) };
    given.when(worker(), used).then_rejected(&Rejection::HashReused);
    let twice = vec![invoice(next(0), 1_000), (String::from("another text"), invoice(next(0), 2_000).1)];
    let twice = UserCommand::OfferRenewal { milestone: 0, invoices: twice };
    given.when(worker(), twice).then_rejected(&Rejection::HashReused);
    let last = decide_by(&given);
    let rejection = Rejection::TooFewBlocks { height: last, last };
    given.clone().height(last).when(worker(), both()).then_rejected(&rejection);
    held(&TWO).when(worker(), both()).then_rejected(&Rejection::NotRenewable);
    let early = funding_with(long(OnSilence::Refund));
    early.when(worker(), both()).then_rejected(&Rejection::NotHeld { state: "funding" });
}

#[test]
fn an_offer_stands_until_the_last_height() {
    let given = offered(OnSilence::Release, 100);
    given.when(worker(), offer(0, &BOTH)).then_already_applied();
    let other = UserCommand::OfferRenewal { milestone: 0, invoices: vec![invoice(9, 1_000), invoice(10, 2_000)] };
    let until = NOW.after(plan::slow_time_of(Blocks(100)));
    given.when(worker(), other.clone()).then_rejected(&Rejection::RenewalUnderWay { until });
    // Time went by and no block came: a new one can be offered.
    let _ = given.clone().at(until).done(worker(), other.clone());
    // An invoice that could not be made is offered anew at once.
    let none = held_long(OnSilence::Release).done(worker(), offer(0, &BOTH));
    let _ = none.reported(refused(next(0))).reported(refused(next(1))).done(worker(), other);
}

#[test]
fn a_hold_that_was_spent_beside_the_tranches_own_ends_it() {
    let replaced = offered(OnSilence::Refund, 100);
    let replaced = locked_now(replaced, next(0), 1_000);
    // The one whose place was taken.
    let given = replaced.when_reported(spent(0)).then(
        &[Event::OtherHoldSpent { tranche: 0, hash: hash(0), fee: None }],
        &[Effect::CancelHold { hash: hash(next(0)) }, Effect::CancelHold { hash: hash(1) }],
    );
    assert_eq!(given.phase().job().unwrap().tranches[0].state, TrancheState::Spent { fee: None });
    let given = given.reported(returned(next(0))).when_reported(returned(1));
    given.then_events(&[Event::HoldReturned { tranche: 1 }, Event::TaskSettled]);
    // The one that was to take its place.
    let given = offered(OnSilence::Refund, 100).when_reported(spent(next(1))).then(
        &[Event::OtherHoldSpent { tranche: 1, hash: hash(next(1)), fee: None }],
        &[Effect::CancelHold { hash: hash(0) }, Effect::CancelHold { hash: hash(1) }],
    );
    assert_eq!(given.phase().job().unwrap().tranches[1].replaced, [hash(1)]);
}

#[test]
fn a_hold_to_be_renewed_is_long_enough_to_renew_it() {
    let with = |blocks| due(LATER, Terms { renewal: Some(OnSilence::Refund), hold_blocks: blocks, ..terms(&TWO) });
    let rejection = Rejection::HoldTooShort { blocks: Blocks(143), needed: Blocks(144) };
    Given::nothing().when(requester(), create(with(Some(Blocks(143))))).then_rejected(&rejection);
    assert_eq!(open_with(with(Some(Blocks(144)))).task().hold_blocks, Blocks(144));
    // As long as wallets allow, if nobody says how long.
    assert_eq!(open_with(with(None)).task().hold_blocks, Blocks(622));
    let short = Terms { renewal: Some(OnSilence::Refund), ..terms(&TWO) };
    assert_eq!(open_with(short).task().hold_blocks, HOLD_BLOCKS);
}
