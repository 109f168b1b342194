//! Channels: opened, measured to the msat, closed.

use tallystick_app::port::operator::{NodeOperator, OpenChannel};
use tallystick_app::port::rail::RailError;
use tallystick_core::{Id, Msat, Sat};
use tallystick_devnet::{ChannelPlan, Devnet, PartyOptions, wait_until};

use crate::stage::{HOUR, Platform, Stage, fees, msat, plan};

async fn locals(stage: &Stage, party: &str) -> (u64, u64) {
    let ours = stage.platform.node.balances().await.unwrap().channels.get();
    (ours, stage.party(party).balances().await.unwrap().channels.get())
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_of_a_channel_add_up_to_the_msat() {
    let stage = Stage::with(&["payer"]).await;
    let capacity = plan().capacity.to_msat().get();
    assert_eq!(locals(&stage, "payer").await, (800_000_000, capacity - 800_000_000));
    for (number, amount) in [546_001, 999_999, 1_000_001, 123_456_789].into_iter().enumerate() {
        let invoice = stage.platform.node.invoice(msat(amount), "odd sums", HOUR).await.unwrap();
        stage.party("payer").pay(&invoice, fees(), HOUR).await.unwrap();
        let invoice = stage.party("payer").invoice(msat(amount * 2 + number as u64), HOUR).await.unwrap();
        stage.platform.node.pay_invoice(&invoice, fees(), HOUR).await.unwrap();
        stage.until_at_rest().await;
        wait_until("the sum", async || {
            let (ours, theirs) = locals(&stage, "payer").await;
            Ok(ours + theirs == capacity)
        })
        .await
        .unwrap();
    }
    let moved = 546_001 + 999_999 + 1_000_001 + 123_456_789 + 1 + 2 + 3;
    let (ours, _) = locals(&stage, "payer").await;
    assert_eq!(ours, 800_000_000 - moved);
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_side_is_exactly_nothing() {
    let stage = Stage::with(&["payer"]).await;
    let empty = ChannelPlan { push: Msat::ZERO, ..plan() };
    let (peer, address) = stage.platform.contact();
    stage.net.open_channel_to("payer", (&peer, &address), empty).await.unwrap();
    wait_until("a second channel", async || Ok(stage.platform.node.info().usable_channels == 2)).await.unwrap();
    let mut sides: Vec<u64> = stage.platform.node.channels().await.iter().map(|channel| channel.local.get()).collect();
    sides.sort_unstable();
    assert_eq!(sides, [0, 800_000_000]);
    assert_eq!(stage.channel_money().await, 2 * plan().capacity.to_msat().get());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_both_close_pays_into_both_wallets() {
    let stage = Stage::with(&["payer"]).await;
    let node = &stage.platform.node;
    let before = node.balances().await.unwrap().onchain_confirmed.get();
    let channel = node.channels().await.remove(0);
    node.close_channel(&channel.channel_id, false).await.unwrap();
    wait_until("the closing transaction", async || {
        Ok(node.channels().await.is_empty() && !stage.net.chain().rpc().get_raw_mempool().await?.is_empty())
    })
    .await
    .unwrap();
    stage.mine(6).await;
    let after = node.balances().await.unwrap();
    assert_eq!(after.onchain_confirmed.get(), before + 800_000, "the opener pays the fee");
    assert_eq!(after.channels, Msat::ZERO);
    assert!(matches!(node.close_channel(&channel.channel_id, false).await, Err(RailError::Refused(_))));
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_one_closes_comes_back_to_both() {
    let stage = Stage::with(&["payer"]).await;
    let node = &stage.platform.node;
    let before = node.balances().await.unwrap().onchain_confirmed.get();
    let channel = node.channels().await.remove(0);
    node.close_channel(&channel.channel_id, true).await.unwrap();
    // Commitment with its anchor's child, then our side after the delay, then the sweep of it.
    wait_until("our side to be swept", async || {
        stage.mine(20).await;
        let now = node.balances().await?.onchain_confirmed.get();
        Ok(now > before + 790_000)
    })
    .await
    .unwrap();
    let after = node.balances().await.unwrap().onchain_confirmed.get();
    assert!(after < before + 800_000, "closing alone costs fees");
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_no_channel_that_it_could_not_close_in_a_hurry() {
    let mut net = Devnet::start().await.unwrap();
    net.add_party("payer", PartyOptions::default()).await.unwrap();
    let platform = Platform::start(&net).await;
    let (peer, address) = platform.contact();
    let payer = net.party("payer").unwrap();
    let open = async || {
        let plan = plan();
        payer.open_channel((&peer, &address), plan.capacity, plan.push).await.unwrap();
        let node = payer.node().await.unwrap();
        wait_until("an answer", async || {
            let funded = node.channels().await.iter().any(|channel| channel.funding.is_some());
            Ok(funded || node.channels().await.is_empty())
        })
        .await
        .unwrap();
    };
    open().await;
    assert!(payer.node().await.unwrap().channels().await.is_empty());
    assert!(platform.node.channels().await.is_empty());
    net.fund(&platform.node).await.unwrap();
    open().await;
    assert_eq!(platform.node.channels().await.len(), 1);
    platform.stop().await;
    net.stop().await;
}

/// A channel that the payer's node would take.
async fn small_channel(stage: &Stage) -> OpenChannel {
    let (peer, address) = stage.party("payer").address().await.unwrap();
    let capacity = Sat::try_new(100_000).unwrap();
    OpenChannel { peer, address: Some(address), capacity, push: Msat::ZERO, announce: false, key: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn impossible_channels_are_refused() {
    let stage = Stage::with(&["payer"]).await;
    let node = &stage.platform.node;
    let request = small_channel(&stage).await;
    let bad = [
        OpenChannel { peer: "02".to_owned(), ..request.clone() },
        OpenChannel { capacity: Sat::MAX, ..request.clone() },
        OpenChannel { capacity: Sat::try_new(10).unwrap(), ..request.clone() },
        OpenChannel { push: msat(100_000_001), ..request.clone() },
    ];
    for bad in bad {
        let answer = node.open_channel(bad.clone()).await;
        assert!(matches!(answer, Err(RailError::Refused(_))), "{bad:?}: {answer:?}");
    }
    let nobody = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".to_owned();
    let unreachable = OpenChannel { peer: nobody, address: Some("127.0.0.1:1".to_owned()), ..request };
    let answer = node.open_channel(unreachable).await;
    assert!(matches!(answer, Err(RailError::Unavailable(_))), "{answer:?}");
    stage.stop().await;
}

/// Who lost the answer asks again, and does not pay for two channels; not after a restart either.
#[tokio::test(flavor = "multi_thread")]
async fn one_key_opens_one_channel() {
    let mut stage = Stage::with(&["payer"]).await;
    let key = |random| Some(Id::from_parts(1_700_000_000_000, [random; 10]));
    let request = OpenChannel { key: key(1), ..small_channel(&stage).await };
    let node = &stage.platform.node;
    let (one, two) = tokio::join!(node.open_channel(request.clone()), node.open_channel(request.clone()));
    assert_eq!(one.unwrap(), two.unwrap(), "asked twice at once");
    wait_until("the funding", async || Ok(!stage.net.chain().rpc().get_raw_mempool().await?.is_empty())).await.unwrap();
    stage.mine(6).await;
    wait_until("the second channel", async || Ok(stage.platform.node.info().usable_channels == 2)).await.unwrap();
    stage.platform.stop().await;
    stage.platform.start_again().await;
    let node = &stage.platform.node;
    let opened = node.open_channel(request.clone()).await.unwrap();
    let channels = node.channels().await;
    let found: Vec<_> = channels.iter().filter(|channel| channel.channel_id == opened).collect();
    assert_eq!((channels.len(), found.len(), found[0].capacity), (2, 1, request.capacity));
    let larger = OpenChannel { capacity: Sat::try_new(200_000).unwrap(), ..request.clone() };
    let refused = node.open_channel(larger).await;
    assert!(matches!(&refused, Err(RailError::Refused(why)) if why.contains("under this key")), "{refused:?}");
    node.open_channel(OpenChannel { key: key(2), ..request }).await.unwrap();
    assert_eq!(node.channels().await.len(), 3, "another key is another channel");
    stage.stop().await;
}
