//! The stories of one hold, told through the node's public API as any client would.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};
use tallystick_core::{Msat, canonical};

use super::{report::Report, stage::Stage};
use crate::ask::tranches;

/// How long a worker's invoice can be paid: longer than any task of the demo.
pub const INVOICE_EXPIRY_SECS: u64 = 7 * 86_400;
const HOUR_SECS: u64 = 3_600;
/// How long a payer waits for the end of a held payment.
const PAYMENT_MAX_SECS: u64 = 600;

/// What a story moved, in msat: what the parties' balances must show afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// What requesters paid.
    pub paid_msat: u64,
    /// What workers got.
    pub earned_msat: u64,
}

impl Moved {
    /// The sum of two stories.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self { paid_msat: self.paid_msat + other.paid_msat, earned_msat: self.earned_msat + other.earned_msat }
    }
}

/// A stage, a report, and the stories.
pub struct Teller<'a> {
    pub(super) stage: &'a mut Stage,
    pub(super) report: &'a mut Report,
    /// The first task.
    pub(super) first: Option<String>,
    /// While money is held: the last block at which its payout may begin.
    pub(super) decide_by: Option<u32>,
}

impl<'a> Teller<'a> {
    /// Tells the stories of this stage in this report.
    pub fn new(stage: &'a mut Stage, report: &'a mut Report) -> Self {
        Self { stage, report, first: None, decide_by: None }
    }

    /// All stories, and the proof at their end.
    ///
    /// # Errors
    /// If anything is off.
    pub async fn all(&mut self) -> Result<Moved> {
        let mut moved = self.paid_out().await?.and(self.cancelled().await?);
        moved = moved.and(self.killed().await?).and(self.worker_offline().await?).and(self.deadline().await?);
        moved = moved.and(self.renewed().await?).and(self.disputed().await?);
        self.proven().await?;
        Ok(moved)
    }

    /// Story 1: a task is paid out.
    ///
    /// # Errors
    /// If anything is off.
    pub async fn paid_out(&mut self) -> Result<Moved> {
        self.report.title("1. A task is paid out");
        let id = self.held_task("Translate a page", 50_000, "RELEASE").await?;
        self.submit(&id).await?;
        self.approve(&id).await?;
        self.settled(&id).await
    }

    /// Story 2: a task is cancelled and the requester refunded.
    ///
    /// # Errors
    /// If anything is off.
    pub async fn cancelled(&mut self) -> Result<Moved> {
        self.report.title("2. A task is cancelled, the requester gets everything back");
        let id = self.held_task("Proofread a page", 30_000, "RELEASE").await?;
        let task = self.stage.requester.api.cancel(&id).await?;
        self.step("requester", &format!("cancels the task: {}", state(&task))).await?;
        self.refunded(&id, "CANCELLED_BY_REQUESTER").await
    }

    /// Story 3: the node is killed while money is held, comes back, and pays out.
    ///
    /// # Errors
    /// If anything is off.
    pub async fn killed(&mut self) -> Result<Moved> {
        self.report.title("3. The node is killed while it holds money, comes back, and pays out");
        let id = self.held_task("Draw a map", 80_000, "RELEASE").await?;
        self.submit(&id).await?;
        self.stage.platform.kill().await?;
        self.step("node", "is killed (SIGKILL) with the requester's money held").await?;
        self.stage.platform.start(&[]).await?;
        self.stage.until_usable().await?;
        let task = self.stage.requester.api.task(&id).await?;
        self.step("node", &format!("is back; the task is {}", state(&task))).await?;
        self.approve(&id).await?;
        self.settled(&id).await
    }

    /// Story 4: the worker is offline at approval, comes back, and is paid.
    ///
    /// # Errors
    /// If anything is off.
    pub async fn worker_offline(&mut self) -> Result<Moved> {
        self.report.title("4. The worker is offline at approval, comes back, and is paid");
        let id = self.held_task("Record a voice", 40_000, "RELEASE").await?;
        self.submit(&id).await?;
        self.stage.worker.party.go_offline().await;
        self.stage
            .until("the node has noticed", async || {
                Ok(self.stage.platform.info().await?["lightning"]["usableChannels"] == 1)
            })
            .await?;
        self.step("worker", "goes offline").await?;
        self.approve(&id).await?;
        self.stage
            .until("a second payout was begun", async || {
                let task = self.stage.requester.api.task(&id).await?;
                Ok(task["milestones"][0]["tranches"][0]["attempts"].as_u64() >= Some(2))
            })
            .await?;
        self.step("node", "cannot reach the worker; the money stays held, the payout is tried again").await?;
        self.stage.worker.party.come_back().await?;
        self.step("worker", "comes back").await?;
        self.settled(&id).await
    }

