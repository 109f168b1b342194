//! Two replicas of one node on one PostgreSQL database, one of them killed.

use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use serde_json::Value;
use std::time::{Duration, Instant};
use tally::demo::{LOOK, Platform, STEP_MAX};
use tallystick_app::port::journal::Journal;
use tallystick_store::{PostgresOptions, PostgresStore};
use tallystick_testkit::Cluster;
use tokio::task::{JoinSet, LocalSet};

use crate::driver::{Driver, End, Gate, GateAt, code_of};
use crate::kills::{KILLS, KILLS_VAR, ROUND, Random, expected};
use crate::support::{BINARY, Theatre, assert_conserved};

const PAYOUT_SAT: u64 = 20_000;
/// How long after the gate a kill comes, at most.
const PAUSE_MAX_MILLIS: u64 = 600;
/// Whoever takes over has both channels again within this time: what is left of the lease (5 s at most), the pause before
/// it is asked for again (1 s), a start, and the peers' reconnecting. On a machine with nothing else to do that is less than
/// 12 s; the rest is for one whose two cores are busy. Seconds, as promised, and no minute.
const TAKE_OVER_MAX: Duration = Duration::from_secs(20);

/// A node as two processes.
struct Pair {
    theatre: Theatre,
    other: Platform,
    cluster: Cluster,
    url: String,
}

impl Pair {
    /// A command on the first one's directory: whether it went well, and what it said.
    async fn tally(&self, words: &[&str]) -> Result<(bool, String)> {
        let mut command = std::process::Command::new(BINARY);
        command.args(words).arg("--data-dir").arg(self.theatre.stage.platform.dir());
        let output = tokio::task::spawn_blocking(move || command.output()).await??;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    }

    /// The theatre's platform has the Lightning node at first.
    async fn open() -> Result<Self> {
        let cluster = Cluster::start(&[]);
        let url = cluster.database();
        let theatre = Box::pin(Theatre::open_on_database(&url)).await?;
        let mut other = theatre.stage.platform.replica("platform-2", &theatre.stage.chain.rpc_config(), None)?;
        other.start(&[]).await.context("the second replica")?;
        Ok(Self { theatre, other, cluster, url })
    }

    fn drivers(&self) -> Result<[Driver; 2]> {
        let driver = Driver::new(&self.theatre.stage);
        let other = driver.at(&self.other.url())?;
        Ok([driver, other])
    }

