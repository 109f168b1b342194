//! A requester and a worker who do not give up: whatever happens to the node, they ask again until the task has ended.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tally::ask::{Api, tranches};
use tally::demo::{Actor, LOOK, Stage};
use tallystick_app::{SystemClock, clock::Clock, mint_id};
use tallystick_core::{Msat, canonical};
use tallystick_escrow::Task;
use tallystick_graphql::client::ClientError;
use tokio::sync::Barrier;

use crate::paying::Paying;

/// The longest that a task may take, restarts of the node included.
const TASK_MAX: Duration = Duration::from_secs(90);
const HOUR_SECS: u64 = 3_600;
const DAY: tallystick_core::Duration = tallystick_core::Duration::from_secs(7 * 86_400);

/// How the two want their task to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Paid,
    /// The same, with the node killed while it holds the money: whoever drives sees to it at [`GateAt::Held`].
    Killed,
    /// The worker is offline at approval, and comes back.
    PaidLate,
    Cancelled,
    Rejected,
    /// Nobody decides once work is submitted.
    Undecided,
}

/// Where several drivers wait for each other, so that their escrows are in flight together.
#[derive(Clone)]
pub struct Gate {
    pub barrier: Arc<Barrier>,
    pub at: GateAt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateAt {
    /// Before the money is locked.
    Funding,
    /// With the money held.
    Held,
}

impl Gate {
    /// A gate that opens when so many have come to it.
    pub fn new(at: GateAt, parties: usize) -> Self {
        Self { barrier: Arc::new(Barrier::new(parties)), at }
    }
}

#[derive(Clone)]
pub struct Driver {
    requester: Actor,
    worker: Actor,
    gate: Option<Gate>,
}

impl Driver {
    pub fn new(stage: &Stage) -> Self {
        Self { requester: stage.requester.clone(), worker: stage.worker.clone(), gate: None }
    }

    /// The same, speaking to another replica of the node.
    pub fn at(&self, url: &str) -> Result<Self> {
        let moved = |actor: &Actor| anyhow::Ok(Actor { api: Api::new(url, actor.keys.clone())?, ..actor.clone() });
        Ok(Self { requester: moved(&self.requester)?, worker: moved(&self.worker)?, gate: self.gate.clone() })
    }

    /// The same, waiting for others at a gate.
    pub fn with_gate(&self, gate: Gate) -> Self {
        Self { gate: Some(gate), ..self.clone() }
    }

    async fn pass(&self, at: GateAt) {
        if let Some(gate) = self.gate.as_ref().filter(|gate| gate.at == at) {
            gate.barrier.wait().await;
        }
    }

    /// Drives a task of these payouts to its end, and answers it. `Undecided` answers once work is submitted.
    pub async fn run(&self, end: End, payouts_sat: &[u64]) -> Result<Value> {
        let start = Instant::now();
        let id = mint_id::<Task>(SystemClock.now()).map_err(|error| anyhow::anyhow!("{error}"))?.to_string();
        let input = self.input(&id, payouts_sat)?;
        let mut invoices = Vec::new();
        for payout in payouts_sat {
            invoices.push(self.worker.party.invoice(Msat::try_new(payout * 1_000)?, DAY).await?);
        }
        let work = canonical::sha256(id.as_bytes()).to_string();
        patiently(start, async || self.requester.api.create(input.clone()).await).await?;
        patiently(start, async || self.worker.api.accept(&id, &invoices).await).await?;
        let funded = patiently(start, async || self.requester.api.fund(&id).await).await?;
        self.pass(GateAt::Funding).await;
        self.lock(&id, &funded, start).await?;
        self.pass(GateAt::Held).await;
        if end == End::Cancelled {
            patiently(start, async || self.requester.api.cancel(&id).await).await?;
            return self.until(&id, &["REFUNDED"], start).await;
        }
        let submitted = patiently(start, async || self.worker.api.submit(&id, 0, &work).await).await?;
        match end {
            End::Paid | End::Killed => {
                patiently(start, async || self.requester.api.approve(&id, 0, None).await).await?;
                self.until(&id, &["SETTLED"], start).await
            }
            End::PaidLate => {
                self.worker.party.go_offline().await;
                patiently(start, async || self.requester.api.approve(&id, 0, None).await).await?;
                self.until_tried_twice(&id, start).await?;
                self.worker.party.come_back().await?;
                self.until(&id, &["SETTLED"], start).await
            }
            End::Rejected => {
                patiently(start, async || self.requester.api.reject(&id, 0, &work).await).await?;
                self.until(&id, &["REFUNDED"], start).await
            }
            End::Undecided => Ok(submitted),
            End::Cancelled => unreachable!("cancelled before work was submitted"),
        }
    }