    /// Story 5: the deadline comes near without approval; the node refunds by itself, before LDK has to.
    ///
    /// # Errors
    /// If anything is off.
    pub async fn deadline(&mut self) -> Result<Moved> {
        self.report.title("5. Nobody decides; the node gives the money back before Lightning has to");
        let id = self.held_task("Water the plants", 20_000, "REFUND").await?;
        self.submit(&id).await?;
        let task = self.stage.requester.api.task(&id).await?;
        let claim_deadline =
            task["milestones"][0]["tranches"][0]["claimDeadline"].as_u64().context("a held tranche has a deadline")?;
        let blocks = task["milestones"][0]["blocksToDecide"].as_u64().context("a submitted task counts blocks")?;
        self.stage.mine(u32::try_from(blocks)?).await?;
        self.step("chain", &format!("{blocks} blocks pass; nobody approves, nobody rejects")).await?;
        let moved = self.refunded(&id, "BLOCKS_RAN_OUT").await?;
        let height = u64::from(self.stage.height().await?);
        ensure!(height < claim_deadline, "the refund came at {height}, not before {claim_deadline}");
        let spare = claim_deadline - height;
        self.step("node", &format!("was {spare} blocks ahead of Lightning's own deadline (block {claim_deadline})"))
            .await?;
        Ok(moved)
    }

    /// Posts, takes and funds a task, up to where its money is held.
    async fn held_task(&mut self, title: &str, payout_sat: u64, on_silence: &str) -> Result<String> {
        let task = self.stage.post(title, &[payout_sat], on_silence).await?;
        self.hold(task, title, payout_sat).await
    }

    /// Takes and funds a posted task of one payout, up to where its money is held.
    pub(super) async fn hold(&mut self, task: Value, title: &str, payout_sat: u64) -> Result<String> {
        let id = task["id"].as_str().context("a task has an id")?.to_owned();
        self.first.get_or_insert_with(|| id.clone());
        let fee = &task["milestones"][0]["tranches"][0]["feeSat"];
        self.step("requester", &format!("posts \"{title}\": {payout_sat} sat for the worker, {fee} sat fee")).await?;
        self.stage.take(&id, &[payout_sat]).await?;
        self.step("worker", &format!("takes it with an invoice of their own over {payout_sat} sat")).await?;
        let task = self.stage.requester.api.fund(&id).await?;
        self.step("node", &format!("makes a hold invoice on the worker's payment hash {}", hash(&task))).await?;
        self.stage.pay(&task)?;
        let task = self.stage.until_state(&id, "HELD").await?;
        let amount = &task["milestones"][0]["tranches"][0]["holdSat"];
        let decide_by = task["milestones"][0]["decideBy"].as_u64().context("a held task must be decided in time")?;
        self.decide_by = Some(u32::try_from(decide_by)?);
        self.step("requester", &format!("locks {amount} sat; the node cannot take them")).await?;
        Ok(id)
    }

    pub(super) async fn submit(&mut self, id: &str) -> Result<()> {
        self.stage.worker.api.submit(id, 0, &canonical::sha256(b"the work").to_string()).await?;
        self.step("worker", "hands in work").await
    }

    pub(super) async fn approve(&mut self, id: &str) -> Result<()> {
        self.stage.requester.api.approve(id, 0, None).await?;
        self.step("requester", "approves").await
    }

    pub(super) async fn settled(&mut self, id: &str) -> Result<Moved> {
        let task = self.stage.until_state(id, "SETTLED").await?;
        let tranche = &task["milestones"][0]["tranches"][0];
        self.decide_by = None;
        let (payout, hold) = (sat(&tranche["payoutSat"])?, sat(&tranche["holdSat"])?);
        let fee = hold - payout;
        let text =
            format!("pays {payout} sat to the worker, learns the preimage by it, claims {hold} sat; keeps {fee} sat");
        self.step("node", &text).await?;
        Ok(Moved { paid_msat: hold * 1_000, earned_msat: payout * 1_000 })
    }

    async fn refunded(&mut self, id: &str, reason: &str) -> Result<Moved> {
        let task = self.stage.until_state(id, "REFUNDED").await?;
        ensure!(task["reason"] == reason, "the refund's reason is {}, not {reason}", task["reason"]);
        self.decide_by = None;
        self.step("node", &format!("gives {} sat back", task["milestones"][0]["tranches"][0]["holdSat"])).await?;
        Ok(Moved::default())
    }

