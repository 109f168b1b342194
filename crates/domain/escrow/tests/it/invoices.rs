//! The worker's invoices: each way in which one may be wrong, and the edge beside it that is right.

use tallystick_core::{Blocks, Duration, Timestamp};
use tallystick_escrow::{InvoiceFacts, Policy, Rejection, TaskView, UserCommand};
use tallystick_testkit::escrow::*;

const PAYOUT: u64 = 20_000;

fn accept_with(change: impl FnOnce(&mut InvoiceFacts)) -> UserCommand {
    let (text, mut facts) = invoice(0, PAYOUT);
    change(&mut facts);
    UserCommand::AcceptTask { invoices: vec![(text, facts)] }
}

#[track_caller]
fn refused(change: impl FnOnce(&mut InvoiceFacts), rejection: &Rejection) {
    open(&[PAYOUT]).when(worker(), accept_with(change)).then_rejected(rejection);
}

#[track_caller]
fn taken(change: impl FnOnce(&mut InvoiceFacts)) {
    assert_eq!(open(&[PAYOUT]).done(worker(), accept_with(change)).phase_name(), "assigned");
}

#[test]
fn another_network_is_refused() {
    refused(|facts| facts.same_network = false, &Rejection::InvoiceNetwork);
}

#[test]
fn the_amount_must_be_the_payout_to_the_msat() {
    let needed = sat(PAYOUT).to_msat();
    refused(|facts| facts.amount = None, &Rejection::InvoiceAmountless { needed });
    for wrong in [0, 1, needed.get() - 1, needed.get() + 1, hold_of(PAYOUT).get()] {
        let amount = msat(wrong);
        refused(|facts| facts.amount = Some(amount), &Rejection::InvoiceAmount { amount, needed });
    }
}

#[test]
fn it_must_be_payable_for_as_long_as_the_task_may_take() {
    // An hour to fund it, and 186 blocks that come a quarter slower than on average: longer than work and review.
    let needed = NOW.after(Duration::from_secs(3_600 + 186 * 750));
    assert!(needed > DEADLINE.after(REVIEW).after(Duration::from_secs(3_600)));
    for expires_at in [NOW, Timestamp::from_millis(NOW.as_millis() - 1), Timestamp::from_secs(0)] {
        refused(|facts| facts.expires_at = expires_at, &Rejection::InvoiceExpired { expires_at });
    }
    for expires_at in [Timestamp::from_millis(NOW.as_millis() + 1), Timestamp::from_millis(needed.as_millis() - 1)] {
        refused(|facts| facts.expires_at = expires_at, &Rejection::InvoiceExpiresSoon { expires_at, needed });
    }
    taken(|facts| facts.expires_at = needed);
    assert_eq!(TaskView::from(open(&[PAYOUT]).task()).invoice_needed(NOW), needed);
}

#[test]
fn accepted_late_it_must_live_on_as_long() {
    let late = Timestamp::from_millis(DEADLINE.as_millis() - 1);
    let life = Duration::from_secs(3_600 + 186 * 750);
    let given = open(&[PAYOUT]).at(late);
    assert_eq!(TaskView::from(given.task()).invoice_needed(late), late.after(life));
    let shortest = tallystick_escrow::plan::invoice_needed(Some(DEADLINE.after(REVIEW)), Duration::from_secs(1), NOW);
    assert_eq!(shortest, DEADLINE.after(REVIEW).after(Duration::from_secs(3_600)));
}

#[test]
fn the_last_hop_may_not_eat_the_payouts_blocks() {
    let limit = Policy::default().payee_final_cltv_max;
    let delta = limit.plus(Blocks(1));
    refused(|facts| facts.final_cltv_delta = delta, &Rejection::InvoiceFinalCltv { delta, limit });
    taken(|facts| facts.final_cltv_delta = limit);
}

#[test]
fn the_node_does_not_pay_itself() {
    refused(|facts| facts.payee_is_self = true, &Rejection::InvoiceToSelf);
    refused(|facts| facts.hash_was_paid = true, &Rejection::HashReused);
}

#[test]
fn each_tranche_needs_an_invoice_of_its_own() {
    for (payouts, invoices) in [(vec![1, 2], vec![1]), (vec![1, 2], vec![1, 2, 3]), (vec![1], vec![])] {
        open(&payouts)
            .when(worker(), accept(&invoices))
            .then_rejected(&Rejection::InvoiceCount { invoices: invoices.len(), tranches: payouts.len() });
    }
    let same_hash = UserCommand::AcceptTask { invoices: vec![invoice(0, 5), invoice(0, 5)] };
    open(&[5, 5]).when(worker(), same_hash).then_rejected(&Rejection::HashReused);
}

#[test]
fn invoices_are_taken_in_the_order_of_the_tranches() {
    let swapped = UserCommand::AcceptTask { invoices: vec![invoice(0, 2), invoice(1, 1)] };
    open(&[1, 2])
        .when(worker(), swapped)
        .then_rejected(&Rejection::InvoiceAmount { amount: msat(2_000), needed: msat(1_000) });
}
