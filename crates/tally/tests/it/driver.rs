//! A requester and a worker who do not give up: whatever happens to the node, they ask again until the task has ended.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tally::ask::{Api, bond, tranches};
use tally::demo::{Actor, LOOK, Stage};
use tallystick_app::{SystemClock, clock::Clock, mint_id};
use tallystick_core::{Msat, canonical};
use tallystick_devnet::RegtestChain;
use tallystick_escrow::Task;
use tallystick_graphql::client::ClientError;
use tokio::sync::Barrier;

use crate::paying::Paying;

use crate::longer::{Arbitrator, HOLD_BLOCKS};

/// The longest that a task may take, restarts of the node included.
pub const TASK_MAX: Duration = Duration::from_secs(90);
const HOUR_SECS: u64 = 3_600;
/// What each side puts up in a story with bonds.
pub const REQUESTER_BOND_SAT: u64 = 4_000;
const WORKER_BOND_SAT: u64 = 5_000;
pub const DAY: tallystick_core::Duration = tallystick_core::Duration::from_secs(7 * 86_400);

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
    /// One tranche of the first milestone is approved, and the rest given back; the second milestone is approved.
    Milestones,
    /// The hold is renewed near its end, and paid out.
    Renewed,
    /// Both sides put up bonds. The work is refused; an arbitrator rules that the first tranche and the requester's bond are paid out.
    Ruled,
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
    pub requester: Actor,
    pub worker: Actor,
    pub operator: Api,
    pub chain: Arc<RegtestChain>,
    /// Who can be drawn for a panel.
    pub arbitrators: Vec<Arbitrator>,
    gate: Option<Gate>,
}

impl Driver {
    pub fn new(stage: &Stage) -> Self {
        let (requester, worker) = (stage.requester.clone(), stage.worker.clone());
        let (operator, chain) = (stage.platform.operator().clone(), Arc::clone(&stage.chain));
        Self { requester, worker, operator, chain, arbitrators: Vec::new(), gate: None }
    }

    /// The same, speaking to another replica of the node.
    pub fn at(&self, url: &str) -> Result<Self> {
        let moved = |actor: &Actor| anyhow::Ok(Actor { api: Api::new(url, actor.keys.clone())?, ..actor.clone() });
        Ok(Self { requester: moved(&self.requester)?, worker: moved(&self.worker)?, ..self.clone() })
    }

    /// The same, waiting for others at a gate.
    pub fn with_gate(&self, gate: Gate) -> Self {
        Self { gate: Some(gate), ..self.clone() }
    }

    /// The same, where these can be drawn.
    pub fn with_arbitrators(&self, arbitrators: Vec<Arbitrator>) -> Self {
        Self { arbitrators, ..self.clone() }
    }

    async fn pass(&self, at: GateAt) {
        if let Some(gate) = self.gate.as_ref().filter(|gate| gate.at == at) {
            gate.barrier.wait().await;
        }
    }

    /// Posts a task, and nothing else.
    pub async fn post(&self) -> Result<Value> {
        let id = mint_id::<Task>(SystemClock.now()).map_err(|error| anyhow::anyhow!("{error}"))?.to_string();
        self.requester.api.create(self.input(&id, End::Paid, &[10_000])?).await
    }

