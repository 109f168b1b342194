//! What payers do with hold invoices: too little, too short, too late, twice. And notices that come again.

use tallystick_core::{BlockHeight, Blocks, Msat};
use tallystick_escrow::{
    Effect, Event, NodeCommand, PayFailure, Phase, RefundReason, Rejection, ReleaseReason, TrancheState, UserCommand,
    Verdict,
};
use tallystick_testkit::escrow::*;

fn lock(amount: Msat, claim_deadline: BlockHeight) -> NodeCommand {
    NodeCommand::RecordHoldLocked { hash: hash(0), amount, claim_deadline }
}

fn unfit(amount: Msat, claim_deadline: BlockHeight, deadline_min: BlockHeight) -> Rejection {
    Rejection::HoldUnfit { amount, needed: hold_of(20_000), claim_deadline, deadline_min }
}

#[test]
fn money_that_does_not_fit_is_not_wanted() {
    let given = funding(&[20_000]);
    let least = claim_deadline();
    let right = hold_of(20_000);
    for wrong in [msat(right.get() - 1), msat(right.get() + 1), Msat::ZERO, msat(20_000_000)] {
        given.when_reported(lock(wrong, least)).then_rejected(&unfit(wrong, least, least));
    }
    let short = least.before(Blocks(1));
    given.when_reported(lock(right, short)).then_rejected(&unfit(right, short, least));
    // What was long enough when the invoice was made is short one block later.
    let later = given.clone().height(HEIGHT.after(Blocks(1)));
    later.when_reported(lock(right, least)).then_rejected(&unfit(right, least, least.after(Blocks(1))));
    assert_eq!(given.reported(lock(right, least.after(Blocks(120)))).phase_name(), "held");
}

#[test]
fn money_that_comes_too_late_is_not_wanted() {
    let over =
        [assigned(&[20_000]), refunding(&[20_000]), refunded(&[20_000]), cancelled(&[20_000]), expired(&[20_000])];
    for given in over {
        let state = given.phase_name();
        given.when_reported(locked(0, 20_000)).then_rejected(&Rejection::HoldUnwanted { state });
    }
    // Paid and claimed: a second payment of the same invoice.
    settled(&[20_000]).when_reported(locked(0, 20_000)).then_rejected(&Rejection::HoldUnwanted { state: "settled" });
    // Paid while its own hold was gone: taking another one now would be a second price.
    releasing(&[20_000, 1])
        .reported(lost(0))
        .when_reported(locked(0, 20_000))
        .then_rejected(&Rejection::HoldUnwanted { state: "releasing" });
}

#[test]
fn a_hold_invoice_that_comes_too_late_is_not_wanted() {
    let late =
        assigned(&[20_000]).done(requester(), UserCommand::RequestFunding).done(requester(), UserCommand::CancelTask);
    late.when_reported(invoice_made(0)).then_rejected(&Rejection::HoldUnwanted { state: "cancelled" });
}

#[test]
fn outcomes_told_again_change_nothing() {
    use NodeCommand as N;
    let notices: [(Given, N); 12] = [
        (funding(&[20_000]), invoice_made(0)),
        (held(&[20_000]), invoice_made(0)),
        (held(&[20_000]), locked(0, 20_000)),
        (submitted(&[20_000]), locked(0, 20_000)),
        (releasing(&[20_000]), locked(0, 20_000)),
        (releasing(&[20_000]).reported(paid(0, 1)), locked(0, 20_000)),
        (releasing(&[20_000]).reported(paid(0, 1)), paid(0, 1)),
        (settled(&[20_000]), paid(0, 1)),
        (settled(&[20_000]), claimed(0, 20_000)),
        (settled(&[20_000]), lost(0)),
        (refunded(&[20_000]), returned(0)),
        (refunded(&[20_000]), lost(0)),
    ];
    for (given, notice) in notices {
        given.when_reported(notice).then_already_applied();
    }
}

#[test]
fn a_claim_heard_before_its_payout_is_to_be_told_again() {
    releasing(&[20_000]).when_reported(claimed(0, 20_000)).then_rejected(&Rejection::ClaimBeforePayout);
}

