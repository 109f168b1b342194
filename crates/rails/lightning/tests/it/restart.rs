//! Stopped and started again.

use tallystick_app::port::operator::{NodeOperator, PaymentStatus};
use tallystick_app::port::rail::{HoldRail, PayState, RailNotice};
use tallystick_core::{Coded, Digest32};
use tallystick_devnet::wait_until;
use tallystick_lightning::{LightningError, LightningNode};

use crate::stage::{PASSPHRASE, Stage, msat};

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_survives_a_restart_and_a_hundred_blocks() {
    let mut stage = Stage::new().await;
    let total = stage.channel_money().await;
    let held = stage.locked(msat(40_000_000), msat(40_400_000)).await;
    let (id, key) = (stage.platform.node.node_id(), stage.platform.node.node_key().public());
    stage.platform.stop().await;
    stage.net.mine(100).await.unwrap();
    stage.platform.start_again().await;
    assert_eq!(stage.platform.node.node_id(), id);
    assert_eq!(stage.platform.node.node_key().public(), key);
    assert_eq!(stage.platform.node.holds().await.unwrap(), [(held.hash, msat(40_400_000))]);
    for name in ["payer", "payee"] {
        stage.until_usable(name).await;
    }
    stage.platform.node.pay(stage.payout(1, &held.bolt11)).await.unwrap();
    stage.recorder().until_claimed(held.hash).await;
    assert_eq!(held.payment.await.unwrap().unwrap().status, PaymentStatus::Succeeded);
    stage.until_at_rest().await;
    assert_eq!(stage.channel_money().await, total);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_arrived_while_the_listener_was_away_is_told_after_a_restart() {
    let mut stage = Stage::new().await;
    let held = stage.locked(msat(40_000_000), msat(40_400_000)).await;
    stage.recorder().deafen(true);
    stage.platform.node.pay(stage.payout(1, &held.bolt11)).await.unwrap();
    assert_eq!(held.payment.await.unwrap().unwrap().status, PaymentStatus::Succeeded);
    stage.platform.stop().await;
    stage.recorder().deafen(false);
    stage.platform.start_again().await;
    assert_eq!(stage.recorder().until_paid(Digest32([1; 32])).await, msat(0));
    stage.recorder().until_claimed(held.hash).await;
    let claimed = RailNotice::HoldClaimed { hash: held.hash, amount: msat(40_400_000) };
    assert_eq!(stage.recorder().about(&held.hash).last(), Some(&claimed));
    let again = stage.platform.node.pay(stage.payout(1, &held.bolt11)).await.unwrap();
    assert_eq!(again, PayState::Paid { fee: msat(0) });
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_preimage_is_left_on_the_disk_and_none_can_be_seen() {
    let stage = Stage::new().await;
    let held = stage.locked(msat(40_000_000), msat(40_400_000)).await;
    stage.platform.node.pay(stage.payout(1, &held.bolt11)).await.unwrap();
    assert_eq!(held.payment.await.unwrap().unwrap().status, PaymentStatus::Succeeded);
    stage.recorder().until_claimed(held.hash).await;
    let learned = stage.party("payer").revealed_preimages().await.unwrap();
    let [preimage] = learned.as_slice() else { panic!("the payer paid once, not {} times", learned.len()) };
    let digest = bitcoin::hashes::Hash::to_byte_array(<bitcoin::hashes::sha256::Hash as bitcoin::hashes::Hash>::hash(
        preimage.as_slice(),
    ));
    assert_eq!(digest, held.hash.0, "it is the proof of payment");
    // Neither in the clear: channel manager and monitors know it, for the chain; they are sealed.
    let needles = [preimage.to_vec(), hex::encode(preimage.as_slice()).into_bytes()];
    let mut searched = 0;
    for file in std::fs::read_dir(stage.platform.dir()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        searched += bytes.len();
        let found = needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == needle));
        assert!(!found, "the preimage is in the clear in {}", path.display());
    }
    assert!(searched > 50_000, "only {searched} bytes searched");
    // The platform's own copy is gone once the hold is claimed.
    let node = &stage.platform.node;
    let left = tallystick_lightning::payment_proofs(&stage.platform.dir(), PASSPHRASE).unwrap();
    assert!(left.is_empty(), "{left:?}");
    let seen = format!("{:?} {:?} {:?}", node.payments(10).await, node, stage.recorder().heard());
    assert!(!seen.contains(&hex::encode(preimage.as_slice())));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_directory_has_one_node_and_one_passphrase() {
    let stage = Stage::with(&[]).await;
    let start = async |passphrase: &str| {
        LightningNode::start(stage.platform.config(), passphrase, stage.platform.recorder.clone()).await
    };
    let second = start(PASSPHRASE).await.unwrap_err();
    assert!(matches!(second, LightningError::Locked), "{second}");
    let wrong = start("guess").await.unwrap_err();
    assert!(matches!(wrong, LightningError::WrongPassphrase), "{wrong}");
    assert_eq!(wrong.code().0, "lightning.wrong_passphrase");
    stage.platform.stop().await;
    start(PASSPHRASE).await.unwrap().shutdown().await;
    stage.net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_node_says_so() {
    let stage = Stage::new().await;
    let held = stage.locked(msat(40_000_000), msat(40_400_000)).await;
    stage.platform.stop().await;
    let node = &stage.platform.node;
    assert_eq!(node.cancel_hold(held.hash).await.unwrap_err().code().0, "lightning.unavailable");
    assert_eq!(node.pay(stage.payout(1, &held.bolt11)).await.unwrap_err().code().0, "lightning.unavailable");
    node.shutdown().await;
    stage.net.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_database_fails_stops_and_nothing_leaves_it() {
    let mut stage = Stage::new().await;
    let held = stage.locked(msat(40_000_000), msat(40_400_000)).await;
    let before = stage.party("payee").balances().await.unwrap().channels;
    let saboteur = rusqlite::Connection::open(stage.platform.dir().join("lightning.sqlite")).unwrap();
    let sabotage = "CREATE TRIGGER broken BEFORE INSERT ON payments BEGIN SELECT RAISE(ABORT, 'broken'); END";
    saboteur.execute_batch(sabotage).unwrap();
    let answer = stage.platform.node.pay(stage.payout(1, &held.bolt11)).await;
    assert_eq!(answer.unwrap_err().code().0, "lightning.unavailable");
    stage.platform.node.failed().await;
    wait_until("the node to leave its peers", async || Ok(stage.platform.node.info().peers == 0)).await.unwrap();
    assert_eq!(stage.party("payee").balances().await.unwrap().channels, before, "the payout never left");
    saboteur.execute_batch("DROP TRIGGER broken").unwrap();
    drop(saboteur);

    stage.platform.stop().await;
    stage.platform.start_again().await;
    for name in ["payer", "payee"] {
        stage.until_usable(name).await;
    }
    assert_eq!(stage.platform.node.holds().await.unwrap(), [(held.hash, msat(40_400_000))]);
    stage.platform.node.pay(stage.payout(1, &held.bolt11)).await.unwrap();
    stage.recorder().until_claimed(held.hash).await;
    assert_eq!(held.payment.await.unwrap().unwrap().status, PaymentStatus::Succeeded);
    stage.stop().await;
}