    /// Drives a task of these payouts to its end, and answers it. `Undecided` answers once work is submitted.
    pub async fn run(&self, end: End, payouts_sat: &[u64]) -> Result<Value> {
        let start = Instant::now();
        let id = mint_id::<Task>(SystemClock.now()).map_err(|error| anyhow::anyhow!("{error}"))?.to_string();
        let input = self.input(&id, end, payouts_sat)?;
        let mut invoices = Vec::new();
        let bond = (end == End::Ruled).then_some(&REQUESTER_BOND_SAT);
        for payout in payouts_sat.iter().chain(bond) {
            invoices.push(self.worker.party.invoice(Msat::try_new(payout * 1_000)?, DAY).await?);
        }
        let work = canonical::sha256(id.as_bytes()).to_string();
        patiently(start, async || self.requester.api.create(input.clone()).await).await?;
        patiently(start, async || self.worker.api.accept(&id, &invoices).await).await?;
        let funded = self.fund(&id, end, start).await?;
        self.pass(GateAt::Funding).await;
        self.lock(&id, &funded, start).await?;
        self.pass(GateAt::Held).await;
        match end {
            End::Cancelled => {
                patiently(start, async || self.requester.api.cancel(&id).await).await?;
                return self.until(&id, &["REFUNDED"], start).await;
            }
            End::Milestones => self.pay_in_part(&id, start).await?,
            End::Renewed => self.renew(&id, start).await?,
            _ => {}
        }
        let last = u32::from(end == End::Milestones);
        let submitted = patiently(start, async || self.worker.api.submit(&id, last, &work).await).await?;
        match end {
            End::Paid | End::Killed | End::Milestones | End::Renewed => {
                patiently(start, async || self.requester.api.approve(&id, last, None).await).await?;
                self.until(&id, &["SETTLED"], start).await
            }
            End::PaidLate => {
                self.worker.party.go_offline().await;
                patiently(start, async || self.requester.api.approve(&id, 0, None).await).await?;
                let again = |task: &Value| task["milestones"][0]["tranches"][0]["attempts"].as_u64() >= Some(2);
                self.until_so(&id, start, "a payout is begun again", again).await?;
                self.worker.party.come_back().await?;
                self.until(&id, &["SETTLED"], start).await
            }
            End::Rejected => {
                patiently(start, async || self.requester.api.reject(&id, 0, &work).await).await?;
                self.until(&id, &["REFUNDED"], start).await
            }
            End::Ruled => {
                patiently(start, async || self.requester.api.reject(&id, 0, &work).await).await?;
                self.let_a_panel_rule(&id, start).await
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

    /// The task with its funding invoices.
    async fn fund(&self, id: &str, end: End, start: Instant) -> Result<Value> {
        let api = &self.requester.api;
        if end != End::Ruled {
            return patiently(start, async || api.fund(id).await).await;
        }
        let own = self.requester.party.invoice(Msat::try_new(WORKER_BOND_SAT * 1_000)?, DAY).await?;
        patiently(start, async || api.fund_with_bond(id, &own).await).await
    }

    /// Pays the funding invoices, those of bonds as well, until all money is held.
    async fn lock(&self, id: &str, funded: &Value, start: Instant) -> Result<()> {
        let mut paying = Paying::new(&self.requester.party, invoices(funded)?);
        for (of, side) in [("REQUESTER", &self.requester), ("WORKER", &self.worker)] {
            if bond(funded, of).is_some() {
                let shown = patiently(start, async || side.api.task(id).await).await?;
                let invoice = bond(&shown, of).and_then(|hold| hold["fundingInvoice"].as_str());
                paying.add(&side.party, invoice.context("the bond has an invoice")?.to_owned());
            }
        }
        let task = self.pay_all(id, paying, start, |task| task["state"] != "FUNDING").await?;
        ensure!(task["state"] == "HELD", "funding ended in {task}");
        Ok(())
    }

    /// Pays invoices, again if a payment fails, until the task is as it is to be.
    pub async fn pay_all(
        &self,
        id: &str,
        mut paying: Paying,
        start: Instant,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        loop {
            let task = patiently(start, async || self.requester.api.task(id).await).await?;
            if is_so(&task) {
                return Ok(task);
            }
            paying.tend().await;
            ensure!(start.elapsed() < TASK_MAX, "the money of {id} is not locked: {task}");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until a task is as it is to be.
    pub async fn until_so(
        &self,
        id: &str,
        start: Instant,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        loop {
            let task = patiently(start, async || self.requester.api.task(id).await).await?;
            if is_so(&task) {
                return Ok(task);
            }
            ensure!(start.elapsed() < TASK_MAX, "it takes too long until {what}: {task}");
            tokio::time::sleep(LOOK).await;
        }
    }

    fn input(&self, id: &str, end: End, payouts_sat: &[u64]) -> Result<Value> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let milestone = |payouts: &[u64]| json!({ "title": "A part of it", "payoutsSat": payouts, "workDeadline": now + HOUR_SECS });
        let milestones = match (end, payouts_sat) {
            (End::Milestones, [first @ .., last]) => vec![milestone(first), milestone(&[*last])],
            (_, all) => vec![milestone(all)],
        };
        let mut input = json!({
            "id": id,
            "title": "A task that must end well",
            "descriptionHash": canonical::sha256(b"a description").to_string(),
            "milestones": milestones,
            "reviewWindowSecs": HOUR_SECS,
            "onSilence": "REFUND",
        });
        match end {
            End::Renewed => {
                input["holdBlocks"] = json!(HOLD_BLOCKS);
                input["renewal"] = json!("REFUND");
            }
            End::Ruled => {
                input["panel"] = json!("ONE");
                input["requesterBondSat"] = json!(REQUESTER_BOND_SAT);
                input["workerBondSat"] = json!(WORKER_BOND_SAT);
            }
            _ => {}
        }
        Ok(input)
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
