//! The node is stopped at every write to its journal and at every call into the rail, before and after, in each story;
//! started again; and the end is the same: one payout or none, and no money lost.

use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tally::demo::{LOOK, Purses, Stage};

use crate::{
    driver::{Driver, End, patiently},
    support::{Theatre, assert_conserved},
};

const PAYOUT_SAT: u64 = 10_000;
const HOLD_SAT: u64 = 10_100;
/// How long payments may take to come to rest before the node is looked after.
const REST_MAX: Duration = Duration::from_secs(5);
/// More points than any story has: the harness must come to an end.
const POINTS_MAX: u64 = 400;

#[tokio::test(flavor = "multi_thread")]
async fn paid_out_whatever_happens() -> Result<()> {
    stop_everywhere(End::Paid).await
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_to_a_worker_who_comes_back_whatever_happens() -> Result<()> {
    stop_everywhere(End::PaidLate).await
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_whatever_happens() -> Result<()> {
    stop_everywhere(End::Cancelled).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_whatever_happens() -> Result<()> {
    stop_everywhere(End::Rejected).await
}

#[tokio::test(flavor = "multi_thread")]
async fn refunded_at_the_deadline_whatever_happens() -> Result<()> {
    stop_everywhere(End::Undecided).await
}

/// Plays a story once for each point, with the node dying there, until a story passes without reaching the point.
async fn stop_everywhere(end: End) -> Result<()> {
    let mut theatre = Theatre::open(&[]).await?;
    let channels = theatre.channels().await?;
    let mut before = theatre.stage.purses().await?;
    let mut points = 0;
    for point in 1..POINTS_MAX {
        theatre.stage.platform.kill().await?;
        theatre.stage.platform.start(&[("TALLY_CRASH_AT", point.to_string())]).await?;
        theatre.stage.until_usable().await?;
        let mut crashed = Box::pin(play(&mut theatre.stage, end))
            .await
            .with_context(|| format!("{end:?}, stopped at point {point}"))?;
        let after = purses(&mut theatre.stage, &mut crashed).await?;
        check(end, &before, &after);
        assert_eq!(theatre.channels().await?, channels, "{end:?}, point {point}: a channel was closed");
        before = after;
        if !crashed {
            break;
        }
        points = point;
    }
    // Each story has at least six requests, each remembered and appended, with a point before and after both.
    assert!((24..POINTS_MAX - 1).contains(&points), "{points} points seen in {end:?}");
    println!("{end:?}: stopped at each of {points} points");
    theatre.close().await
}

fn check(end: End, before: &Purses, after: &Purses) {
    match end {
        End::Paid | End::PaidLate => assert_conserved(before, after, HOLD_SAT * 1_000, PAYOUT_SAT * 1_000),
        End::Cancelled | End::Rejected | End::Undecided => assert_conserved(before, after, 0, 0),
    }
}

/// Plays one task to its end, starting the node again when it dies. Says whether it died.
async fn play(stage: &mut Stage, end: End) -> Result<bool> {
    let driver = Driver::new(stage);
    let driving = driver.run(end, &[PAYOUT_SAT]);
    tokio::pin!(driving);
    let mut crashed = false;
    let task = loop {
        tokio::select! {
            task = &mut driving => break task?,
            () = tokio::time::sleep(LOOK) => crashed |= restart_if_dead(stage).await?,
        }
    };
    if end == End::Undecided {
        crashed |= let_the_deadline_come(stage, &task).await?;
    }
    Ok(crashed)
}

/// Everybody's money at rest. The last points of a story come after its end: the node may die even now.
async fn purses(stage: &mut Stage, crashed: &mut bool) -> Result<Purses> {
    let start = Instant::now();
    loop {
        *crashed |= restart_if_dead(stage).await?;
        if let Ok(purses) = tokio::time::timeout(REST_MAX, stage.purses()).await {
            return purses;
        }
        ensure!(start.elapsed() < tally::demo::STEP_MAX, "the payments do not come to rest");
    }
}

async fn restart_if_dead(stage: &mut Stage) -> Result<bool> {
    if stage.platform.ended()?.is_none() {
        return Ok(false);
    }
    stage.platform.start(&[]).await?;
    Ok(true)
}

async fn let_the_deadline_come(stage: &mut Stage, task: &serde_json::Value) -> Result<bool> {
    let id = task["id"].as_str().context("a task has an id")?;
    let start = Instant::now();
    let decide_by = task["decideBy"].as_u64().context("a submitted task has a deadline")?;
    let blocks = decide_by.saturating_sub(u64::from(stage.height().await?));
    stage.chain.miner().mine(u32::try_from(blocks)?).await?;
    let mut crashed = false;
    loop {
        crashed |= restart_if_dead(stage).await?;
        let api = stage.requester.api.clone();
        if let Ok(task) = api.task(id).await
            && task["state"] == "REFUNDED"
        {
            let last = patiently(start, async || api.task(id).await).await?;
            ensure!(last["reason"] == "BLOCKS_RAN_OUT", "refunded for another reason: {last}");
            return Ok(crashed);
        }
        ensure!(start.elapsed() < tally::demo::STEP_MAX, "task {id} was not refunded at its deadline");
        tokio::time::sleep(LOOK).await;
    }
}
