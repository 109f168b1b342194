//! Terms that are refused, and the table of all codes.

use std::collections::BTreeSet;
use tallystick_core::{AmountError, Blocks, Coded, Digest32, Duration, Msat, Sat};
use tallystick_escrow::{NodeCommand, Policy, PolicyError, Rejection, Terms, TermsError, UserCommand};
use tallystick_testkit::escrow::*;

#[track_caller]
fn refused(terms: Terms, error: TermsError) {
    Given::nothing().when(requester(), create(terms)).then_rejected(&Rejection::Terms(error));
}

#[test]
fn titles() {
    let titled = |title: &str| Terms { title: title.into(), ..terms(&[1]) };
    for bad in ["", " ", "\t", "two\nlines", "bell\u{7}", "\u{85}", &"x".repeat(201), &"é".repeat(101)] {
        refused(titled(bad), TermsError::Title);
    }
    for good in ["x", &"x".repeat(200), &"é".repeat(100), "木を植える"] {
        assert_eq!(open_with(titled(good)).task().terms.title, good);
    }
}

#[test]
fn tranches_and_payouts() {
    refused(terms(&[]), TermsError::Tranches { count: 0, limit: 8 });
    refused(terms(&[1; 9]), TermsError::Tranches { count: 9, limit: 8 });
    assert_eq!(open(&[1; 8]).task().terms.payouts().count(), 8);
    let (min, max) = (sat(1), sat(5_000_000));
    refused(terms(&[0]), TermsError::Payout { payout: Sat::ZERO, min, max });
    refused(terms(&[1, 5_000_001]), TermsError::Payout { payout: sat(5_000_001), min, max });
    assert_eq!(open(&[1, 5_000_000]).phase_name(), "open");
}

#[test]
fn times() {
    let deadline = |at| due(at, terms(&[1]));
    refused(deadline(NOW), TermsError::DeadlinePast { deadline: NOW, now: NOW });
    assert_eq!(open_with(deadline(NOW.after(Duration::from_millis(1)))).task().hold_blocks, Blocks(14));
    let review = |window| Terms { review_window: window, ..terms(&[1]) };
    let (min, max) = (Duration::from_secs(1), Duration::from_secs(4 * 86_400));
    for window in [Duration::from_millis(999), Duration::from_secs(4 * 86_400 + 1)] {
        refused(review(window), TermsError::ReviewWindow { window, min, max });
    }
    assert_eq!(open_with(review(min)).phase_name(), "open");
}

#[test]
fn an_id_is_taken_once() {
    open(&[1]).when(requester(), create(terms(&[1]))).then_already_applied();
    open(&[1]).when(requester(), create(terms(&[2]))).then_rejected(&Rejection::IdTaken);
    open(&[1]).when(stranger(), create(terms(&[1]))).then_rejected(&Rejection::IdTaken);
}

#[test]
fn other_work_after_the_first_is_refused() {
    let other = UserCommand::SubmitWork { milestone: 0, work_hash: Digest32([0; 32]) };
    submitted(&[1]).when(worker(), submit()).then_already_applied();
    submitted(&[1]).when(worker(), other).then_rejected(&Rejection::WorkAlreadySubmitted);
}

#[test]
fn other_reasons_after_the_first_are_refused() {
    for given in [refunding(&[1]), refunded(&[1])] {
        given.when(requester(), reject()).then_already_applied();
        let other = UserCommand::RejectWork { milestone: 0, reason_hash: Digest32([0; 32]) };
        given.when(requester(), other).then_rejected(&Rejection::WorkAlreadyRejected);
    }
}

#[test]
fn after_the_work_deadline_nothing_begins() {
    let passed = Rejection::DeadlinePassed { deadline: DEADLINE };
    open(&[1]).at(DEADLINE).when(worker(), accept(&[1])).then_rejected(&passed);
    assigned(&[1]).at(DEADLINE).when(requester(), UserCommand::RequestFunding).then_rejected(&passed);
    held(&[1]).at(DEADLINE).when(worker(), submit()).then_rejected(&passed);
}

#[test]
fn an_amount_beyond_all_bitcoin_is_refused_by_every_checked_policy() {
    let policy = Policy { payout_max: Sat::MAX, ..Policy::default() };
    assert!(matches!(policy.check(), Err(PolicyError::Contradiction(_))));
    // Under a policy that nobody checked it is refused where it would overflow.
    let given = Given::nothing()
        .done(
            requester(),
            UserCommand::CreateTask { id: task_id(), terms: terms(&[Sat::MAX.get()]), policy: Box::new(policy) },
        )
        .done(worker(), accept(&[Sat::MAX.get()]));
    given.when(requester(), UserCommand::RequestFunding).then_rejected(&Rejection::Amount(AmountError::TooLarge));
}

