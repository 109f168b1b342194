//! What arbitrators are paid: once, out of the platform's money, whatever they ruled, also when the task has ended.

use tallystick_civics::dispute::{Award, UserCommand as Act};
use tallystick_core::{Blocks, Duration, Msat, NostrKey, PaymentHash};
use tallystick_escrow::{
    Command, Effect, Event, InvoiceFacts, NodeCommand, PayFailure, Phase, Rejection, UserCommand, reward_id,
};
use tallystick_testkit::escrow::*;

const PAYOUTS: [u64; 2] = [20_000, 40_000];
/// A fifth of the fees, 200 and 400 sat, for three.
const REWARD: u64 = 40_000;

fn own_hash(n: u8) -> PaymentHash {
    PaymentHash([0xa0 + n; 32])
}

fn collect_with(facts: InvoiceFacts, text: &str) -> UserCommand {
    UserCommand::CollectReward { milestone: 0, invoice: Box::new((text.to_owned(), facts)) }
}

fn facts(n: u8) -> InvoiceFacts {
    let (_, facts) = invoice(0, 0);
    InvoiceFacts { hash: own_hash(n), amount: Some(msat(REWARD)), ..facts }
}

fn collect(n: u8) -> UserCommand {
    collect_with(facts(n), &format!("reward invoice {n}"))
}

fn ruled(award: u64) -> Given {
    let given = held_with(panel_terms(&PAYOUTS)).done(worker(), submit()).done(requester(), reject());
    given.disputed_by(worker()).drawn().voted(&[Award::new(award); 3]).content()
}

fn id(given: &Given, arbitrator: NostrKey, attempt: u32) -> tallystick_core::Digest32 {
    reward_id(given.case(0).dispute.opening.id, arbitrator, attempt)
}

fn reward_paid(given: &Given, n: u8, arbitrator: NostrKey, attempt: u32) -> NodeCommand {
    NodeCommand::RecordPayoutPaid { hash: own_hash(n), id: id(given, arbitrator, attempt), fee: ROUTING_FEE }
}

fn reward_failed(given: &Given, n: u8, arbitrator: NostrKey, attempt: u32, reason: PayFailure) -> NodeCommand {
    NodeCommand::RecordPayoutFailed { hash: own_hash(n), id: id(given, arbitrator, attempt), reason }
}

#[test]
fn everybody_who_voted_is_paid_the_same_whatever_the_ruling_is() {
    for award in [0b00, 0b01, 0b11] {
        let given = ruled(award);
        for (n, who) in (0..).zip(given.bench()) {
            let given = given.clone().done(who, collect(n));
            let Some(Effect::PayReward { hash, bolt11, fee_limit, not_before, .. }) = given.effects.last() else {
                panic!("{:?}", given.effects.last())
            };
            assert_eq!((*hash, bolt11.as_str()), (own_hash(n), format!("reward invoice {n}").as_str()));
            assert_eq!((*fee_limit, *not_before), (msat(REWARD / 10), given.now));
            given.when(who, collect(n)).then_already_applied();
            given.when(who, collect(n + 1)).then_rejected(&Rejection::RewardUnderWay);
        }
    }
}

#[test]
fn nobody_else_is_paid() {
    let given = ruled(0b01);
    for who in [requester(), worker(), stranger(), node()] {
        given.when(who, collect(0)).then_rejected(&Rejection::NotServed);
    }
    let drawn_too = given.case(0).dispute.panel.draw.clone().unwrap().order[3];
    given.when(drawn_too, collect(0)).then_rejected(&Rejection::NotServed);
    let runs = held_with(panel_terms(&PAYOUTS)).disputed_by(worker()).drawn().voted(&[Award::new(1); 3]);
    runs.when(runs.bench()[0], collect(0)).then_rejected(&Rejection::DisputeRuns);
}

