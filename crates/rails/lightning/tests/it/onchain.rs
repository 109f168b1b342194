//! What must hold when a payer's node is gone for good: the chain.

use tallystick_app::port::operator::NodeOperator;
use tallystick_app::port::rail::{HoldRail, RailError};
use tallystick_core::Sat;
use tallystick_devnet::{Devnet, PartyError, PartyOptions, wait_until};
use tallystick_lightning::LightningNode;

use crate::stage::{HOLD_BLOCKS, PASSPHRASE, Platform, Stage, msat, plan};

/// Holds of one payer, each on a hash of its own.
const HOLDS: u64 = 3;
const HOLD_SAT: u64 = 101_000;
const PAYOUT_SAT: u64 = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_paid_out_is_claimed_on_the_chain_when_the_payer_is_gone() {
    let stage = Stage::new().await;
    let node = &stage.platform.node;
    let mut held = Vec::new();
    for _ in 0..HOLDS {
        held.push(stage.locked(msat(PAYOUT_SAT * 1_000), msat(HOLD_SAT * 1_000)).await);
    }
    let before = node.balances().await.unwrap();
    stage.party("payer").go_offline().await;
    wait_until("the payer to be gone", async || Ok(node.info().usable_channels == 1)).await.unwrap();
    for (id, held) in (1..).zip(&held) {
        node.pay(stage.payout(id, &held.bolt11)).await.unwrap();
        stage.recorder().until_claimed(held.hash).await;
    }
    let earned = plan().capacity.to_msat().get() - plan().push.get() + HOLDS * PAYOUT_SAT * 1_000;
    let payee = stage.party("payee");
    wait_until("the payee's money", async || Ok(payee.balances().await?.channels.get() == earned)).await.unwrap();
    // The payer's node never hears of it: the channel is closed in time, and everything that is ours is swept.
    let payer = stage.party("payer");
    assert!(matches!(payer.balances().await, Err(PartyError::Offline(_))));
    let ours = 800_000 + HOLDS * HOLD_SAT;
    let start = node.height();
    wait_until("our side and the holds to be swept", async || {
        stage.mine(5).await;
        let now = node.balances().await?;
        Ok(now.onchain_confirmed.get() > before.onchain_confirmed.get() + ours - HOLD_SAT / 2)
    })
    .await
    .unwrap();
    let last = held.iter().map(|held| held.deadline).max().unwrap();
    assert!(start < last, "the deadlines lay ahead");
    assert!(node.channels().await.iter().all(|channel| channel.usable), "the other channel is as it was");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_could_not_enforce_them_takes_no_holds() {
    let mut net = Devnet::start().await.unwrap();
    net.add_party("payer", PartyOptions::default()).await.unwrap();
    // It took its channel as a wallet would, without coins on the chain.
    let mut platform = Platform::start_with(&net, |config| config.accept_without_reserve = true).await;
    let (peer, address) = platform.contact();
    net.open_channel_to("payer", (&peer, &address), plan()).await.unwrap();
    platform.stop().await;
    platform.change(|config| config.accept_without_reserve = false);
    platform.start_again().await;
    let request = || tallystick_app::port::rail::HoldRequest {
        hash: tallystick_core::PaymentHash([3; 32]),
        amount: msat(1_000_000),
        description: String::new(),
        expiry: crate::stage::HOUR,
        final_cltv_delta: HOLD_BLOCKS,
    };
    let answer = platform.node.hold_invoice(request()).await;
    assert!(matches!(answer, Err(RailError::Unavailable(_))), "{answer:?}");
    net.fund(&platform.node).await.unwrap();
    platform.node.hold_invoice(request()).await.unwrap();
    platform.stop().await;
    net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_made_from_its_seed_finds_its_coins() {
    let net = Devnet::start().await.unwrap();
    let platform = Platform::start(&net).await;
    net.fund(&platform.node).await.unwrap();
    net.chain().miner().mine(300).await.unwrap();
    let had = platform.node.balances().await.unwrap().onchain_confirmed;
    assert!(had > Sat::ZERO);
    platform.stop().await;
    let seed = LightningNode::reveal_seed(&platform.dir(), PASSPHRASE).unwrap();
    let dir = tempfile::tempdir().unwrap();
    LightningNode::restore(dir.path(), PASSPHRASE, *seed, 0).unwrap();
    let mut config = platform.config();
    config.data_dir = dir.path().to_owned();
    let node = LightningNode::start(config, PASSPHRASE, platform.recorder.clone()).await.unwrap();
    assert_eq!(node.balances().await.unwrap().onchain_confirmed, had);
    assert_eq!(node.node_id(), platform.node.node_id());
    node.shutdown().await;
    net.stop().await;
}
