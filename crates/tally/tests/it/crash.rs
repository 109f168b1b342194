//! The node is stopped at every write to its journal and at every call into the rail, before and after, in each story;
//! started again; and the end is the same: one payout or none, and no money lost.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::time::{Duration, Instant};
use tally::demo::{LOOK, Purses, STEP_MAX};
use tallystick_testkit::Cluster;

use crate::{
    driver::{Driver, End, Gate, GateAt, REQUESTER_BOND_SAT},
    kills::KILLS_VAR,
    longer::Arbitrator,
    mortal::{At, Mortal},
    support::assert_conserved,
};

const PAYOUT_SAT: u64 = 10_000;
/// What goes on top of a payout: 1 %, rounded up.
const FEE_PERCENT: u64 = 1;
/// What the arbitrator of a disputed task gets, in msat: a fifth of the fees of both tranches, 100 and 40 sat.
const REWARD_MSAT: u64 = 28_000;
/// How long payments may take to come to rest before the node is looked after.
const REST_MAX: Duration = Duration::from_secs(5);
/// More points than any story has: the harness must come to an end.
const POINTS_MAX: u64 = 400;
/// A dispute has more than two hundred points, most of them the same for each of its many requests: it dies at each n-th, and
/// at each name that was passed without that. `make soak` leaves none out.
const RULED_STEP: usize = 5;
/// How many points a story passes varies a little from run to run: its end is where so many runs in a row did not
/// reach theirs.
const CALM_RUNS: u32 = 3;
/// How often a run aims at a point by its name: holds end in any order, and some points come in some orders only.
const NAME_TRIES: u32 = 5;

