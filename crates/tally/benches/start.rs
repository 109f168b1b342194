//! How long a killed node with an old journal takes to start: the release binary, from its process to its first answer, and to
//! the moment at which its Lightning node is up.
//!
//! `cargo bench -p tally --bench start`; `TALLY_BENCH_FACTS` sets how many facts, 1,000,000 if absent.
#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use anyhow::{Result, ensure};
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tally::{demo::Platform, store::JOURNAL};
use tallystick_devnet::RegtestChain;
use tallystick_store::SqliteStore;
use tallystick_testkit::{
    crowd::Crowd,
    machine::{machine, quantiles},
};

const PEOPLE: u64 = 5_000;
const STARTS: usize = 10;
/// The longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(300);

#[tokio::main]
async fn main() -> Result<()> {
    // `cargo test` runs benches too, with this flag: nothing is measured then.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let wanted: u64 = std::env::var("TALLY_BENCH_FACTS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    let folder = tempfile::tempdir()?;
    println!("{}", machine(folder.path()));
    let chain = RegtestChain::start().await?;
    let mut platform = Platform::init(Path::new(env!("CARGO_BIN_EXE_tally")), folder.path(), &chain.rpc_config())?;
    platform.start(&[]).await?;
    until_up(&platform).await?;
    starts(&mut platform, "a new node").await?;

    platform.stop().await?;
    let store = SqliteStore::open(platform.dir().join(JOURNAL))?;
    let crowd = Crowd::new(PEOPLE);
    let tasks = wanted.div_ceil(crowd.facts_per_task());
    crowd.fill(&store, 0..tasks).await;
    store.close().await;
    let facts = tasks * crowd.facts_per_task();

    platform.start(&[]).await?;
    let start = Instant::now();
    until_published(&platform, facts).await?;
    println!("{facts} facts of others taken into the log after a start: {:.2?}", start.elapsed());
    starts(&mut platform, &format!("a node with {facts} facts")).await
}

/// Kills the node and starts it again, some times.
async fn starts(platform: &mut Platform, which: &str) -> Result<()> {
    let (mut answered, mut up) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        platform.kill().await?;
        let start = Instant::now();
        platform.start(&[]).await?;
        answered.push(start.elapsed());
        until_up(platform).await?;
        up.push(start.elapsed());
    }
    println!("{which}, killed and started {STARTS} times: answers after {}", quantiles(answered));
    println!("{which}: its Lightning node is up after {}", quantiles(up));
    Ok(())
}

async fn until_up(platform: &Platform) -> Result<()> {
    let start = Instant::now();
    while !platform.info().await?["lightning"]["listen"][0].is_string() {
        ensure!(start.elapsed() < PATIENCE, "the Lightning node is not up");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn until_published(platform: &Platform, facts: u64) -> Result<()> {
    let (url, start) = (platform.url().replace("/graphql", "/log/checkpoint"), Instant::now());
    loop {
        let checkpoint = reqwest::get(&url).await?.text().await?;
        if checkpoint.lines().nth(1).and_then(|size| size.parse().ok()).is_some_and(|size: u64| size >= facts) {
            return Ok(());
        }
        ensure!(start.elapsed() < PATIENCE, "the log does not catch up");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
