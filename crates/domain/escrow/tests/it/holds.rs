//! What payers do with hold invoices: too little, too short, too late, twice. And notices that come again.

use tallystick_core::{BlockHeight, Blocks, Msat};
use tallystick_escrow::{NodeCommand, PayFailure, Rejection, UserCommand};
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
fn a_payout_that_was_never_begun_is_refused() {
    for given in [held(&[20_000]), submitted(&[20_000]), refunding(&[20_000]), refunded(&[20_000])] {
        given.when_reported(paid(0, 1)).then_rejected(&Rejection::NoPayout);
        given.when_reported(failed(0, 1, PayFailure::NoRoute)).then_already_applied();
    }
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
