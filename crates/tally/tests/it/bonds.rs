//! Bonds on real Lightning: given back, taken from a worker who walks out, and not taken when it was the node that was away.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tally::{
    ask::{Known, bond, check_bond, check_funding, tranches},
    demo::{Actor, Purses, task_input},
};
use tallystick_app::away::AWAY_MIN;
use tallystick_core::Msat;
use tallystick_devnet::Party;

use crate::{
    gate::Gate,
    support::{BINARY, Theatre, assert_conserved},
};

const PAYOUT: u64 = 10_000;
/// What the requester and the worker put up, in sat; a hundredth is the fee of one that is taken.
const REQUESTERS: u64 = 3_000;
const WORKERS: u64 = 2_000;
/// From the posting of a task to its deadline: twice as long as it takes to lock everything, on a slow machine as well.
const PROMISE: Duration = Duration::from_secs(118);
/// How late work comes that is late.
const LATE_SECS: u64 = 20;
/// How long a payment may be held.
const PAYMENT_MAX: tallystick_core::Duration = tallystick_core::Duration::from_secs(3_600);

fn now() -> Result<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

/// A task with bonds, all of it locked: each side pays what its own client has checked.
async fn held(theatre: &Theatre, input: Value) -> Result<Value> {
    let stage = &theatre.stage;
    let (requester, worker) = (&stage.requester, &stage.worker);
    let task = requester.api.create(input).await?;
    let id = task["id"].as_str().context("a task has an id")?;
    let mut payouts = vec![PAYOUT];
    payouts.extend(bond(&task, "REQUESTER").map(|_| REQUESTERS));
    stage.take(id, &payouts).await?;
    let offer = requester.party.invoice(Msat::try_new(WORKERS * 1_000)?, PAYMENT_MAX_INVOICE).await?;
    let task = requester.api.fund_with_bond(id, &offer).await?;

    let task = requester.api.with_evidence(task).await?;
    check_funding(&task, &known(theatre, requester, id).await?)?;
    let own = bond(&task, "REQUESTER");
    for hold in tranches(&task).chain(own) {
        pay(&requester.party, hold)?;
    }
    let task = worker.api.with_evidence(worker.api.task(id).await?).await?;
    let task = worker.api.with_bond_offer(task).await?;
    let known = known(theatre, worker, id).await?;
    check_bond(&task, &known)?;
    // What somebody else signed is refused.
    let mut other = task.clone();
    other["bondOffer"] = task["posting"].clone();
    ensure!(check_bond(&other, &known).is_err(), "a request without an invoice proves nothing");
    pay(&worker.party, bond(&task, "WORKER").context("the worker's bond")?)?;
    stage.until_state(id, "HELD").await
}

/// For how long the requester's invoice for the bond can be paid: beyond the work, the review and the margin.
const PAYMENT_MAX_INVOICE: tallystick_core::Duration = tallystick_core::Duration::from_secs(7 * 86_400);

async fn known(theatre: &Theatre, actor: &Actor, id: &str) -> Result<Known> {
    let info = theatre.stage.platform.info().await?;
    Ok(Known {
        id: id.parse()?,
        node: info["lightning"]["nodeId"].as_str().context("a node id is text")?.parse()?,
        requester: actor.api.client().author(),
        fee_percent_max: 1,
        worker: None,
        now: now()?,
    })
}

/// A wallet begins to pay what a hold asks for.
fn pay(party: &Arc<Party>, hold: &Value) -> Result<()> {
    let bolt11 = hold["fundingInvoice"].as_str().context("a hold has an invoice")?.to_owned();
    let party = Arc::clone(party);
    drop(tokio::spawn(async move { party.pay(&bolt11, Msat::ZERO, PAYMENT_MAX).await }));
    Ok(())
}

/// A task whose worker promises something by its deadline, which comes soon.
fn promised() -> Result<Value> {
    let mut input = task_input("A promise", &[PAYOUT], "REFUND", None)?;
    input["milestones"][0]["workDeadline"] = json!((now()? + PROMISE).as_secs());
    input["workerBondSat"] = json!(WORKERS);
    Ok(input)
}

fn end_of<'a>(task: &'a Value, of: &str) -> (Option<&'a str>, Option<&'a str>) {
    let hold = bond(task, of);
    let text = |name: &str| hold.and_then(|hold| hold[name].as_str());
    (text("state"), text("reason"))
}

