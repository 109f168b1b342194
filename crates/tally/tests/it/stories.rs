//! The stories of the demo, and more, with the value conserved to the msat.

use anyhow::Result;
use tally::{ask::tranches, demo};
use tallystick_devnet::RegtestChain;

use crate::{
    driver::{Driver, End},
    support::{Theatre, assert_conserved},
};

#[tokio::test(flavor = "multi_thread")]
async fn the_five_stories_end_well_and_add_up_and_are_proven() -> Result<()> {
    let mut theatre = Theatre::open(&[]).await?;
    let before = theatre.stage.purses().await?;
    let channels = theatre.channels().await?;
    let moved = theatre.teller().all().await?;
    let after = theatre.stage.purses().await?;
    demo::check(&before, &after, moved)?;
    assert!(moved.paid_msat > moved.earned_msat, "three tasks were paid out with a fee each");
    assert_eq!(theatre.channels().await?, channels, "no channel was closed");
    theatre.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_paid_out_on_bitcoin_core() -> Result<()> {
    let mut theatre = Theatre::open_on(RegtestChain::start_core().await?, &[]).await?;
    let before = theatre.stage.purses().await?;
    let channels = theatre.channels().await?;
    let moved = theatre.teller().paid_out().await?;
    let after = theatre.stage.purses().await?;
    demo::check(&before, &after, moved)?;
    assert!(moved.paid_msat > moved.earned_msat && moved.earned_msat > 0, "the task was paid out with a fee");
    assert_eq!(theatre.channels().await?, channels, "no channel was closed");
    theatre.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn several_tranches_are_paid_or_given_back_together() -> Result<()> {
    let theatre = Theatre::open(&[]).await?;
    let before = theatre.stage.purses().await?;
    let driver = Driver::new(&theatre.stage);
    let paid = driver.run(End::Paid, &[10_000, 20_000, 1_000]).await?;
    assert!(tranches(&paid).all(|tranche| tranche["state"] == "CLAIMED"), "{paid}");
    let rejected = driver.run(End::Rejected, &[5_000, 6_000]).await?;
    assert_eq!(rejected["reason"], "REJECTED");
    let after = theatre.stage.purses().await?;
    // 1 % of each payout, rounded up, 10 sat at least.
    assert_conserved(&before, &after, (10_100 + 20_200 + 1_010) * 1_000, 31_000 * 1_000);
    theatre.close().await
}