#[test]
fn a_payout_that_the_journal_knows_nothing_of_is_a_fact() {
    let anywhere =
        [assigned, funding, held, submitted, refunding, refunded, cancelled, expired].map(|stage| stage(&[20_000]));
    for given in anywhere {
        given.when_reported(failed(0, 1, PayFailure::NoRoute)).then_already_applied();
        for (notice, fee) in [(paid(0, 1), Some(ROUTING_FEE)), (claimed(0, 20_000), None), (spent(0), None)] {
            let spent = Event::HoldSpent { tranche: 0, fee };
            let end = given.when_reported(notice).then_events(&[spent, Event::TaskSettled]);
            assert!(matches!(end.phase(), Phase::Settled { .. }));
            assert_eq!(end.task().verdict(), Some(Verdict::Release(ReleaseReason::HoldSpent)));
            let part = &end.phase().job().unwrap().tranches[0];
            assert_eq!(part.state, TrancheState::Spent { fee });
            for again in [paid(0, 1), claimed(0, 20_000), lost(0), returned(0), self::spent(0)] {
                end.when_reported(again).then_already_applied();
            }
        }
    }
}

#[test]
fn what_else_is_held_goes_back_when_one_hold_was_spent() {
    for given in [held(&[1_000, 2_000]), submitted(&[1_000, 2_000])] {
        let given = given
            .when_reported(paid(0, 1))
            .then(&[Event::HoldSpent { tranche: 0, fee: Some(ROUTING_FEE) }], &[Effect::CancelHold { hash: hash(1) }]);
        assert_eq!(given.phase_name(), "refunding");
        let part = given.phase().job().unwrap().tranches[1].verdict;
        assert_eq!(part, Some(Verdict::Refund(RefundReason::HoldSpent)));
        // The other one goes back, or was spent as well.
        let back = given.when_reported(returned(1));
        back.then_events(&[Event::HoldReturned { tranche: 1 }, Event::TaskSettled]);
        let spent_too = given.when_reported(spent(1));
        spent_too.then_events(&[Event::HoldSpent { tranche: 1, fee: None }, Event::TaskSettled]);
    }
    // While others are being paid out, or after they were, they are left alone.
    let paying = releasing(&[1_000, 2_000]).reported(failed(0, 1, PayFailure::TooLate));
    let given = paying.when_reported(spent(0)).then_events(&[Event::HoldSpent { tranche: 0, fee: None }]);
    assert_eq!(given.phase_name(), "releasing");
    let settled = paying.reported(returned(0)).reported(paid(1, 1)).reported(claimed(1, 2_000));
    let given = settled.when_reported(spent(0)).then_events(&[Event::HoldSpent { tranche: 0, fee: None }]);
    assert!(matches!(given.phase(), Phase::Settled { .. }));
}

#[test]
fn funding_is_given_up_when_an_invoice_cannot_be_made() {
    let asked = assigned(&[1_000, 2_000]).done(requester(), UserCommand::RequestFunding).reported(invoice_made(0));
    asked.when_reported(refused(1)).then_events(&[Event::TaskExpired]);
    asked
        .clone()
        .reported(locked(0, 1_000))
        .when_reported(refused(1))
        .then(&[refund_of_all(RefundReason::FundingLapsed)], &[Effect::CancelHold { hash: hash(0) }]);
    // One that was made is there; a task that is not being funded needs none.
    asked.when_reported(refused(0)).then_already_applied();
    asked.done(requester(), UserCommand::CancelTask).when_reported(refused(1)).then_already_applied();
}

#[test]
fn a_foreign_hash_is_refused() {
    for notice in [invoice_made(7), locked(7, 20_000), lost(7), returned(7), claimed(7, 20_000), paid(7, 1)] {
        held(&[20_000]).when_reported(notice.clone()).then_rejected(&Rejection::UnknownHash);
        // Before a worker is there, no hash is known.
        open(&[20_000]).when_reported(notice.clone()).then_rejected(&Rejection::UnknownHash);
        Given::nothing().when_reported(notice).then_rejected(&Rejection::NotFound);
    }
}