    /// Waits until one of the two has the node, whichever: the stage asks that one from now on.
    async fn look_for_owner(&mut self) -> Result<()> {
        let start = Instant::now();
        while !has_node(&self.theatre.stage.platform).await {
            if has_node(&self.other).await {
                std::mem::swap(&mut self.theatre.stage.platform, &mut self.other);
                return Ok(());
            }
            ensure!(start.elapsed() < TAKE_OVER_MAX, "nobody has the Lightning node");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Tells the database something: how many rows it answers or changes.
    async fn sql(&self, sql: &str) -> Result<u64> {
        Ok(tallystick_postgres::connect(&PostgresOptions::try_new(&self.url)?).await?.execute(sql, &[]).await?)
    }

    /// Waits until both say this of themselves.
    async fn until_health(&self, says: &str) -> Result<()> {
        let says = format!("\"{says}\"");
        for replica in [&self.theatre.stage.platform, &self.other] {
            let Some(at) = replica.url().strip_suffix("/graphql").map(|base| format!("{base}/health")) else {
                continue;
            };
            let said = async || match reqwest::get(&at).await {
                Ok(answer) => Ok(answer.text().await?.contains(&says)),
                // One that does not run says nothing.
                Err(_) => Ok(replica.pid().is_none()),
            };
            self.theatre.stage.until("both replicas tell their health", said).await?;
        }
        Ok(())
    }

    /// Stops both, and checks the journal: no gap, no double, every task ended as it should.
    async fn close(mut self, facts_min: u64) -> Result<()> {
        let (sound, said) = self.tally(&["fsck"]).await?;
        ensure!(sound, "{said}");
        self.other.stop().await.context("the second replica")?;
        self.theatre.close().await?;
        let store = PostgresStore::open(PostgresOptions::try_new(&self.url)?).await?;
        let facts = store.verify_chain().await?;
        ensure!(facts >= facts_min, "only {facts} facts");
        ensure!(store.next_effect_due().await?.is_none(), "an effect has no end");
        store.close().await;
        Ok(())
    }
}

/// Whether this replica has the Lightning node, with both channels usable.
async fn has_node(platform: &Platform) -> bool {
    platform.info().await.is_ok_and(|info| info["lightning"]["usableChannels"] == 2)
}

/// Waits until this replica has the Lightning node, with both channels usable.
async fn until_owner(platform: &Platform) -> Result<Duration> {
    let start = Instant::now();
    loop {
        if has_node(platform).await {
            return Ok(start.elapsed());
        }
        ensure!(start.elapsed() < TAKE_OVER_MAX, "nobody took the Lightning node over in time");
        tokio::time::sleep(LOOK).await;
    }
}

async fn all(mut tasks: JoinSet<Result<Value>>) -> Result<usize> {
    let mut count = 0;
    while let Some(ended) = tasks.join_next().await {
        ended?.context("a task")?;
        count += 1;
    }
    Ok(count)
}

/// Both take requests; what one writes the other shows and tells of; only one has the node.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_replicas_serve_and_one_has_the_node() -> Result<()> {
    LocalSet::new().run_until(Box::pin(both_story())).await
}

async fn both_story() -> Result<()> {
    let pair = Box::pin(Pair::open()).await?;
    let elsewhere = pair.other.node("balances { channelsMsat }").await.expect_err("it is elsewhere").to_string();
    assert!(elsewhere.contains("another replica"), "{elsewhere}");
    let (one, two) = (pair.theatre.stage.platform.info().await?, pair.other.info().await?);
    assert_eq!(one["lightning"]["nodeId"], two["lightning"]["nodeId"]);
    assert_eq!((&one["lightning"]["usableChannels"], &two["lightning"]["usableChannels"]), (&2.into(), &0.into()));
    let mut tasks = JoinSet::new();
    for driver in pair.drivers()? {
        for end in [End::Paid, End::Cancelled, End::Rejected] {
            let driver = driver.clone();
            tasks.spawn_local(async move { Box::pin(driver.run(end, &[PAYOUT_SAT])).await });
        }
    }
    // While both write: what is checked is one moment.
    for _ in 0..4 {
        let (sound, said) = pair.tally(&["fsck"]).await?;
        assert!(sound && said.contains("sound:"), "{said}");
    }
    assert_eq!(all(tasks).await?, 6);
    let (sound, said) = pair.tally(&["fsck"]).await?;
    assert!(sound && said.contains(" 6 tasks"), "{said}");
    let (rebuilt, said) = pair.tally(&["store", "rebuild"]).await?;
    assert!(!rebuilt && said.contains("stop all replicas first"), "{said}");
    // A block that only the chain tells of is known to both.
    let height = pair.theatre.stage.mine(1).await?;
    let seen = async || Ok(pair.other.info().await?["height"].as_u64() == Some(u64::from(height)));
    pair.theatre.stage.until("the second replica sees the block", seen).await?;
    pair.close(40).await
}

/// The owner is killed with money held: the other goes on within seconds, and what was funded settles. Then that one is
/// killed in the middle of everything, and the first, which is back, takes over again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_the_other_goes_on() -> Result<()> {
    LocalSet::new().run_until(Box::pin(whoever_story())).await
}

async fn whoever_story() -> Result<()> {
    let mut pair = Box::pin(Pair::open()).await?;
    let before = pair.theatre.stage.purses().await?;
    let gate = Gate::new(GateAt::Held, 5);
    let mut tasks = JoinSet::new();
    for driver in pair.drivers()? {
        for _ in 0..2 {
            let driver = driver.with_gate(gate.clone());
            tasks.spawn_local(async move { Box::pin(driver.run(End::Paid, &[PAYOUT_SAT])).await });
        }
    }
    tokio::time::timeout(STEP_MAX, gate.barrier.wait()).await.context("the money is held")?;
    pair.theatre.stage.platform.kill().await?;
    println!("the other had the node {:?} after the owner was killed", until_owner(&pair.other).await?);
    // The killed one comes back, as under any supervisor, and waits.
    pair.theatre.stage.platform.start(&[]).await?;
    assert_eq!(all(tasks).await?, 4);

    let mut tasks = JoinSet::new();
    for driver in pair.drivers()? {
        for end in [End::Paid, End::Paid, End::Rejected] {
            let driver = driver.clone();
            tasks.spawn_local(async move { Box::pin(driver.run(end, &[PAYOUT_SAT])).await });
        }
    }
    // Some are posted, some funded, some paid: whatever has come of the first one to end.
    let first = tasks.join_next().await.context("a task")?;
    first?.context("a task")?;
    pair.other.kill().await?;
    let took = until_owner(&pair.theatre.stage.platform).await?;
    println!("the first had it again {took:?} after the other was killed");
    pair.other.start(&[]).await?;
    assert_eq!(all(tasks).await?, 5);

    let after = pair.theatre.stage.purses().await?;
    assert_eq!(before.sum(), after.sum(), "money appeared or vanished");
    assert_eq!(after.worker - before.worker, 8 * PAYOUT_SAT * 1_000, "eight tasks were paid, each once");
    // A replica that only waits is missed by nobody.
    pair.other.kill().await?;
    let [driver, _] = pair.drivers()?;
    Box::pin(driver.run(End::Paid, &[PAYOUT_SAT])).await?;
    pair.close(100).await
}