    pub(super) async fn step(&mut self, who: &str, what: &str) -> Result<()> {
        let height = self.stage.height().await?;
        self.report.step(height, self.decide_by.map(|block| block.saturating_sub(height)), who, what);
        Ok(())
    }
}

impl Stage {
    /// The requester posts a task.
    ///
    /// # Errors
    /// If the node refuses.
    pub async fn post(&self, title: &str, payouts_sat: &[u64], on_silence: &str) -> Result<Value> {
        self.post_holding(title, payouts_sat, on_silence, None).await
    }

    /// The requester posts a task whose hold is usable for so many blocks.
    ///
    /// # Errors
    /// If the node refuses.
    pub async fn post_holding(
        &self,
        title: &str,
        payouts_sat: &[u64],
        on_silence: &str,
        hold_blocks: Option<u32>,
    ) -> Result<Value> {
        self.requester.api.create(task_input(title, payouts_sat, on_silence, hold_blocks)?).await
    }

    /// The worker takes it, with an invoice for each payout.
    ///
    /// # Errors
    /// If the node refuses.
    pub async fn take(&self, id: &str, payouts_sat: &[u64]) -> Result<Value> {
        self.worker.api.accept(id, &self.invoices(payouts_sat).await?).await
    }

    /// An invoice of the worker's for each payout.
    ///
    /// # Errors
    /// If the worker's wallet makes none.
    pub async fn invoices(&self, payouts_sat: &[u64]) -> Result<Vec<String>> {
        let mut invoices = Vec::new();
        for payout in payouts_sat {
            let amount = Msat::try_new(payout * 1_000)?;
            let expiry = tallystick_core::Duration::from_secs(INVOICE_EXPIRY_SECS);
            invoices.push(self.worker.party.invoice(amount, expiry).await?);
        }
        Ok(invoices)
    }

    /// The requester's wallet begins to pay the funding invoices; they are held, so nobody waits for them.
    ///
    /// # Errors
    /// If an invoice is missing.
    pub fn pay(&self, task: &Value) -> Result<Vec<Payment>> {
        self.pay_each(tranches(task).map(|tranche| &tranche["fundingInvoice"]))
    }

    /// The same for the next holds of a task whose holds are to be renewed.
    ///
    /// # Errors
    /// If an invoice is missing.
    pub fn pay_renewals(&self, task: &Value) -> Result<Vec<Payment>> {
        self.pay_each(tranches(task).map(|tranche| &tranche["renewal"]["fundingInvoice"]))
    }

    fn pay_each<'v>(&self, invoices: impl Iterator<Item = &'v Value>) -> Result<Vec<Payment>> {
        invoices
            .map(|invoice| {
                let bolt11 = invoice.as_str().context("a funded tranche has an invoice")?.to_owned();
                let party = self.requester.party.clone();
                Ok(tokio::spawn(async move {
                    let wait = tallystick_core::Duration::from_secs(PAYMENT_MAX_SECS);
                    Ok(party.pay(&bolt11, Msat::ZERO, wait).await?)
                }))
            })
            .collect()
    }
}

/// What `createTask` takes for a task with an hour for work and an hour for review.
///
/// # Errors
/// If the clock is before 1970.
pub fn task_input(title: &str, payouts_sat: &[u64], on_silence: &str, hold_blocks: Option<u32>) -> Result<Value> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Ok(json!({
        "title": title,
        "descriptionHash": canonical::sha256(title.as_bytes()).to_string(),
        "milestones": [{ "title": title, "payoutsSat": payouts_sat, "workDeadline": now + HOUR_SECS }],
        "reviewWindowSecs": HOUR_SECS,
        "onSilence": on_silence,
        "holdBlocks": hold_blocks,
    }))
}

/// A payment under way.
pub type Payment = tokio::task::JoinHandle<Result<tallystick_app::port::operator::Payment>>;

fn state(task: &Value) -> String {
    task["state"].as_str().unwrap_or("in no state").to_lowercase()
}

pub(super) fn hash(task: &Value) -> String {
    task["milestones"][0]["tranches"][0]["paymentHash"].as_str().unwrap_or_default().chars().take(8).collect::<String>()
        + "…"
}

fn sat(value: &Value) -> Result<u64> {
    value.as_u64().context("sats are a number")
}
