//! The chain, when it is not what it should be.

use tallystick_app::port::operator::NodeOperator;
use tallystick_app::port::rail::{HoldRail, HoldRequest, RailError};
use tallystick_core::PaymentHash;
use tallystick_devnet::{Branch, Devnet};

use crate::stage::{HOLD_BLOCKS, HOUR, Platform, Stage, msat};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_wallet_outlives_a_reorganisation_of_the_block_it_was_made_at() {
    let net = Devnet::start().await.unwrap();
    let platform = Platform::start(&net).await;
    net.chain().miner().reorg(2, 3, Branch::KeepTransactions).await.unwrap();
    net.fund(&platform.node).await.unwrap();
    assert!(platform.node.balances().await.unwrap().onchain_confirmed.get() > 0);
    platform.stop().await;
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_begins_while_the_chain_source_is_silent() {
    let mut stage = Stage::new().await;
    let held = stage.locked(msat(40_000_000), msat(40_400_000)).await;
    stage.platform.stop().await;
    // It looks once at the start, and never again.
    stage.platform.change(|config| {
        config.poll_interval = std::time::Duration::from_secs(3_600);
        config.chain_silence_max = std::time::Duration::ZERO;
    });
    stage.platform.start_again().await;
    let node = &stage.platform.node;
    let payout = node.pay(stage.payout(1, &held.bolt11)).await;
    assert!(matches!(payout, Err(RailError::Unavailable(_))), "{payout:?}");
    let request = HoldRequest {
        hash: PaymentHash([9; 32]),
        amount: msat(1_000_000),
        description: String::new(),
        expiry: HOUR,
        final_cltv_delta: HOLD_BLOCKS,
    };
    let invoice = node.hold_invoice(request).await;
    assert!(matches!(invoice, Err(RailError::Unavailable(_))), "{invoice:?}");
    // What gives money back needs no blocks.
    node.cancel_hold(held.hash).await.unwrap();
    stage.stop().await;
}
