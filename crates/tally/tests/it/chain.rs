//! Blocks pass, and are taken back.

use anyhow::{Context, Result};
use tallystick_devnet::{Branch, RegtestChain};

use crate::{
    driver::{Driver, End},
    support::{Theatre, assert_conserved},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_survives_a_hundred_blocks_and_a_restart() -> Result<()> {
    let mut theatre = Theatre::open(&[]).await?;
    let channels = theatre.channels().await?;
    let before = theatre.stage.purses().await?;
    let stage = &mut theatre.stage;
    let task = stage.post_holding("A long one", &[10_000], "REFUND", Some(150)).await?;
    let id = task["id"].as_str().context("a task has an id")?.to_owned();
    stage.take(&id, &[10_000]).await?;
    let payments = stage.pay(&stage.requester.api.fund(&id).await?)?;
    stage.until_state(&id, "HELD").await?;
    stage.mine(50).await?;
    stage.platform.kill().await?;
    stage.chain.miner().mine(50).await?;
    stage.platform.start(&[]).await?;
    stage.until_usable().await?;
    let held = stage.until_state(&id, "HELD").await?;
    assert!(held["milestones"][0]["blocksToDecide"].as_u64() >= Some(50), "{held}");
    assert!(payments.iter().all(|payment| !payment.is_finished()), "the payer's payment is still held");
    stage.worker.api.submit(&id, 0, &"ab".repeat(32)).await?;
    stage.requester.api.approve(&id, 0, None).await?;
    stage.until_state(&id, "SETTLED").await?;
    let after = theatre.stage.purses().await?;
    assert_conserved(&before, &after, 10_100_000, 10_000_000);
    assert_eq!(theatre.channels().await?, channels);
    theatre.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_around_funding_changes_nothing() -> Result<()> {
    reorganise_around_funding(RegtestChain::start().await?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_of_bitcoin_core_around_funding_changes_nothing() -> Result<()> {
    reorganise_around_funding(RegtestChain::start_core().await?).await
}

async fn reorganise_around_funding(chain: RegtestChain) -> Result<()> {
    let theatre = Theatre::open_on(chain, &[]).await?;
    let channels = theatre.channels().await?;
    let before = theatre.stage.purses().await?;
    let stage = &theatre.stage;
    let task = stage.post("Around a reorganisation", &[10_000], "REFUND").await?;
    let id = task["id"].as_str().context("a task has an id")?.to_owned();
    stage.take(&id, &[10_000]).await?;
    let funded = stage.requester.api.fund(&id).await?;
    stage.mine(2).await?;
    stage.pay(&funded)?;
    let held = stage.until_state(&id, "HELD").await?;
    stage.mine(1).await?;
    // Two blocks from before the lock and one from after it go; four others come.
    stage.chain.miner().reorg(3, 4, Branch::KeepTransactions).await?;
    let height = u64::from(stage.height().await?);
    stage
        .until("the node follows the new branch", async || {
            Ok(stage.platform.info().await?["height"].as_u64() == Some(height))
        })
        .await?;
    let still = stage.requester.api.task(&id).await?;
    assert_eq!(still["state"], "HELD");
    for field in ["decideBy", "tranches"] {
        assert_eq!(still["milestones"][0][field], held["milestones"][0][field], "{field} changed");
    }
    stage.worker.api.submit(&id, 0, &"ab".repeat(32)).await?;
    stage.requester.api.approve(&id, 0, None).await?;
    stage.until_state(&id, "SETTLED").await?;
    Driver::new(stage).run(End::Cancelled, &[7_000]).await?;
    let after = theatre.stage.purses().await?;
    assert_conserved(&before, &after, 10_100_000, 10_000_000);
    assert_eq!(theatre.channels().await?, channels);
    theatre.close().await
}
