//! Payouts: once per id, and failed only when they are.

use tallystick_app::port::operator::{Direction, NodeOperator, PaymentStatus};
use tallystick_app::port::rail::{HoldRail, HoldRequest, InvoiceReader, PayFailure, PayState, RailError, RailNotice};
use tallystick_core::{Blocks, Digest32, Duration, PaymentHash};
use tallystick_devnet::wait_until;

use crate::stage::{HOLD_BLOCKS, HOUR, Platform, Stage, fees, msat};

#[tokio::test(flavor = "multi_thread")]
async fn a_payee_that_is_away_is_paid_under_a_new_id_when_it_is_back() {
    let stage = Stage::new().await;
    let held = stage.locked(msat(30_000_000), msat(30_500_000)).await;
    let node = &stage.platform.node;
    stage.party("payee").go_offline().await;
    wait_until("the payee to be gone", async || Ok(node.info().usable_channels == 1)).await.unwrap();
    let away = PayState::Failed { reason: PayFailure::NoRoute };
    wait_until("the payout to fail", async || Ok(node.pay(stage.payout(1, &held.bolt11)).await? == away))
        .await
        .unwrap();
    assert_eq!(node.holds().await.unwrap().len(), 1, "still held");

    stage.party("payee").come_back().await.unwrap();
    stage.until_usable("payee").await;
    assert_eq!(node.pay(stage.payout(1, &held.bolt11)).await.unwrap(), away, "for good");
    assert_eq!(node.pay(stage.payout(2, &held.bolt11)).await.unwrap(), PayState::InFlight);
    stage.recorder().until_claimed(held.hash).await;
    assert_eq!(held.payment.await.unwrap().unwrap().status, PaymentStatus::Succeeded);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_many_times_is_one_payment() {
    let mut stage = Stage::new().await;
    let before = stage.party("payee").balances().await.unwrap().channels.get();
    let held = stage.locked(msat(30_000_000), msat(30_500_000)).await;
    let request = stage.payout(1, &held.bolt11);
    let calls: Vec<_> = (0..8)
        .map(|_| {
            let (node, request) = (stage.platform.node.clone(), request.clone());
            tokio::spawn(async move { node.pay(request).await })
        })
        .collect();
    for call in calls {
        let state = call.await.unwrap().unwrap();
        assert!(matches!(state, PayState::InFlight | PayState::Paid { .. }), "{state:?}");
    }
    stage.recorder().until_claimed(held.hash).await;
    stage.until_at_rest().await;
    assert_eq!(stage.party("payee").balances().await.unwrap().channels.get(), before + 30_000_000);

    stage.platform.stop().await;
    stage.platform.start_again().await;
    assert_eq!(stage.platform.node.pay(request.clone()).await.unwrap(), PayState::Paid { fee: msat(0) });
    // The same id for something else is a mistake, not a payment.
    let (other, _) = stage.worker_invoice(msat(1_000)).await;
    let confused = stage.platform.node.pay(stage.payout(1, &other)).await;
    assert!(matches!(confused, Err(RailError::Refused(_))), "{confused:?}");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_not_given_back_while_its_payout_is_under_way() {
    let stage = Stage::with(&["payer"]).await;
    let node = &stage.platform.node;
    // A payee that holds in its turn, on a hash that it does not know either: the payout stays under way.
    let payee = Platform::start(&stage.net).await;
    stage.net.fund(&payee.node).await.unwrap();
    stage.open_channel_of(&payee).await;
    let hash = PaymentHash([7; 32]);
    payee.recorder.expect(hash);
    let request = HoldRequest {
        hash,
        amount: msat(30_000_000),
        description: String::new(),
        expiry: HOUR,
        final_cltv_delta: Blocks(60),
    };
    let bolt11 = payee.node.hold_invoice(request).await.unwrap();
    let invoice = stage.hold_invoice(hash, msat(30_500_000), HOLD_BLOCKS).await;
    let payment = stage.pay(&invoice).await;
    stage.recorder().until_locked(hash).await;
    let payout = stage.payout(1, &bolt11);
    node.pay(payout.clone()).await.unwrap();
    payee.recorder.until_locked(hash).await;

    let answer = node.cancel_hold(hash).await;
    assert!(matches!(answer, Err(RailError::Unavailable(_))), "{answer:?}");
    assert_eq!(node.pay(payout.clone()).await.unwrap(), PayState::InFlight);
    payee.node.cancel_hold(hash).await.unwrap();
    let refused = RailNotice::PayoutFailed { id: payout.id, hash, reason: PayFailure::Refused };
    stage.recorder().until("the payout to fail", |notice| *notice == refused).await;
    assert_eq!(node.pay(payout).await.unwrap(), PayState::Failed { reason: PayFailure::Refused });
    node.cancel_hold(hash).await.unwrap();
    assert_eq!(payment.await.unwrap().unwrap().status, PaymentStatus::Failed);
    payee.stop().await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_under_way_is_not_tried_again_when_it_is_late() {
    let mut stage = Stage::with(&["payer"]).await;
    let payee = Platform::start(&stage.net).await;
    stage.net.fund(&payee.node).await.unwrap();
    stage.open_channel_of(&payee).await;
    let hash = PaymentHash([8; 32]);
    payee.recorder.expect(hash);
    let amount = msat(30_000_000);
    let request = HoldRequest { hash, amount, description: String::new(), expiry: HOUR, final_cltv_delta: Blocks(60) };
    let bolt11 = payee.node.hold_invoice(request).await.unwrap();
    let invoice = stage.hold_invoice(hash, msat(30_500_000), HOLD_BLOCKS).await;
    let payment = stage.pay(&invoice).await;
    stage.recorder().until_locked(hash).await;
    let mut payout = stage.payout(1, &bolt11);
    payout.begin_by = stage.platform.node.height();
    stage.platform.node.pay(payout.clone()).await.unwrap();
    payee.recorder.until_locked(hash).await;
    stage.mine(2).await;
    // Late, but under way: it has not failed as long as its HTLC is out, not even after a restart.
    assert_eq!(stage.platform.node.pay(payout.clone()).await.unwrap(), PayState::InFlight);
    stage.platform.stop().await;
    stage.platform.start_again().await;
    assert_eq!(stage.platform.node.pay(payout.clone()).await.unwrap(), PayState::InFlight);
    payee.node.cancel_hold(hash).await.unwrap();
    let failed = |notice: &RailNotice| matches!(notice, RailNotice::PayoutFailed { id, .. } if *id == payout.id);
    stage.recorder().until("the payout to fail", failed).await;
    let state = stage.platform.node.pay(payout).await.unwrap();
    assert!(matches!(state, PayState::Failed { .. }), "{state:?}");
    stage.platform.node.cancel_hold(hash).await.unwrap();
    assert_eq!(payment.await.unwrap().unwrap().status, PaymentStatus::Failed);
    payee.stop().await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_pays_and_is_paid() {
    let stage = Stage::new().await;
    let node = &stage.platform.node;
    let invoice = stage.party("payee").invoice(msat(5_000_001), HOUR).await.unwrap();
    let pay = || node.pay_invoice(&invoice, fees(), Duration::from_secs(30));
    let (paid, as_well) = tokio::join!(pay(), pay());
    let paid = paid.unwrap();
    assert_eq!(as_well.unwrap(), paid, "asked twice at once");
    assert_eq!((paid.status, paid.fee, paid.amount), (PaymentStatus::Succeeded, Some(msat(0)), msat(5_000_001)));
    // Who lost the answer asks again: the money went once.
    let spent = node.balances().await.unwrap().channels;
    assert_eq!(pay().await.unwrap(), paid);
    assert_eq!(node.balances().await.unwrap().channels, spent);
    let own = node.invoice(msat(7_000_003), "a service", HOUR).await.unwrap();
    let facts = node.read(&own).unwrap();
    assert!(facts.same_network && facts.payee_is_self);
    assert_eq!(facts.amount, Some(msat(7_000_003)));
    let payment = stage.party("payer").pay(&own, fees(), HOUR).await.unwrap();
    assert_eq!(payment.status, PaymentStatus::Succeeded);
    wait_until("both payments to be listed", async || {
        let listed = node.payments(10).await?;
        let done = |direction| {
            listed.iter().any(|payment| payment.direction == direction && payment.status == PaymentStatus::Succeeded)
        };
        Ok(listed.len() == 2 && done(Direction::Inbound) && done(Direction::Outbound))
    })
    .await
    .unwrap();
    // The operator's own business is no product's.
    assert!(stage.recorder().about(&facts.hash).is_empty());
    assert_eq!(node.payments(1).await.unwrap().len(), 1);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invoices_that_cannot_be_paid_are_refused_and_leave_nothing() {
    let stage = Stage::new().await;
    let node = &stage.platform.node;
    let good = stage.party("payee").invoice(msat(1_000), HOUR).await.unwrap();
    for bad in ["", "lnbcrt1", "bitcoin", &good[..good.len() - 1], &"x".repeat(100_000)] {
        let answer = node.pay(stage.payout(1, bad)).await;
        assert!(matches!(answer, Err(RailError::Refused(_))), "{answer:?}");
        assert!(node.read(bad).is_err());
    }
    let expired = stage.party("payee").invoice(msat(1_000), Duration::from_secs(0)).await.unwrap();
    let facts = node.read(&expired).unwrap();
    stage.hold(facts.hash).await;
    wait_until("the invoice to expire", async || {
        let state = node.pay(stage.payout(2, &expired)).await?;
        Ok(state == PayState::Failed { reason: PayFailure::InvoiceExpired })
    })
    .await
    .unwrap();
    assert_eq!(facts.amount, Some(msat(1_000)));
    // More than all channels hold.
    let large = stage.party("payee").invoice(msat(5_000_000_000), HOUR).await.unwrap();
    stage.hold(node.read(&large).unwrap().hash).await;
    let no_route = PayState::Failed { reason: PayFailure::NoRoute };
    wait_until("the payout to fail", async || Ok(node.pay(stage.payout(3, &large)).await? == no_route)).await.unwrap();
    let paid = |notice: &RailNotice| matches!(notice, RailNotice::PayoutPaid { .. });
    assert!(!stage.recorder().heard().iter().any(paid));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_paid_out_that_no_hold_covers() {
    let stage = Stage::new().await;
    let node = &stage.platform.node;
    let before = stage.party("payee").balances().await.unwrap().channels;
    let late = PayState::Failed { reason: PayFailure::TooLate };
    // Never held, given back, and held for fewer blocks than the route may take.
    let (bolt11, _) = stage.worker_invoice(msat(1_000_000)).await;
    assert_eq!(node.pay(stage.payout(1, &bolt11)).await.unwrap(), late);
    let held = stage.locked(msat(1_000_000), msat(1_100_000)).await;
    node.cancel_hold(held.hash).await.unwrap();
    assert_eq!(node.pay(stage.payout(2, &held.bolt11)).await.unwrap(), late);
    let held = stage.locked(msat(1_000_000), msat(1_100_000)).await;
    let mut request = stage.payout(3, &held.bolt11);
    request.cltv_limit = Blocks(node.height().until(held.deadline).0);
    assert_eq!(node.pay(request.clone()).await.unwrap(), late);
    // Neither was anything begun: a payout that the hold covers is made.
    (request.id, request.cltv_limit) = (Digest32([4; 32]), Blocks(request.cltv_limit.0 - 1));
    node.pay(request.clone()).await.unwrap();
    stage.recorder().until_claimed(held.hash).await;
    stage.until_at_rest().await;
    let earned = stage.party("payee").balances().await.unwrap().channels.get() - before.get();
    assert_eq!(earned, 1_000_000);
    stage.stop().await;
}
