//! Holds and the chain: blocks pass, deadlines come, the chain is reorganised.

use tallystick_app::port::operator::{NodeOperator, PaymentStatus};
use tallystick_app::port::rail::{HoldRail, PayFailure, PayState, RailNotice};
use tallystick_core::BlockHeight;
use tallystick_devnet::Branch;

use crate::stage::{Stage, msat};

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_nobody_resolves_goes_back_at_its_deadline_and_no_channel_closes() {
    let stage = Stage::new().await;
    let total = stage.channel_money().await;
    let held = stage.locked(msat(70_000_000), msat(71_000_000)).await;
    let node = &stage.platform.node;
    let left = node.height().until(held.deadline).0;
    stage.mine(left - 1).await;
    assert_eq!(node.holds().await.unwrap().len(), 1, "held until the block before the deadline");
    stage.mine(1).await;
    let lost = RailNotice::HoldLost { hash: held.hash };
    stage.recorder().until("the hold to be lost", |notice| *notice == lost).await;
    assert_eq!(held.payment.await.unwrap().unwrap().status, PaymentStatus::Failed);
    assert_eq!(node.holds().await.unwrap(), []);
    stage.mine(50).await;
    assert_eq!(node.channels().await.iter().filter(|channel| channel.usable).count(), 2);
    stage.until_at_rest().await;
    assert_eq!(stage.channel_money().await, total);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_does_not_begin_late() {
    let stage = Stage::new().await;
    let held = stage.locked(msat(70_000_000), msat(71_000_000)).await;
    let node = &stage.platform.node;
    let mut request = stage.payout(1, &held.bolt11);
    request.begin_by = node.height();
    stage.mine(1).await;
    let late = PayState::Failed { reason: PayFailure::TooLate };
    assert_eq!(node.pay(request.clone()).await.unwrap(), late);
    // Failed is for good, under this id.
    request.begin_by = BlockHeight(u32::MAX);
    assert_eq!(node.pay(request).await.unwrap(), late);
    node.cancel_hold(held.hash).await.unwrap();
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_height_is_told() {
    let stage = Stage::with(&[]).await;
    let wanted = RailNotice::Block { height: stage.mine(3).await };
    stage.recorder().until("the new height", |notice| *notice == wanted).await;
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_around_the_funding_changes_nothing() {
    let stage = Stage::new().await;
    let total = stage.channel_money().await;
    let held = stage.locked(msat(70_000_000), msat(71_000_000)).await;
    let node = &stage.platform.node;
    let confirmed = node.balances().await.unwrap().onchain_confirmed;
    // The last channel was funded 6 blocks ago: its funding leaves the chain and comes back in the first new block.
    for (depth, length) in [(3, 4), (7, 8)] {
        stage.net.chain().miner().reorg(depth, length, Branch::KeepTransactions).await.unwrap();
        stage.mine(6).await;
    }
    assert_eq!(node.holds().await.unwrap(), [(held.hash, msat(71_000_000))]);
    assert_eq!(node.balances().await.unwrap().onchain_confirmed, confirmed);
    for name in ["payer", "payee"] {
        stage.until_usable(name).await;
    }
    node.pay(stage.payout(1, &held.bolt11)).await.unwrap();
    stage.recorder().until_claimed(held.hash).await;
    assert_eq!(held.payment.await.unwrap().unwrap().status, PaymentStatus::Succeeded);
    stage.until_at_rest().await;
    assert_eq!(stage.channel_money().await, total);
    stage.stop().await;
}
