//! Payouts over other nodes, in parts.

use tallystick_app::port::operator::{NodeOperator, PaymentStatus};
use tallystick_app::port::rail::{HoldRail, InvoiceReader};
use tallystick_core::{Duration, Sat};
use tallystick_devnet::{ChannelPlan, PartyError, PartyOptions, wait_until};

use crate::stage::{HOLD_BLOCKS, HOUR, Stage, msat, plan};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_payout_goes_in_parts_over_a_routing_node() {
    let mut stage = Stage::with(&["payer"]).await;
    stage.net.add_party("router", PartyOptions { forward: true }).await.unwrap();
    stage.net.add_party("payee", PartyOptions::default()).await.unwrap();
    // Two channels of 300,000 sat on each side of the router: 400,000 sat do not fit through one of them.
    let small = ChannelPlan { capacity: Sat::try_new(1_000_000).unwrap(), push: msat(300_000_000), announce: false };
    let (peer, address) = stage.platform.contact();
    for _ in 0..2 {
        stage.net.open_channel_to("router", (&peer, &address), small).await.unwrap();
    }
    let narrow = ChannelPlan { capacity: Sat::try_new(400_000).unwrap(), push: msat(50_000_000), announce: false };
    for _ in 0..2 {
        stage.net.open_channel("router", "payee", narrow).await.unwrap();
    }
    let node = &stage.platform.node;
    wait_until("the platform's channels", async || Ok(node.info().usable_channels == 3)).await.unwrap();
    let total = stage.channel_money().await;

    let bolt11 = stage.party("payee").invoice(msat(400_000_000), HOUR).await.unwrap();
    let hash = node.read(&bolt11).unwrap().hash;
    let invoice = stage.hold_invoice(hash, msat(404_000_000), HOLD_BLOCKS).await;
    let payment = stage.pay(&invoice).await;
    stage.recorder().until_locked(hash).await;
    let mut request = stage.payout(1, &bolt11);
    request.fee_limit = msat(4_000_000);
    node.pay(request.clone()).await.unwrap();
    let fee = stage.recorder().until_paid(request.id).await;
    assert!(fee > msat(0) && fee <= msat(4_000_000), "{fee}");
    stage.recorder().until_claimed(hash).await;
    assert_eq!(payment.await.unwrap().unwrap().status, PaymentStatus::Succeeded);
    stage.until_at_rest().await;
    assert_eq!(stage.channel_money().await, total);
    let payee = stage.party("payee").balances().await.unwrap().channels;
    assert_eq!(payee, msat(2 * 50_000_000 + 400_000_000));
    // The platform earned what it asked for, less the route.
    let ours = node.balances().await.unwrap().channels.get();
    let before = plan().push.get() + 2 * 300_000_000;
    assert_eq!(ours, before + 4_000_000 - fee.get());
    stage.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn announced_channels_are_found_by_gossip() {
    let mut stage = Stage::with(&[]).await;
    for name in ["router", "payee"] {
        stage.net.add_party(name, PartyOptions { forward: name == "router" }).await.unwrap();
    }
    let public = ChannelPlan { announce: true, ..plan() };
    let (peer, address) = stage.platform.contact();
    stage.net.open_channel_to("router", (&peer, &address), public).await.unwrap();
    stage.net.open_channel("router", "payee", public).await.unwrap();
    let node = &stage.platform.node;
    wait_until("the platform's channel", async || {
        Ok(node.channels().await.iter().any(|channel| channel.usable && channel.announced))
    })
    .await
    .unwrap();
    // An invoice of a node with public channels has no hints: whoever pays it must have heard of them, and have
    // found their funding on the chain.
    let public_invoice = async || {
        let bolt11 = stage.party("payee").invoice(msat(5_000_000), HOUR).await?;
        let parsed: lightning_invoice::Bolt11Invoice = bolt11.parse().unwrap();
        Ok::<_, PartyError>(parsed.private_routes().is_empty().then_some(bolt11))
    };
    let public = async || {
        if public_invoice().await?.is_some() {
            return Ok(true);
        }
        stage.net.mine(1).await?;
        Ok(false)
    };
    wait_until("the payee's channel to be public", public).await.unwrap();
    let bolt11 = public_invoice().await.unwrap().unwrap();
    // A node offers an announcement with every sixth block from the funding, and nobody asks for one that was missed:
    // gossip arrives as the chain grows.
    let paid = async || {
        let payment = node.pay_invoice(&bolt11, msat(1_000_000), MINUTE).await?;
        if payment.status == PaymentStatus::Succeeded {
            return Ok(true);
        }
        stage.mine(1).await;
        Ok(false)
    };
    wait_until("gossip to arrive and the payment to succeed", paid).await.unwrap();
    stage.stop().await;
}