/// One of each: what clients branch on.
fn all() -> Vec<(Rejection, &'static str)> {
    let (at, height, blocks, amount) = (NOW, HEIGHT, Blocks(1), Msat::ZERO);
    let state = "open";
    vec![
        (Rejection::NotFound, "escrow.not_found"),
        (Rejection::IdTaken, "escrow.id_taken"),
        (Rejection::Terms(TermsError::Title), "terms.title"),
        (Rejection::Terms(TermsError::Tranches { count: 0, limit: 1 }), "terms.tranches"),
        (Rejection::Terms(TermsError::Payout { payout: sat(1), min: sat(1), max: sat(1) }), "terms.payout"),
        (Rejection::Terms(TermsError::DeadlinePast { deadline: at, now: at }), "terms.deadline_past"),
        (Rejection::Terms(TermsError::DeadlineOrder { milestone: 1, deadline: at }), "terms.deadline_order"),
        (
            Rejection::Terms(TermsError::ReviewWindow { window: REVIEW, min: REVIEW, max: REVIEW }),
            "terms.review_window",
        ),
        (Rejection::HoldTooShort { blocks, needed: blocks }, "escrow.hold_too_short"),
        (Rejection::HoldTooLong { blocks, delta: blocks, limit: blocks }, "escrow.hold_too_long"),
        (Rejection::NotRequester, "escrow.not_requester"),
        (Rejection::NotWorker, "escrow.not_worker"),
        (Rejection::NotParty, "escrow.not_party"),
        (Rejection::OwnTask, "escrow.own_task"),
        (Rejection::AlreadyAssigned, "escrow.already_assigned"),
        (Rejection::NotAssigned { state }, "escrow.not_assigned"),
        (Rejection::NotHeld { state }, "escrow.not_held"),
        (Rejection::NotSubmitted { state }, "escrow.not_submitted"),
        (Rejection::NoMilestone { milestone: 1, count: 1 }, "escrow.no_milestone"),
        (Rejection::NoTranche { tranche: 1, count: 1 }, "escrow.no_tranche"),
        (Rejection::NothingToApprove, "escrow.nothing_to_approve"),
        (Rejection::TrancheDecided { tranche: 1 }, "escrow.tranche_decided"),
        (Rejection::NotRenewable, "escrow.not_renewable"),
        (Rejection::RenewalUnderWay { until: at }, "escrow.renewal_under_way"),
        (Rejection::NotCancellable { state }, "escrow.not_cancellable"),
        (Rejection::Ended { state }, "escrow.ended"),
        (Rejection::WorkAlreadySubmitted, "escrow.work_already_submitted"),
        (Rejection::BondAlreadyOffered, "escrow.bond_already_offered"),
        (Rejection::WorkAlreadyRejected, "escrow.work_already_rejected"),
        (Rejection::DeadlinePassed { deadline: at }, "escrow.deadline_passed"),
        (Rejection::TooFewBlocks { height, last: height }, "escrow.too_few_blocks"),
        (Rejection::InvoiceCount { invoices: 1, tranches: 2 }, "invoice.count"),
        (Rejection::InvoiceNetwork, "invoice.wrong_network"),
        (Rejection::InvoiceAmountless { needed: amount }, "invoice.amountless"),
        (Rejection::InvoiceAmount { amount, needed: amount }, "invoice.wrong_amount"),
        (Rejection::InvoiceExpired { expires_at: at }, "invoice.expired"),
        (Rejection::InvoiceExpiresSoon { expires_at: at, needed: at }, "invoice.expires_soon"),
        (Rejection::InvoiceFinalCltv { delta: blocks, limit: blocks }, "invoice.final_cltv"),
        (Rejection::InvoiceToSelf, "invoice.to_self"),
        (Rejection::HashReused, "invoice.hash_reused"),
        (Rejection::HoldUnwanted { state }, "escrow.hold_unwanted"),
        (
            Rejection::HoldUnfit { amount, needed: amount, claim_deadline: height, deadline_min: height },
            "escrow.hold_unfit",
        ),
        (Rejection::ClaimBeforePayout, "escrow.claim_before_payout"),
        (Rejection::UnknownHash, "escrow.unknown_hash"),
        (Rejection::Amount(AmountError::TooLarge), "amount.too_large"),
    ]
}

#[test]
fn codes_are_part_of_the_public_interface() {
    let mut codes = BTreeSet::new();
    for (rejection, code) in all() {
        assert_eq!(rejection.code().0, code);
        assert!(codes.insert(code), "{code} is used twice");
        let sentence = rejection.to_string();
        assert!(sentence.len() > 10 && !sentence.ends_with('.'), "{sentence}");
    }
    assert_eq!(codes.len(), 45);
}

#[test]
fn a_wake_up_of_nothing_is_refused() {
    Given::nothing().when_reported(NodeCommand::Wake).then_rejected(&Rejection::NotFound);
}