/// One of the two, whichever, is killed at some moment under load, and started again, time after time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_kills_of_either_lose_nothing() -> Result<()> {
    let mut pair = Box::pin(Pair::open()).await?;
    let kills = std::env::var(KILLS_VAR).ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS) / 10;
    let mut random = Random::new();
    let drivers = pair.drivers()?;
    let channels = pair.theatre.channels().await?;
    for kill in 1..=kills {
        let before = pair.theatre.stage.purses().await?;
        let at = if kill % 2 == 0 { GateAt::Held } else { GateAt::Funding };
        let gate = Gate::new(at, ROUND.len() + 1);
        let tasks = (0..).zip(ROUND).map(|(n, (end, payouts))| {
            let driver = drivers[n % 2].with_gate(gate.clone());
            async move { Box::pin(driver.run(end, payouts)).await }
        });
        let (pause, owner) = (Duration::from_millis(random.below(PAUSE_MAX_MILLIS)), random.below(3) > 0);
        let killed = if owner { &mut pair.theatre.stage.platform } else { &mut pair.other };
        let killing = async {
            gate.barrier.wait().await;
            tokio::time::sleep(pause).await;
            killed.kill().await?;
            killed.start(&[]).await
        };
        let told = || format!("kill {kill}, owner: {owner}, after {pause:?} (seed {})", random.seed);
        tokio::try_join!(try_join_all(tasks), killing).with_context(told)?;
        pair.look_for_owner().await.with_context(told)?;
        let (paid, earned) = expected();
        assert_conserved(&before, &pair.theatre.stage.purses().await?, paid, earned);
        assert_eq!(pair.theatre.channels().await?, channels, "{}", told());
    }
    println!("{kills} kills, {} escrows, seed {}", u64::from(kills) * 6, random.seed);
    pair.close(u64::from(kills) * 36).await
}

/// The database's server crashes and comes back: whoever ends because of it is started again, and tasks go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_is_enough() -> Result<()> {
    let mut pair = Box::pin(Pair::open()).await?;
    let gate = Gate::new(GateAt::Held, 3);
    let driving = pair.drivers()?.map(|driver| {
        let driver = driver.with_gate(gate.clone());
        async move { Box::pin(driver.run(End::Paid, &[PAYOUT_SAT])).await }
    });
    let mut driving = Box::pin(try_join_all(driving));
    let mut held = Box::pin(gate.barrier.wait());
    let mut crashed = false;
    loop {
        tokio::select! {
            ended = &mut driving => {
                ended?;
                break;
            }
            _ = &mut held, if !crashed => {
                crashed = true;
                pair.cluster.halt();
                pair.cluster.go();
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        for replica in [&mut pair.theatre.stage.platform, &mut pair.other] {
            if replica.ended()?.is_some() {
                replica.spawn(&[])?;
            }
        }
    }
    drop(driving);
    pair.look_for_owner().await?;
    for replica in [&mut pair.theatre.stage.platform, &mut pair.other] {
        replica.wait_until_ready().await?;
    }
    pair.close(16).await
}

/// An owner that was stopped in order gives the lease back: the other need not wait for its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_stops_hands_over() -> Result<()> {
    LocalSet::new().run_until(Box::pin(an_story())).await
}

async fn an_story() -> Result<()> {
    let mut pair = Box::pin(Pair::open()).await?;
    pair.theatre.stage.platform.stop().await?;
    until_owner(&pair.other).await?;
    pair.theatre.stage.platform.start(&[]).await?;
    let [driver, _] = pair.drivers()?;
    Box::pin(driver.run(End::Paid, &[PAYOUT_SAT])).await?;
    pair.close(8).await
}

/// An owner is gone for longer than the other's lease would take, and the other, without the node, is asked for something
/// meanwhile: its fact is no proof that somebody ran the timers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_absence_is_told_though_a_replica_without_the_node_writes() -> Result<()> {
    LocalSet::new().run_until(Box::pin(absence_story())).await
}

async fn absence_story() -> Result<()> {
    let mut pair = Box::pin(Pair::open()).await?;
    let [_, driver] = pair.drivers()?;
    pair.theatre.stage.platform.kill().await?;
    // As if both had been without the node for five minutes.
    let earlier = "UPDATE leases SET note = (split_part(note, ' ', 1)::bigint - 300000)::text WHERE name = 'lightning'";
    assert_eq!(pair.sql(earlier).await?, 1);
    driver.post().await?;
    assert_eq!(pair.sql("SELECT FROM facts WHERE kind = 'node.away'").await?, 0);
    assert_eq!(pair.sql("SELECT FROM facts WHERE kind = 'escrow.task_created'").await?, 1);
    until_owner(&pair.other).await?;
    assert_eq!(pair.sql("SELECT FROM facts WHERE kind = 'node.away'").await?, 1, "nobody told of it");
    pair.theatre.stage.platform.start(&[]).await?;
    pair.close(2).await
}

