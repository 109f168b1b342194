//! A town of people with Lightning nodes, who do as they like: approve, refuse, dispute, renew, stay away. Blocks come, and the
//! node is killed and stopped, over and over. At the end every msat must be where the journal says.
//!
//! | module | what it is |
//! | --- | --- |
//! | `plan` | what people will do, drawn from a seed |
//! | `town` | who they are |
//! | `player` | one task, from its post to its end |
//! | `ends`, `panel` | approvals and renewals; disputes |
//! | `weather` | blocks, and restarts of the node |
//! | `books` | whether everything adds up |
//!
//! `TALLY_SOAK_TASKS` says how many tasks, `TALLY_SEED` which.

mod books;
mod ends;
mod panel;
mod plan;
mod player;
mod town;
mod weather;

use anyhow::{Context, Result, ensure};
use bitcoin::OutPoint;
use futures::{StreamExt, TryStreamExt, stream};
use std::{
    collections::BTreeMap,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tallystick_devnet::RegtestChain;
use tokio::{process::Command, sync::watch};

use crate::{
    kills::Random,
    support::{BINARY, Theatre},
};
use books::Books;
use plan::{Life, Plan};
use player::{Cause, Played, Player};
use town::Town;
use weather::Restarts;

/// How many tasks, if `TALLY_SOAK_TASKS` says nothing else.
const TASKS: usize = 24;
/// How many are played at one time.
const AT_ONCE: usize = 40;
/// Requesters and workers with a node of their own: few for few tasks.
const SIDES: (usize, usize) = (2, 4);
const FEW: usize = 100;

#[tokio::test(flavor = "multi_thread")]
async fn a_town_of_people_who_do_as_they_like_adds_up() -> Result<()> {
    let tasks = std::env::var("TALLY_SOAK_TASKS").ok().and_then(|text| text.parse().ok()).unwrap_or(TASKS);
    let mut random = Random::new();
    println!("{tasks} tasks, seed {}", random.seed);
    let mut theatre = Theatre::open(&[]).await?;
    let side = if tasks < FEW { SIDES.0 } else { SIDES.1 };
    let town = Box::pin(Town::build(&mut theatre.stage, side, side)).await?;
    let (before, channels, own) = (town.purses().await?, town.channels().await?, theatre.channels().await?);
    let plans = Plan::draw(&mut random, tasks, side, side);
    let soaked = Box::pin(soak(&mut theatre, &town, plans, random)).await?;

    theatre.stage.until_usable().await?;
    theatre.stage.purses().await.context("at rest")?;
    books::nothing_is_open(&town).await?;
    Books::read(&town, &soaked.played).await?.check(&town, &before, &town.purses().await?)?;
    ensure!(town.channels().await? == channels && theatre.channels().await? == own, "a channel was closed");
    unspent(&theatre.stage.chain, &channels).await?;
    theatre.stage.platform.stop().await?;
    fsck(&theatre).await?;
    soaked.tell();
    theatre.close().await
}

/// What was played, and what happened meanwhile.
struct Soaked {
    played: Vec<Played>,
    took: Duration,
    blocks: u32,
    restarts: Restarts,
}

async fn soak(theatre: &mut Theatre, town: &Town, plans: Vec<Plan>, mut random: Random) -> Result<Soaked> {
    let (call, stop) = watch::channel(false);
    let weather = Random::of(random.below(1 << 32));
    let start = Instant::now();
    let playing = async {
        let tasks = plans.iter().map(|plan| play(town, plan));
        let played: Vec<Played> = stream::iter(tasks).buffer_unordered(AT_ONCE).try_collect().await?;
        let took = start.elapsed();
        call.send_replace(true);
        anyhow::Ok((played, took))
    };
    let stage = &mut theatre.stage;
    let ((played, took), blocks, restarts) = tokio::try_join!(
        playing,
        weather::blocks(town, &stage.chain, stop.clone()),
        weather::restarts(&mut stage.platform, weather, stop.clone()),
    )?;
    Ok(Soaked { played, took, blocks, restarts })
}

async fn play(town: &Town, plan: &Plan) -> Result<Played> {
    // A channel has so many slots; what does not fit in would be paid again and again.
    let slots = town.requesters[plan.requester].slots.clone().acquire_many_owned(plan.holds()).await?;
    town.playing.fetch_add(1, Ordering::SeqCst);
    let played = Box::pin(Player::new(town, plan)?.play()).await;
    town.playing.fetch_sub(1, Ordering::SeqCst);
    drop(slots);
    played
}

/// Every channel's funding output is unspent, in the chain and in the mempool.
async fn unspent(chain: &RegtestChain, channels: &[Vec<(String, Option<String>)>]) -> Result<()> {
    for funding in channels.iter().flatten().filter_map(|(_, funding)| funding.as_ref()) {
        let outpoint: OutPoint = funding.parse()?;
        ensure!(chain.rpc().get_tx_out(&outpoint, true).await?.is_some(), "{funding} was spent");
    }
    ensure!(channels.iter().all(|own| !own.is_empty()), "everybody has a channel");
    Ok(())
}

async fn fsck(theatre: &Theatre) -> Result<()> {
    let dir = theatre.stage.platform.dir();
    let mut fsck = Command::new(BINARY);
    fsck.arg("fsck").arg("--data-dir").arg(dir).arg("--passphrase-file").arg(dir.join("passphrase"));
    let output = fsck.kill_on_drop(true).output().await?;
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "fsck: {said}");
    println!("fsck: {}", said.trim());
    Ok(())
}

impl Soaked {
    fn tell(&self) {
        let mut lives: BTreeMap<Life, usize> = BTreeMap::new();
        for one in &self.played {
            *lives.entry(one.plan.life).or_default() += 1;
        }
        println!("played      {lives:?}");
        let millis = self.took.as_millis().max(1);
        let per_second = self.played.len() as u128 * 1_000_000 / millis;
        println!(
            "throughput  {} tasks in {millis} ms: {}.{:03}/s, {AT_ONCE} at a time",
            self.played.len(),
            per_second / 1_000,
            per_second % 1_000
        );
        let Restarts { kills, stops } = self.restarts;
        println!("meanwhile   {} blocks, the node killed {kills} times and stopped {stops} times", self.blocks);
        for (cause, what) in [(Cause::Approval, "approval"), (Cause::Ruling, "ruling")] {
            let settled = self.played.iter().flat_map(|one| &one.settled).filter(|(of, _)| *of == cause);
            let mut times: Vec<u128> = settled.map(|(_, took)| took.as_millis()).collect();
            times.sort_unstable();
            let at = |percent: usize| times.get(times.len() * percent / 100).copied().unwrap_or_default();
            println!(
                "{what:<11} to payer settled: p50 {} ms, p95 {} ms, {} tranches (restarts included)",
                at(50),
                at(95),
                times.len()
            );
        }
    }
}