/// What fsck says, with the node running.
async fn is_sound(theatre: &Theatre) -> Result<()> {
    let mut fsck = tokio::process::Command::new(BINARY);
    fsck.arg("fsck").arg("--data-dir").arg(theatre.stage.platform.dir());
    let told = fsck.kill_on_drop(true).output().await?;
    ensure!(told.status.success(), "{told:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn bonds_go_back_and_a_broken_promise_pays_the_other_side() -> Result<()> {
    let theatre = Theatre::open(&[]).await?;
    let stage = &theatre.stage;
    let before = stage.purses().await?;
    let mut input = task_input("Work with bonds", &[PAYOUT], "REFUND", None)?;
    (input["panel"], input["requesterBondSat"], input["workerBondSat"]) =
        (json!("ONE"), json!(REQUESTERS), json!(WORKERS));
    let task = held(&theatre, input).await?;
    assert_eq!((end_of(&task, "REQUESTER"), end_of(&task, "WORKER")), ((Some("HELD"), None), (Some("HELD"), None)));
    let id = task["id"].as_str().context("a task has an id")?;
    stage.worker.api.submit(id, 0, &"cd".repeat(32)).await?;
    stage.requester.api.approve(id, 0, None).await?;
    let ended = stage.until_state(id, "SETTLED").await?;
    for side in ["REQUESTER", "WORKER"] {
        assert_eq!(end_of(&ended, side), (Some("RETURNED"), Some("BOND_KEPT")));
    }
    let between = stage.purses().await?;
    assert_conserved(&before, &between, 10_100_000, 10_000_000);

    // The worker takes two more. It is late with the one, by less than is allowed, and walks out of the other.
    let late = held(&theatre, promised()?).await?;
    let task = held(&theatre, promised()?).await?;
    let (late_id, id) = (late["id"].as_str().context("an id")?, task["id"].as_str().context("an id")?);
    pass_until(late["milestones"][0]["workDeadline"].as_u64().context("a deadline")? + LATE_SECS).await?;
    stage.worker.api.submit(late_id, 0, &"cd".repeat(32)).await?;
    stage.requester.api.approve(late_id, 0, None).await?;
    let ended = stage.until_state(late_id, "SETTLED").await?;
    assert_eq!(end_of(&ended, "WORKER"), (Some("RETURNED"), Some("BOND_KEPT")));
    pass_until(promised_by(&task)?).await?;
    let ended = stage.until_state(id, "REFUNDED").await?;
    assert_eq!(ended["reason"], "WORK_DEADLINE");
    assert_eq!(end_of(&ended, "WORKER"), (Some("CLAIMED"), Some("BROKEN_PROMISE")));
    let after = stage.purses().await?;
    assert_eq!(after.sum(), between.sum(), "money appeared or vanished");
    assert_eq!(after.requester, between.requester - 10_100_000 + 2_000_000, "the bond, whole");
    assert_eq!(after.worker, between.worker + 10_000_000 - 2_020_000);
    assert_eq!(after.platform, between.platform + 100_000 + 20_000, "the fees for paying out");
    is_sound(&theatre).await?;
    theatre.close().await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_bond_is_taken_for_a_time_in_which_the_node_was_away() -> Result<()> {
    let mut theatre = Theatre::open(&[]).await?;
    let before = theatre.stage.purses().await?;
    let task = held(&theatre, promised()?).await?;
    let id = task["id"].as_str().context("a task has an id")?;
    theatre.stage.platform.kill().await?;
    pass_an_outage().await;
    theatre.stage.platform.start(&[]).await?;
    keeps_its_bond(&theatre, id, &before).await?;
    theatre.close().await
}

/// A process that was stopped tells so when it goes on, before it takes the bond.
#[tokio::test(flavor = "multi_thread")]
async fn no_bond_is_taken_by_a_node_that_stood_still() -> Result<()> {
    let theatre = Theatre::open(&[]).await?;
    let before = theatre.stage.purses().await?;
    let task = held(&theatre, promised()?).await?;
    let id = task["id"].as_str().context("a task has an id")?;
    let pid = theatre.stage.platform.pid().and_then(Pid::from_raw).context("it runs")?;
    kill_process(pid, Signal::STOP)?;
    pass_an_outage().await;
    kill_process(pid, Signal::CONT)?;
    keeps_its_bond(&theatre, id, &before).await?;
    theatre.close().await
}

/// What stands before the API does not let anybody in, while the node itself is well.
#[tokio::test(flavor = "multi_thread")]
async fn no_bond_is_taken_by_a_node_that_nobody_reaches() -> Result<()> {
    let gate = Gate::listen().await?;
    let theatre = Theatre::open_behind(&gate).await?;
    let before = theatre.stage.purses().await?;
    let task = held(&theatre, promised()?).await?;
    let id = task["id"].as_str().context("a task has an id")?;
    let log = || std::fs::read_to_string(theatre.stage.platform.log_file());
    assert!(!log()?.contains("reach this node"), "it is reached");
    gate.close();
    pass_an_outage().await;
    gate.lead_to(theatre.stage.platform.api_listen());
    keeps_its_bond(&theatre, id, &before).await?;
    let log = log()?;
    assert!(log.contains("users do not reach this node") && log.contains("users reach this node again"), "{log}");
    theatre.close().await
}

/// Long enough to be an outage.
async fn pass_an_outage() {
    tokio::time::sleep(Duration::from_millis(AWAY_MIN.as_millis()) + Duration::from_secs(1)).await;
}

/// Time itself is waited for, to a Unix second: there is no condition to look for.
async fn pass_until(secs: u64) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(secs).saturating_sub(now()?)).await;
    Ok(())
}

/// When the worker's bond is taken, if nothing is handed in.
fn promised_by(task: &Value) -> Result<u64> {
    let mut bonds = task["bonds"].as_array().into_iter().flatten();
    let of_worker = bonds.find(|bond| bond["of"] == "WORKER").context("the worker puts up a bond")?;
    of_worker["promisedBy"].as_u64().context("the bond is at stake")
}

async fn keeps_its_bond(theatre: &Theatre, id: &str, before: &Purses) -> Result<()> {
    pass_until(promised_by(&theatre.stage.worker.api.task(id).await?)?).await?;
    let ended = theatre.stage.until_state(id, "REFUNDED").await?;
    assert_eq!(ended["reason"], "WORK_DEADLINE");
    assert_eq!(end_of(&ended, "WORKER"), (Some("RETURNED"), Some("BOND_KEPT")));
    assert_eq!(theatre.stage.purses().await?, *before, "everybody has what was theirs");
    is_sound(theatre).await
}
