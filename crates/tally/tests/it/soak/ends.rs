//! Approvals and renewals.

use anyhow::{Result, ensure};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tally::{ask::tranches, cli::OfMilestone};

use super::{
    plan::Life,
    player::{Cause, Player},
};
use crate::paying::Paying;

/// What was paid, and how long that took.
pub type End = Result<(BTreeSet<usize>, Vec<(Cause, Duration)>)>;

/// Blocks that a worker's node may be away for.
const BLOCKS_AWAY_MAX: u64 = 4;

impl Player<'_> {
    pub fn milestone(&self) -> OfMilestone {
        OfMilestone { id: self.id.clone(), milestone: 0 }
    }

    /// All is approved, or some of it and the rest rejected.
    pub async fn approved(&self, mut paying: Paying) -> End {
        self.handed_in(&mut paying).await?;
        let mut paid = self.whole();
        if self.plan.life == Life::Partly {
            paid.retain(|tranche| self.plan.choose(1 << 16) >> tranche & 1 == 1);
            if paid.is_empty() || paid == self.whole() {
                paid = BTreeSet::from([0]);
            }
        }
        let some: Vec<u32> = paid.iter().map(|tranche| u32::try_from(*tranche)).collect::<Result<_, _>>()?;
        let some = (self.plan.life == Life::Partly).then_some(some.as_slice());
        let approve = async || self.requester().api.approve(&self.id, 0, some).await;
        let from = Instant::now();
        match self.plan.life {
            Life::PaidLate => self.while_offline(async || self.patiently(approve).await).await?,
            _ => drop(self.patiently(approve).await?),
        }
        if self.plan.life == Life::Partly {
            self.reject().await?;
        }
        let settled = self.settlements(&mut paying, &paid, (Cause::Approval, from)).await?;
        self.until(&["SETTLED"]).await?;
        // A second click changes nothing.
        self.patiently(approve).await?;
        // How long somebody was away says nothing of us.
        Ok((paid, if self.plan.life == Life::PaidLate { Vec::new() } else { settled }))
    }

    /// Does something while the worker's node is stopped, for some blocks.
    async fn while_offline(&self, act: impl AsyncFn() -> Result<Value>) -> Result<()> {
        let _outing = self.worker().outing.lock().await;
        let party = &self.worker().actor.party;
        party.go_offline().await;
        let done = act().await;
        let away = 1 + self.plan.choose(BLOCKS_AWAY_MAX);
        let back = self.task().await?["height"].as_u64().unwrap_or_default() + away;
        while self.task().await?["height"].as_u64() < Some(back) {
            let _idle = self.town.idle();
            self.pause("blocks").await?;
        }
        party.come_back().await?;
        done.map(drop)
    }

    /// The worker offers the next holds, and answers the task with their invoices.
    async fn offered(&self) -> Result<Value> {
        let next = self.payout_invoices(&self.plan.payouts_sat).await?;
        self.patiently(async || self.worker().actor.api.offer_renewal(&self.id, 0, &next).await).await?;
        let made = |tranche: &Value| tranche["renewal"]["fundingInvoice"].is_string();
        self.until_all("the next hold invoices", made).await
    }

    /// Renewed once or twice, then approved.
    pub async fn renewed(&self, mut paying: Paying) -> End {
        self.held(&mut paying).await?;
        for renewals in 1..=1 + self.plan.choose(2) {
            let offered = self.offered().await?;
            let next = tranches(&offered).filter_map(|tranche| tranche["renewal"]["fundingInvoice"].as_str());
            paying = Paying::new(&self.requester().party, next.map(str::to_owned));
            while tranches(&self.task().await?).any(|tranche| tranche["renewals"].as_u64() < Some(renewals)) {
                paying.tend().await;
                self.pause("the next holds to be locked").await?;
            }
        }
        self.submit().await?;
        let from = Instant::now();
        self.patiently(async || self.requester().api.approve(&self.id, 0, None).await).await?;
        let settled = self.settlements(&mut paying, &self.whole(), (Cause::Approval, from)).await?;
        self.until(&["SETTLED"]).await?;
        Ok((self.whole(), settled))
    }

    /// Offered in time, and not paid: the terms decide.
    pub async fn renewal_missed(&self, mut paying: Paying) -> End {
        self.held(&mut paying).await?;
        self.offered().await?;
        let pays = self.plan.missed_renewal_pays();
        let _idle = self.town.idle();
        let task = self.until(&[if pays { "SETTLED" } else { "REFUNDED" }]).await?;
        ensure!(task["reason"] == "RENEWAL_MISSED", "{task}");
        Ok((if pays { self.whole() } else { BTreeSet::new() }, Vec::new()))
    }
}
