//! What happens to everybody: blocks come, and the node is stopped and killed.

use anyhow::Result;
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tally::demo::Platform;
use tallystick_devnet::RegtestChain;
use tokio::sync::watch;

use super::town::Town;
use crate::kills::Random;

/// How fast blocks come; how fast while somebody waits for the clock, whose blocks must not run out before; and how fast when nobody
/// waits for anything else.
const BLOCK_PAUSE: Duration = Duration::from_millis(300);
const BLOCK_PAUSE_LONG: Duration = Duration::from_millis(500);
const BLOCK_PAUSE_SHORT: Duration = Duration::from_millis(40);
/// Blocks that may come while somebody is away. Whoever is away for as long as an HTLC lives loses the channel, and should.
const LAG_MAX: u32 = 6;
/// How long the node lives, and how long it is gone.
const LIFE_MILLIS: (u64, u64) = (3_000, 15_000);
const DEATH_MILLIS_MAX: u64 = 700;

/// Mines until told to stop, a block at a time: once everybody who is there has seen the last one.
pub async fn blocks(town: &Town, chain: &RegtestChain, stop: watch::Receiver<bool>) -> Result<u32> {
    let (mut mined, mut last, mut seen) = (0, Instant::now(), Vec::new());
    while !*stop.borrow() {
        tokio::time::sleep(BLOCK_PAUSE_SHORT).await;
        let impatient = town.idling.load(Ordering::SeqCst) == town.playing.load(Ordering::SeqCst);
        let pause = if town.waiting.load(Ordering::SeqCst) > 0 { BLOCK_PAUSE_LONG } else { BLOCK_PAUSE };
        if last.elapsed() < pause && !impatient {
            continue;
        }
        let tip = chain.rpc().get_block_count().await?;
        let heights = town.heights().await;
        seen.resize(heights.len(), tip);
        for (seen, height) in seen.iter_mut().zip(&heights) {
            *seen = height.unwrap_or(*seen);
        }
        let may_come = heights.iter().zip(&seen).all(|(height, seen)| match height {
            Some(height) => *height >= tip,
            None => *seen + LAG_MAX > tip,
        });
        if may_come {
            chain.miner().mine(1).await?;
            mined += 1;
            last = Instant::now();
        }
    }
    Ok(mined)
}

/// How often the node was killed, and how often stopped.
#[derive(Clone, Copy, Debug, Default)]
pub struct Restarts {
    pub kills: u32,
    pub stops: u32,
}

/// Kills and stops the node until told to end, and starts it again each time. Not while all who are left wait for the clock: a node
/// that is away too often takes no bond from anybody.
pub async fn restarts(
    town: &Town,
    platform: &mut Platform,
    mut random: Random,
    mut stop: watch::Receiver<bool>,
) -> Result<Restarts> {
    let mut done = Restarts::default();
    loop {
        let life = LIFE_MILLIS.0 + random.below(LIFE_MILLIS.1 - LIFE_MILLIS.0);
        if tokio::time::timeout(Duration::from_millis(life), stop.wait_for(|stop| *stop)).await.is_ok() {
            return Ok(done);
        }
        if town.waiting.load(Ordering::SeqCst) == town.playing.load(Ordering::SeqCst) {
            continue;
        }
        if random.below(3) == 0 {
            platform.stop().await?;
            done.stops += 1;
        } else {
            platform.kill().await?;
            done.kills += 1;
        }
        tokio::time::sleep(Duration::from_millis(random.below(DEATH_MILLIS_MAX))).await;
        platform.start(&[]).await?;
    }
}