/// In how many lives of the node in a row it dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deaths {
    Once,
    /// It dies again soon after it came back, at its first points, while it recovers.
    Twice,
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_out_whatever_happens() -> Result<()> {
    stop_everywhere(End::Paid, Deaths::Once).await
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_out_though_it_dies_while_recovering() -> Result<()> {
    stop_everywhere(End::Paid, Deaths::Twice).await
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_out_by_a_node_that_was_killed_with_money_held() -> Result<()> {
    stop_everywhere(End::Killed, Deaths::Once).await
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_to_a_worker_who_comes_back_whatever_happens() -> Result<()> {
    stop_everywhere(End::PaidLate, Deaths::Once).await
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_whatever_happens() -> Result<()> {
    stop_everywhere(End::Cancelled, Deaths::Once).await
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_though_it_dies_while_recovering() -> Result<()> {
    stop_everywhere(End::Cancelled, Deaths::Twice).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_whatever_happens() -> Result<()> {
    stop_everywhere(End::Rejected, Deaths::Once).await
}

#[tokio::test(flavor = "multi_thread")]
async fn refunded_at_the_deadline_whatever_happens() -> Result<()> {
    stop_everywhere(End::Undecided, Deaths::Once).await
}

#[tokio::test(flavor = "multi_thread")]
async fn milestones_are_paid_in_part_whatever_happens() -> Result<()> {
    stop_everywhere(End::Milestones, Deaths::Once).await
}

#[tokio::test(flavor = "multi_thread")]
async fn renewed_whatever_happens() -> Result<()> {
    stop_everywhere(End::Renewed, Deaths::Once).await
}

#[tokio::test(flavor = "multi_thread")]
async fn ruled_and_rewarded_whatever_happens() -> Result<()> {
    stop_everywhere(End::Ruled, Deaths::Once).await
}

#[tokio::test(flavor = "multi_thread")]
async fn paid_out_on_postgresql_whatever_happens() -> Result<()> {
    let cluster = Cluster::start(&[]);
    let node = Mortal::open_on_database(&cluster.database()).await?;
    stop_at_all_points(Show::of(End::Paid, node).await?, Deaths::Once).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_on_postgresql_whatever_happens() -> Result<()> {
    let cluster = Cluster::start(&[]);
    let node = Mortal::open_on_database(&cluster.database()).await?;
    stop_at_all_points(Show::of(End::Rejected, node).await?, Deaths::Once).await
}

async fn stop_everywhere(end: End, deaths: Deaths) -> Result<()> {
    stop_at_all_points(Show::of(end, Mortal::open().await?).await?, deaths).await
}

/// Plays a story once for each point (of a dispute: each fifth), with the node dying there, until it has passed several
/// times without reaching the point. What it passed in those calm runs, and never died at, is then aimed at by name.
async fn stop_at_all_points(mut show: Show, deaths: Deaths) -> Result<()> {
    let end = show.end;
    let (mut points, mut calm) = (0, 0);
    let step = if end == End::Ruled && std::env::var_os(KILLS_VAR).is_none() { RULED_STEP } else { 1 };
    for point in (1..POINTS_MAX).step_by(step) {
        let again = (deaths == Deaths::Twice).then(|| At::Number(1 + point % 4));
        if show.run([Some(At::Number(point)), again]).await? > 0 {
            (points, calm) = (point, 0);
        } else {
            calm += 1;
        }
        if calm == CALM_RUNS {
            break;
        }
    }
    assert_eq!(calm, CALM_RUNS, "{end:?}: more than {POINTS_MAX} points");
    for name in show.node.points_unseen() {
        for _ in 0..NAME_TRIES {
            if show.run([Some(At::Name(name.clone())), None]).await? > 0 {
                break;
            }
        }
    }
    let died_at = &show.node.died_at;
    for name in must_die_at(end) {
        for side in ["before", "after"] {
            let seen = died_at.iter().any(|point| point.starts_with(side) && point.contains(name));
            assert!(seen, "{end:?}: the node never died {side} {name}; it died at {died_at:?}");
        }
    }
    assert!(show.node.points_unseen().is_empty(), "{end:?}: never died at {:?}", show.node.points_unseen());
    println!("{end:?}, {deaths:?}: {points} points, stopped at {} different ones", died_at.len());
    show.node.theatre.close().await
}

/// What each run of a story passes, so that nothing is seen only because nothing was looked for.
fn must_die_at(end: End) -> Vec<&'static str> {
    let mut names = vec!["admit", "append escrow.work_submitted"];
    if !lives_until_held(end) {
        names.extend(["hold_invoice", "append escrow.task_created", "append escrow.task_accepted", "escrow.task_held"]);
    }
    let paid = ["pay", "claim_hold", "escrow.task_settled"];
    let given_back = ["cancel_hold", "escrow.task_refunded"];
    match end {
        End::Paid | End::Killed | End::PaidLate => names.extend(paid),
        End::Cancelled | End::Rejected | End::Undecided => names.extend(given_back),
        End::Milestones => names.extend(paid.into_iter().chain(["cancel_hold", "escrow.work_rejected"])),
        End::Renewed => names.extend(paid.into_iter().chain(["hold_invoice", "cancel_hold", "escrow.renewal_offered"])),
        End::Ruled => {
            names.extend(paid.into_iter().chain(["cancel_hold", "escrow.dispute_opened", "dispute.panel_drawn"]));
            names.extend(["keep evidence", "wrap keys", "touch evidence", "evidence_filed", "escrow.reward_paid"]);
            names.extend(["escrow.bond_taken", "escrow.bond_return_begun"]);
        }
    }
    if end == End::Cancelled {
        names.retain(|name| *name != "append escrow.work_submitted");
    }
    names
}

/// Whether the node lives until the money is held: what comes before is another story's.
fn lives_until_held(end: End) -> bool {
    matches!(end, End::Killed | End::Milestones | End::Renewed | End::Ruled)
}

/// The payouts of a story's task, in sats.
fn payouts_of(end: End) -> &'static [u64] {
    match end {
        End::Milestones => &[PAYOUT_SAT, 4_000, 6_000],
        End::Ruled => &[PAYOUT_SAT, 4_000],
        _ => &[PAYOUT_SAT],
    }
}

/// What a story moves, in msat: paid by the requester, and earned at the worker's node.
fn moved(end: End) -> (u64, u64) {
    let (paid_out, reward): (&[u64], _) = match end {
        End::Paid | End::Killed | End::PaidLate | End::Renewed => (&[PAYOUT_SAT], 0),
        End::Milestones => (&[PAYOUT_SAT, 6_000], 0),
        End::Ruled => (&[PAYOUT_SAT, REQUESTER_BOND_SAT], REWARD_MSAT),
        End::Cancelled | End::Rejected | End::Undecided => (&[], 0),
    };
    let fee = |payout: u64| (payout * FEE_PERCENT).div_ceil(100);
    let paid: u64 = paid_out.iter().map(|payout| payout + fee(*payout)).sum();
    let earned: u64 = paid_out.iter().sum();
    (paid * 1_000, earned * 1_000 + reward)
}

/// One story on one stage, played again and again.
struct Show {
    end: End,
    node: Mortal,
    channels: Vec<(String, String)>,
    before: Purses,
    arbitrators: Vec<Arbitrator>,
}

impl Show {
    async fn of(end: End, node: Mortal) -> Result<Self> {
        let (channels, before) = (node.theatre.channels().await?, node.theatre.stage.purses().await?);
        let ruled = end == End::Ruled;
        let arbitrators = if ruled { Arbitrator::some(&node.theatre.stage).await? } else { Vec::new() };
        Ok(Self { end, node, channels, before, arbitrators })
    }

    /// Plays one task with a node that dies at these points, each in a life of its own, and checks its end. Answers how
    /// often it died.
    async fn run(&mut self, at: [Option<At>; 2]) -> Result<u32> {
        let (end, told) = (self.end, format!("{:?}, stopped at {at:?}", self.end));
        let at: Vec<At> = at.into_iter().flatten().collect();
        let deaths = self.node.deaths;
        // A node that is to be killed with the money held lives until then.
        self.node.begin(if lives_until_held(end) { &[] } else { &at }).await.context(told.clone())?;
        Box::pin(self.play(&at)).await.context(told.clone())?;
        let (after, channels) = self.at_rest().await.context(told.clone())?;
        let (paid, earned) = moved(end);
        assert_conserved(&self.before, &after, paid, earned);
        assert_eq!(channels, self.channels, "{told}: a channel was closed");
        self.before = after;
        self.node.note_points()?;
        Ok(self.node.deaths - deaths)
    }

    /// Plays one task to its end, starting the node again when it dies.
    async fn play(&mut self, at: &[At]) -> Result<()> {
        let gate = Gate::new(GateAt::Held, 2);
        let driver = Driver::new(&self.node.theatre.stage).with_arbitrators(self.arbitrators.clone());
        let lives_until_held = lives_until_held(self.end);
        let driver = if lives_until_held { driver.with_gate(gate.clone()) } else { driver };
        let driving = driver.run(self.end, payouts_of(self.end));
        let held = gate.barrier.wait();
        tokio::pin!(driving, held);
        let mut to_be_killed = lives_until_held;
        let task = loop {
            tokio::select! {
                task = &mut driving => break task?,
                _ = &mut held, if to_be_killed => {
                    to_be_killed = false;
                    self.node.kill_and_begin(at).await?;
                }
                () = tokio::time::sleep(LOOK) => self.node.revive()?,
            }
        };
        if self.end == End::Undecided { self.let_the_deadline_come(&task).await } else { Ok(()) }
    }

    async fn let_the_deadline_come(&mut self, task: &Value) -> Result<()> {
        let id = task["id"].as_str().context("a task has an id")?;
        let start = Instant::now();
        let decide_by = task["milestones"][0]["decideBy"].as_u64().context("a submitted task has a deadline")?;
        let stage = &self.node.theatre.stage;
        let api = stage.requester.api.clone();
        let blocks = decide_by.saturating_sub(u64::from(stage.height().await?));
        stage.chain.miner().mine(u32::try_from(blocks)?).await?;
        loop {
            self.node.revive()?;
            if let Ok(task) = api.task(id).await
                && task["state"] == "REFUNDED"
            {
                ensure!(task["reason"] == "BLOCKS_RAN_OUT", "refunded for another reason: {task}");
                return Ok(());
            }
            ensure!(start.elapsed() < STEP_MAX, "task {id} was not refunded at its deadline");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Everybody's money at rest, and the channels. The last points of a story come after its end: the node may die
    /// even now.
    async fn at_rest(&mut self) -> Result<(Purses, Vec<(String, String)>)> {
        let start = Instant::now();
        loop {
            self.node.revive()?;
            let theatre = &self.node.theatre;
            let looking = async { anyhow::Ok((theatre.stage.purses().await?, theatre.channels().await?)) };
            let seen = tokio::time::timeout(REST_MAX, looking).await;
            if let Ok(Ok(seen)) = seen {
                return Ok(seen);
            }
            ensure!(start.elapsed() < STEP_MAX, "the payments do not come to rest: {seen:?}");
        }
    }
}
