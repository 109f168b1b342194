//! Holds: locked, given back, passed through.

use tallystick_app::port::operator::{NodeOperator, PaymentStatus};
use tallystick_app::port::rail::{ClaimState, HoldRail, PayState, RailError, RailNotice};
use tallystick_core::{Blocks, Digest32, PaymentHash};
use tallystick_devnet::wait_until;

use crate::stage::{HOLD_BLOCKS, HOUR, Stage, fees, msat};

const PAYOUT: u64 = 50_000_000;
const HOLD: u64 = 51_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_given_back_and_can_be_paid_again() {
    let stage = Stage::new().await;
    let node = &stage.platform.node;
    let before = stage.party("payer").balances().await.unwrap();
    let held = stage.locked(msat(PAYOUT), msat(HOLD)).await;
    assert_eq!(node.holds().await.unwrap(), [(held.hash, msat(HOLD))]);
    assert_eq!(node.balances().await.unwrap().held, msat(HOLD));
    let blocks = node.height().until(held.deadline);
    assert!(blocks >= Blocks(HOLD_BLOCKS.0 - 39), "{blocks} are left");
    assert_eq!(node.claim_hold(held.hash).await, Err(RailError::NoPreimage));

    node.cancel_hold(held.hash).await.unwrap();
    node.cancel_hold(held.hash).await.unwrap();
    assert_eq!(held.payment.await.unwrap().unwrap().status, PaymentStatus::Failed);
    assert_eq!(node.holds().await.unwrap(), []);
    stage.until_at_rest().await;
    assert_eq!(stage.party("payer").balances().await.unwrap().channels, before.channels);

    let again = stage.hold_invoice(held.hash, msat(HOLD), HOLD_BLOCKS).await;
    let payment = stage.pay(&again).await;
    wait_until("the second hold", async || Ok(node.holds().await? == [(held.hash, msat(HOLD))])).await.unwrap();
    node.cancel_hold(held.hash).await.unwrap();
    assert_eq!(payment.await.unwrap().unwrap().status, PaymentStatus::Failed);
    assert!(!stage.recorder().about(&held.hash).contains(&RailNotice::HoldLost { hash: held.hash }));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_passes_through_and_its_hash_is_used_once() {
    let stage = Stage::with(&["payer", "payee", "stranger"]).await;
    let node = &stage.platform.node;
    let total = stage.channel_money().await;
    let ours = node.balances().await.unwrap().channels.get();
    let held = stage.locked(msat(PAYOUT), msat(HOLD)).await;

    let request = stage.payout(1, &held.bolt11);
    assert_eq!(node.pay(request.clone()).await.unwrap(), PayState::InFlight);
    let fee = stage.recorder().until_paid(Digest32([1; 32])).await;
    assert_eq!(fee, msat(0), "the payee is a direct peer");
    stage.recorder().until_claimed(held.hash).await;
    let payment = held.payment.await.unwrap().unwrap();
    assert_eq!(payment.status, PaymentStatus::Succeeded);

    stage.until_at_rest().await;
    assert_eq!(node.balances().await.unwrap().channels.get(), ours + HOLD - PAYOUT);
    assert_eq!(stage.channel_money().await, total);
    assert_eq!(node.pay(request).await.unwrap(), PayState::Paid { fee });
    assert_eq!(node.claim_hold(held.hash).await, Ok(ClaimState::Claimed));
    assert_eq!(node.cancel_hold(held.hash).await, Err(RailError::Claimed));
    assert_eq!(node.holds().await.unwrap(), []);
    // Another id on a hash that was paid is not another payment.
    let second = node.pay(stage.payout(2, &held.bolt11)).await;
    assert!(matches!(second, Err(RailError::Refused(_))), "{second:?}");

    // Somebody pays the settled hash again: it goes back, and nobody is told.
    let notices = stage.recorder().about(&held.hash).len();
    let again = stage.hold_invoice(held.hash, msat(HOLD), HOLD_BLOCKS).await;
    let payment = stage.party("stranger").pay(&again, fees(), HOUR).await.unwrap();
    assert_eq!(payment.status, PaymentStatus::Failed);
    assert_eq!(stage.recorder().about(&held.hash).len(), notices);
    stage.until_at_rest().await;
    assert_eq!(stage.channel_money().await, total);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_that_nobody_knows_goes_back() {
    let stage = Stage::new().await;
    let (_, hash) = stage.worker_invoice(msat(PAYOUT)).await;
    let invoice = stage.hold_invoice(hash, msat(HOLD), HOLD_BLOCKS).await;
    stage.recorder().forget(&hash);
    assert_eq!(stage.pay(&invoice).await.await.unwrap().unwrap().status, PaymentStatus::Failed);
    assert_eq!(stage.platform.node.holds().await.unwrap(), []);
    assert_eq!(stage.recorder().about(&hash).len(), 1);
    // Nothing is held on a hash that nobody ever saw: giving it back is no error.
    stage.platform.node.cancel_hold(PaymentHash([9; 32])).await.unwrap();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_are_repeated_until_they_are_heard() {
    let stage = Stage::new().await;
    let node = &stage.platform.node;
    let held = stage.locked(msat(PAYOUT), msat(HOLD)).await;
    stage.recorder().deafen(true);
    node.pay(stage.payout(1, &held.bolt11)).await.unwrap();
    // The payer is settled although the journal is away: the claim needs no listener.
    assert_eq!(held.payment.await.unwrap().unwrap().status, PaymentStatus::Succeeded);
    let paid = RailNotice::PayoutPaid { id: Digest32([1; 32]), hash: held.hash, fee: msat(0) };
    wait_until("a second telling", async || {
        Ok(stage.recorder().refused().iter().filter(|notice| **notice == paid).count() >= 2)
    })
    .await
    .unwrap();
    stage.recorder().deafen(false);
    stage.recorder().until_claimed(held.hash).await;
    let about = stage.recorder().about(&held.hash);
    let claimed = RailNotice::HoldClaimed { hash: held.hash, amount: msat(HOLD) };
    assert_eq!(about[about.len() - 2..], [paid, claimed], "in order, each once");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_holds_pass_through_at_once() {
    // As many as a channel takes.
    const COUNT: u8 = 30;
    let stage = Stage::new().await;
    let total = stage.channel_money().await;
    let mut holds = Vec::new();
    for number in 0..COUNT {
        let payout = 1_000_000 + u64::from(number) * 1_000;
        let (bolt11, hash) = stage.worker_invoice(msat(payout)).await;
        let invoice = stage.hold_invoice(hash, msat(payout + 10_000), HOLD_BLOCKS).await;
        holds.push((number, bolt11, hash, stage.pay(&invoice).await));
    }
    for (_, _, hash, _) in &holds {
        stage.recorder().until_locked(*hash).await;
    }
    for (number, bolt11, _, _) in &holds {
        stage.platform.node.pay(stage.payout(*number, bolt11)).await.unwrap();
    }
    for (_, _, hash, payment) in holds {
        assert_eq!(payment.await.unwrap().unwrap().status, PaymentStatus::Succeeded);
        stage.recorder().until_claimed(hash).await;
    }
    stage.until_at_rest().await;
    assert_eq!(stage.channel_money().await, total);
    stage.stop().await;
}
