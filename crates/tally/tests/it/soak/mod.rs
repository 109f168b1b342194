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
use serde_json::json;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tally::{ask::dispute::Matters, cli::OfMilestone};
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
    let asked = std::env::var("TALLY_SOAK_TASKS").ok();
    let tasks = asked.map_or(TASKS, |text| text.parse().expect("TALLY_SOAK_TASKS is a number"));
    let mut random = Random::new();
    println!("{tasks} tasks, seed {}", random.seed);
    let side = if tasks < FEW { SIDES.0 } else { SIDES.1 };
    let plans = Plan::draw(&mut random, tasks, side, side);
    let mut soak = Box::pin(Soak::open(side)).await?;
    let soaked = Box::pin(soak.play(plans, Some(random))).await?;
    let taken = Box::pin(soak.close(&soaked)).await?;
    soaked.tell();
    println!("bonds       taken {taken:?}");
    let Restarts { kills, stops } = soaked.restarts;
    ensure!(kills + stops > 0, "the node was never started again");
    for (life, reason) in [(Life::BondTaken, "RULED"), (Life::WalkedOut, "BROKEN_PROMISE")] {
        let is_played = soaked.played.iter().any(|one| one.plan.life == life);
        ensure!(taken.contains_key(reason) == is_played, "bonds were taken {taken:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_the_payer_refuses_ends_as_the_terms_say() -> Result<()> {
    let mut soak = Box::pin(Soak::open(SIDES.0)).await?;
    let plans = vec![Plan::of(Life::RenewalMissed, 0), Plan::of(Life::RenewalMissed, 2)];
    assert_eq!(plans.iter().map(Plan::missed_renewal_pays).collect::<Vec<_>>(), [true, false]);
    let soaked = Box::pin(soak.play(plans, None)).await?;
    for one in &soaked.played {
        let paid = if one.plan.missed_renewal_pays() { one.plan.payouts_sat.len() } else { 0 };
        assert_eq!(one.paid.len(), paid);
    }
    Box::pin(soak.close(&soaked)).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_appeal_is_ruled_by_a_larger_panel() -> Result<()> {
    let mut soak = Box::pin(Soak::open(SIDES.0)).await?;
    let soaked = Box::pin(soak.play(vec![Plan::of(Life::Appealed, 4)], None)).await?;
    let of = OfMilestone { id: soaked.played[0].id.clone(), milestone: 0 };
    let ended = Matters::read(&soak.town.requesters[0].actor.api, &of).await?;
    assert_eq!((ended.state(), ended.round()?, &ended.shown["seats"]), ("DECIDED", 2, &json!(3)));
    let panel = ended.shown["panel"].as_array().context("a panel")?;
    let voted = |round: u64| panel.iter().filter(move |seat| seat["round"] == round && seat["state"] == "REVEALED");
    assert_eq!((voted(1).count(), voted(2).count()), (1, 3), "{panel:?}");
    assert!(voted(1).chain(voted(2)).all(|seat| seat["reward"] == "PAID"), "all rounds are paid: {panel:?}");
    Box::pin(soak.close(&soaked)).await.map(drop)
}

/// A town before anything happens in it.
struct Soak {
    theatre: Theatre,
    town: Town,
    purses: Vec<u64>,
    channels: Vec<Vec<(String, Option<String>)>>,
    /// The node's.
    own: Vec<(String, String)>,
}

/// What was played, and what happened meanwhile.
struct Soaked {
    played: Vec<Played>,
    took: Duration,
    blocks: u32,
    restarts: Restarts,
}

impl Soak {
    async fn open(side: usize) -> Result<Self> {
        let mut theatre = Theatre::open(&[]).await?;
        let town = Box::pin(Town::build(&mut theatre.stage, side, side)).await?;
        let (purses, channels, own) = (town.purses().await?, town.channels().await?, theatre.channels().await?);
        Ok(Self { theatre, town, purses, channels, own })
    }

    /// Plays all plans while blocks come, and while the node is killed and stopped if there are dice for that.
    async fn play(&mut self, plans: Vec<Plan>, dice: Option<Random>) -> Result<Soaked> {
        let (call, stop) = watch::channel(false);
        let (town, start) = (&self.town, Instant::now());
        let playing = async {
            let tasks = plans.iter().map(|plan| play(town, plan));
            let played = stream::iter(tasks).buffer_unordered(AT_ONCE).inspect(|_| town.tell()).try_collect().await?;
            let took = start.elapsed();
            call.send_replace(true);
            anyhow::Ok((played, took))
        };
        let stage = &mut self.theatre.stage;
        let restarting = async {
            match dice {
                Some(dice) => weather::restarts(town, &mut stage.platform, dice, stop.clone()).await,
                None => Ok(Restarts::default()),
            }
        };
        let ((played, took), blocks, restarts) =
            tokio::try_join!(playing, weather::blocks(town, &stage.chain, stop.clone()), restarting)?;
        Ok(Soaked { played, took, blocks, restarts })
    }

    /// Waits until all has come to rest, and checks that it adds up. Answers how many bonds were taken, by the reason.
    async fn close(mut self, soaked: &Soaked) -> Result<BTreeMap<String, u32>> {
        let (stage, town) = (&self.theatre.stage, &self.town);
        stage.until_usable().await?;
        stage.purses().await.context("at rest")?;
        books::nothing_is_open(town).await?;
        let books = Books::read(town, &soaked.played).await?;
        books.check(town, &self.purses, &town.purses().await?)?;
        unspent(&stage.chain, &self.channels).await?;
        ensure!(town.channels().await? == self.channels, "somebody closed a channel");
        ensure!(self.theatre.channels().await? == self.own, "the node closed a channel");
        let platform = &mut self.theatre.stage.platform;
        platform.stop().await?;
        fsck(platform.dir()).await?;
        self.theatre.close().await?;
        Ok(books.taken)
    }
}

async fn play(town: &Town, plan: &Plan) -> Result<Played> {
    // A channel has so many slots; what does not fit in would be paid again and again.
    let slots = town.requesters[plan.requester].slots.clone().acquire_many_owned(plan.holds()).await?;
    town.playing.fetch_add(1, Ordering::SeqCst);
    let played = Box::pin(Player::new(town, plan)?.play()).await;
    town.playing.fetch_sub(1, Ordering::SeqCst);
    town.played.fetch_add(1, Ordering::SeqCst);
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

async fn fsck(dir: &Path) -> Result<()> {
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
            if times.is_empty() {
                println!("{what:<11} to payer settled: nothing was");
                continue;
            }
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
