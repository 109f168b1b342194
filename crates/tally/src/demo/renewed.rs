//! The story of work that takes longer than a hold.

use anyhow::{Context, Result, ensure};
use serde_json::json;

use super::stories::{Moved, Teller, task_input};
use crate::ask::tranches;

/// What the worker gets.
const PAYOUT_SAT: u64 = 25_000;
/// How long each hold is usable: the shortest that can be renewed.
const HOLD_BLOCKS: u32 = 144;
/// Blocks that are left for an offer in time when it is made. The payer's wallet may have locked the first hold for longer
/// than it had to, and the second for no longer than that: only so near to the end is the second one sure to outlast it.
const OFFERED_BEFORE: u64 = 8;

impl Teller<'_> {
    /// Story 6: a task is renewed across two holds, and paid out on the second, when the first would have been over.
    ///
    /// # Errors
    /// If anything is off.
    pub async fn renewed(&mut self) -> Result<Moved> {
        self.report.title("6. The work takes longer than a hold: the next one is locked before the first is let go");
        let title = "Grow a bean";
        let mut input = task_input(title, &[PAYOUT_SAT], "RELEASE", Some(HOLD_BLOCKS))?;
        input["renewal"] = json!("REFUND");
        let task = self.stage.requester.api.create(input).await?;
        let id = self.hold(task, title, PAYOUT_SAT).await?;
        let first = self.stage.requester.api.task(&id).await?;
        let first_deadline = first["milestones"][0]["decideBy"].as_u64().context("a held task has a deadline")?;
        let renew_by = first["milestones"][0]["renewBy"].as_u64().context("its holds can be renewed")?;
        let blocks = u32::try_from(renew_by - OFFERED_BEFORE)?.saturating_sub(self.stage.height().await?);
        self.stage.mine(blocks).await?;
        self.step("chain", &format!("{blocks} blocks pass; the work is not done")).await?;

        let invoices = self.stage.invoices(&[PAYOUT_SAT]).await?;
        self.stage.worker.api.offer_renewal(&id, 0, &invoices).await?;
        self.step("worker", "hands in a new invoice, on a new payment hash").await?;
        let made = self.until_task(&id, "the next hold invoice is made", |task| {
            tranches(task).all(|tranche| tranche["renewal"]["fundingInvoice"].is_string())
        });
        let payments = self.stage.pay_renewals(&made.await?)?;
        let renewed = self
            .until_task(&id, "the next hold is locked", |task| tranches(task).all(|tranche| tranche["renewals"] == 1));
        let second_deadline = renewed.await?["milestones"][0]["decideBy"].as_u64().context("a deadline")?;
        ensure!(
            second_deadline > first_deadline,
            "the second hold ends at {second_deadline}, not after {first_deadline}"
        );
        self.decide_by = Some(u32::try_from(second_deadline)?);
        self.step("requester", "locks the next hold; the node lets the first one go").await?;

        let beyond = u32::try_from(first_deadline)?.saturating_sub(self.stage.height().await?) + 1;
        self.stage.mine(beyond).await?;
        self.step("chain", &format!("{beyond} blocks pass: the first hold would be over")).await?;
        self.submit(&id).await?;
        self.approve(&id).await?;
        let moved = self.settled(&id).await?;
        drop(payments);
        Ok(moved)
    }

    async fn until_task(
        &self,
        id: &str,
        what: &str,
        is_so: impl Fn(&serde_json::Value) -> bool,
    ) -> Result<serde_json::Value> {
        self.stage.until(what, async || Ok(is_so(&self.stage.requester.api.task(id).await?))).await?;
        self.stage.requester.api.task(id).await
    }
}