/// Whoever has the node finds the log damaged, and the other begins nothing either, started anew or not; once the tree is
/// made again, both do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_damaged_log_no_replica_begins_anything() -> Result<()> {
    LocalSet::new().run_until(Box::pin(damaged_story())).await
}

/// A row if somebody has found damage.
const DAMAGED: &str = "SELECT FROM log_damaged";

async fn damaged_story() -> Result<()> {
    let mut pair = Box::pin(Pair::open()).await?;
    let [driver, _] = pair.drivers()?;
    Box::pin(driver.run(End::Cancelled, &[PAYOUT_SAT])).await?;
    let logged = async || {
        let size =
            pair.sql("SELECT published_size FROM log_state WHERE published_size = (SELECT seq FROM head)").await?;
        Ok(size == 1)
    };
    pair.theatre.stage.until("all facts are published", logged).await?;
    pair.sql("UPDATE log_tiles SET hashes = set_byte(hashes, 0, 255 - get_byte(hashes, 0))").await?;
    pair.theatre.stage.platform.stop().await?;
    until_owner(&pair.other).await?;
    pair.until_health("damaged").await?;
    // One that starts knows it before it answers anybody.
    pair.theatre.stage.platform.start(&[]).await?;
    assert_eq!(code_of(pair.theatre.stage.post("One more", &[PAYOUT_SAT], "REFUND").await), "app.damaged");
    pair.other.stop().await?;
    pair.theatre.stage.platform.stop().await?;
    // Somebody else who rebuilds, or a replica, has the lease.
    pair.sql("UPDATE leases SET owner = 'another', until = clock_timestamp() + interval '1 hour'").await?;
    let (rebuilt, said) = pair.tally(&["store", "rebuild"]).await?;
    assert!(!rebuilt && said.contains("another has the lease lightning: stop all replicas first"), "{said}");
    pair.sql("UPDATE leases SET until = clock_timestamp()").await?;
    // The tree is made again, and the log counts as damaged until all else is found sound.
    let damaged = async || pair.sql(DAMAGED).await;
    pair.sql("INSERT INTO reservations VALUES ('another', 'name', 'stream')").await?;
    let (rebuilt, said) = pair.tally(&["store", "rebuild"]).await?;
    assert!(!rebuilt && said.contains("1 tiles mended") && said.contains("fsck.names"), "{said}");
    assert_eq!(damaged().await?, 1);
    pair.sql("DELETE FROM reservations WHERE space = 'another'").await?;
    pair.sql("UPDATE leases SET token = 1000").await?;
    let (rebuilt, said) = pair.tally(&["store", "rebuild"]).await?;
    assert!(rebuilt && said.contains("0 tiles mended"), "{said}");
    assert_eq!(damaged().await?, 0);
    let given_back = "SELECT FROM leases WHERE token = 1001 AND until <= clock_timestamp()";
    assert_eq!(pair.sql(given_back).await?, 1, "it had the lease, and gave it back");

    pair.theatre.stage.platform.start(&[]).await?;
    pair.other.start(&[]).await?;
    pair.look_for_owner().await?;
    let [driver, _] = pair.drivers()?;
    Box::pin(driver.run(End::Cancelled, &[PAYOUT_SAT])).await?;
    // An effect that the owner cannot read is damage as well, and the other one hears of it while it runs.
    let stage = &pair.theatre.stage;
    let task = stage.post("Begun before", &[PAYOUT_SAT], "REFUND").await?;
    let id = task["id"].as_str().context("a task has an id")?;
    stage.take(id, &[PAYOUT_SAT]).await?;
    let eaten = "INSERT INTO outbox (key, stream, body, due, attempts, finished) VALUES ('eaten', $$escrow/x$$, '', 0, 0, false)";
    pair.sql(eaten).await?;
    stage.requester.api.fund(id).await?;
    pair.until_health("damaged").await?;
    assert_eq!(pair.sql(DAMAGED).await?, 1);
    stage.requester.api.cancel(id).await?;
    pair.sql("DELETE FROM outbox WHERE key = 'eaten'").await?;
    std::mem::swap(&mut pair.theatre.stage.platform, &mut pair.other);
    assert_eq!(code_of(pair.theatre.stage.post("One more", &[PAYOUT_SAT], "REFUND").await), "app.damaged");
    pair.close(4).await
}