    /// Waits until a task is in one of these states.
    pub async fn until(&self, id: &str, states: &[&str], start: Instant) -> Result<Value> {
        loop {
            let task = patiently(start, async || self.requester.api.task(id).await).await?;
            let state = task["state"].as_str().unwrap_or_default();
            if states.contains(&state) {
                return Ok(task);
            }
            ensure!(
                !["SETTLED", "REFUNDED", "CANCELLED", "EXPIRED"].contains(&state),
                "task {id} ended as {state}, not as one of {states:?}: {task}"
            );
            ensure!(start.elapsed() < TASK_MAX, "task {id} is still {state}: {task}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until a payout has failed and was begun again.
    async fn until_tried_twice(&self, id: &str, start: Instant) -> Result<()> {
        loop {
            let task = patiently(start, async || self.requester.api.task(id).await).await?;
            if task["milestones"][0]["tranches"][0]["attempts"].as_u64() >= Some(2) {
                return Ok(());
            }
            ensure!(start.elapsed() < TASK_MAX, "no second attempt was made: {task}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Pays the funding invoices, again if a payment fails, until all money is held.
    async fn lock(&self, id: &str, funded: &Value, start: Instant) -> Result<()> {
        let mut paying = Paying::new(&self.requester.party, invoices(funded)?);
        loop {
            let task = patiently(start, async || self.requester.api.task(id).await).await?;
            if task["state"] != "FUNDING" {
                ensure!(task["state"] == "HELD", "funding ended in {task}");
                return Ok(());
            }
            paying.tend().await;
            ensure!(start.elapsed() < TASK_MAX, "the money of {id} is not locked: {task}");
            tokio::time::sleep(LOOK).await;
        }
    }

    fn input(&self, id: &str, payouts_sat: &[u64]) -> Result<Value> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Ok(json!({
            "id": id,
            "title": "A task that must end well",
            "descriptionHash": canonical::sha256(b"a description").to_string(),
            "milestones": [{ "title": "All of it", "payoutsSat": payouts_sat, "workDeadline": now + HOUR_SECS }],
            "reviewWindowSecs": HOUR_SECS,
            "onSilence": "REFUND",
        }))
    }
}

/// The funding invoices of a task, one for each tranche.
pub fn invoices(funded: &Value) -> Result<Vec<String>> {
    let invoice = |tranche: &Value| tranche["fundingInvoice"].as_str().map(str::to_owned);
    tranches(funded).map(|tranche| invoice(tranche).context("an invoice for each tranche")).collect()
}

/// Asks again while the node is away, as any good client would.
pub async fn patiently<T>(start: Instant, ask: impl AsyncFn() -> Result<T>) -> Result<T> {
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if is_passing(&error) && start.elapsed() < TASK_MAX => tokio::time::sleep(LOOK).await,
            Err(error) => return Err(error),
        }
    }
}

/// Whether an error goes away by itself.
pub fn is_passing(error: &anyhow::Error) -> bool {
    let passing = [
        "client.unreachable",
        "app.starting",
        "app.pending",
        "app.busy",
        // Signed while the node was away, and heard when it was back; or asked more often than one user may.
        "auth.before_start",
        "request.too_many",
        "store.unavailable",
        "lightning.unavailable",
    ];
    error.downcast_ref::<ClientError>().is_some_and(|error| passing.contains(&error.code.as_str()))
}

/// The code of an error of the API.
pub fn code_of<T: std::fmt::Debug>(result: Result<T>) -> String {
    let error = result.expect_err("the node should refuse this");
    error.downcast_ref::<ClientError>().expect("an error of the API").code.clone()
}