#[test]
fn the_invoice_must_be_for_exactly_that_and_on_a_hash_of_its_own() {
    let given = ruled(0b01);
    let who = given.bench()[0];
    let refused = |facts: InvoiceFacts, rejection: Rejection| {
        given.when(who, collect_with(facts, "another")).then_rejected(&rejection);
    };
    let more = Msat::try_new(REWARD + 1).unwrap();
    let needed = msat(REWARD);
    refused(InvoiceFacts { amount: Some(more), ..facts(0) }, Rejection::InvoiceAmount { amount: more, needed });
    refused(InvoiceFacts { amount: None, ..facts(0) }, Rejection::InvoiceAmountless { needed });
    refused(InvoiceFacts { payee_is_self: true, ..facts(0) }, Rejection::InvoiceToSelf);
    refused(InvoiceFacts { hash_was_paid: true, ..facts(0) }, Rejection::HashReused);
    // Paying it would reveal what claims the payer's money, for a fraction of it.
    for tranche in [0, 1] {
        refused(InvoiceFacts { hash: hash(tranche), ..facts(0) }, Rejection::HashReused);
    }
    let soon = given.now.after(Duration::from_secs(3_599));
    let needed = given.now.after(Duration::from_secs(3_600));
    refused(InvoiceFacts { expires_at: soon, ..facts(0) }, Rejection::InvoiceExpiresSoon { expires_at: soon, needed });
    let other = given.bench()[1];
    let given = given.done(other, collect(1));
    given.when(who, collect_with(facts(1), "another")).then_rejected(&Rejection::HashReused);
}

/// The task has long ended: arbitrators are paid all the same, and it does not come to life again.
#[test]
fn a_task_that_ended_still_pays_its_arbitrators() {
    let given = ruled(0b00).reported(returned(0)).reported(returned(1));
    assert!(matches!(given.phase(), Phase::Refunded { .. }));
    let who = given.bench()[0];
    let given = given.done(who, collect(0));
    let paid = reward_paid(&given, 0, who, 1);
    let given = given.reported(paid.clone());
    assert!(matches!(given.phase(), Phase::Refunded { .. }));
    given.when_reported(paid).then_already_applied();
    given.when(who, collect(0)).then_already_applied();
    given.when(who, collect(1)).then_rejected(&Rejection::RewardPaid);
    assert_eq!(given.state.wake(), tallystick_escrow::Wake::default());
}

#[test]
fn a_payment_that_fails_is_tried_again_and_then_waits_for_another_invoice() {
    let given = ruled(0b00);
    let who = given.bench()[0];
    let mut given = given.done(who, collect(0));
    for attempt in 1..20 {
        let failed = reward_failed(&given, 0, who, attempt, PayFailure::NoRoute);
        given = given.reported(failed.clone());
        assert!(
            matches!(given.effects.last(), Some(Effect::PayReward { id: next, .. }) if *next == id(&given, who, attempt + 1))
        );
        // An echo of the attempt before means nothing.
        given.when_reported(failed).then_already_applied();
    }
    let effects = given.effects.len();
    let last = reward_failed(&given, 0, who, 20, PayFailure::NoRoute);
    given = given.reported(last);
    assert_eq!(given.effects.len(), effects, "it is not tried any more");
    given.when(who, collect(0)).then_rejected(&Rejection::HashReused);
    // The next invoice is paid under another id: the two can never both be.
    let given = given.done(who, collect(1));
    assert!(matches!(given.effects.last(), Some(Effect::PayReward { id: next, .. }) if *next == id(&given, who, 21)));
}

/// A payment that was given up, and arrived after all: it counts, and the second invoice is not paid on top of it.
#[test]
fn an_arbitrator_is_not_paid_twice() {
    let given = ruled(0b00);
    let who = given.bench()[0];
    let given = given.done(who, collect(0));
    let expired = reward_failed(&given, 0, who, 1, PayFailure::InvoiceExpired);
    let given = given.reported(expired);
    let late = reward_paid(&given, 0, who, 1);
    let given = given.reported(late);
    given.when(who, collect(1)).then_rejected(&Rejection::RewardPaid);
}

#[test]
fn who_was_outvoted_is_paid_and_who_was_silent_is_not() {
    let given = held_with(panel_terms(&PAYOUTS)).disputed_by(worker()).drawn();
    let bench = given.bench();
    let given = bench[..2].iter().fold(given, |given, who| given.done(*who, act(Act::AcceptSeat)));
    let until = given.state.wake().height.unwrap().after(Blocks(30));
    let given = given.height(until).reported(NodeCommand::Wake);
    let silent = bench[2];
    given.when(silent, collect(0)).then_rejected(&Rejection::NotServed);
}

#[test]
fn no_money_is_taken_on_an_arbitrators_hash() {
    let given = ruled(0b00);
    let who = given.bench()[0];
    let given = given.done(who, collect(0));
    let locked =
        NodeCommand::RecordHoldLocked { hash: own_hash(0), amount: msat(REWARD), claim_deadline: claim_deadline() };
    let answer = given.decide(node(), Command::Node(locked));
    assert!(matches!(answer, Err(Rejection::HoldUnwanted { .. })), "{answer:?}");
    assert!(!given.facts.iter().any(|fact| matches!(fact, Event::HoldSpent { .. })));
}
