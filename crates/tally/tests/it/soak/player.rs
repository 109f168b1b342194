//! One task, from its post to its end, by people who do not give up.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};
use tally::{
    ask::{bond, tranches},
    demo::Actor,
};
use tallystick_app::{SystemClock, clock::Clock, mint_id};
use tallystick_core::{Msat, canonical};
use tallystick_devnet::PartyError;
use tallystick_escrow::Task;

use super::{
    plan::{Life, Plan},
    town::{Town, Worker},
};
use crate::{
    driver::{invoices, is_passing},
    paying::Paying,
};

/// The longest that a task may take, restarts of the node included.
const TASK_MAX: Duration = Duration::from_secs(600);
/// How often somebody looks whether something has changed.
const LOOK: Duration = Duration::from_millis(120);
const DAYS: tallystick_core::Duration = tallystick_core::Duration::from_secs(7 * 86_400);
/// The states in which nothing happens to a task any more.
const ENDS: [&str; 4] = ["SETTLED", "REFUNDED", "CANCELLED", "EXPIRED"];

/// What a settlement followed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    Approval,
    Ruling,
}

/// A task that was played.
pub struct Played {
    pub plan: Plan,
    pub id: String,
    /// The tranches that must have been paid out: all others must have been given back.
    pub paid: BTreeSet<usize>,
    /// How long it took from a decision to the payer's proof of payment, for each tranche.
    pub settled: Vec<(Cause, Duration)>,
}

pub struct Player<'a> {
    pub town: &'a Town,
    pub plan: &'a Plan,
    pub id: String,
    start: Instant,
}

impl<'a> Player<'a> {
    pub fn new(town: &'a Town, plan: &'a Plan) -> Result<Self> {
        let id = mint_id::<Task>(SystemClock.now()).map_err(|error| anyhow::anyhow!("{error}"))?.to_string();
        Ok(Self { town, plan, id, start: Instant::now() })
    }

    pub fn requester(&self) -> &'a Actor {
        &self.town.requesters[self.plan.requester].actor
    }

    pub fn worker(&self) -> &'a Worker {
        &self.town.workers[self.plan.worker]
    }

    pub fn whole(&self) -> BTreeSet<usize> {
        (0..self.plan.payouts_sat.len()).collect()
    }

    /// Plays the plan to its end.
    pub async fn play(self) -> Result<Played> {
        let played = Box::pin(self.live()).await;
        let (paid, settled) = played.with_context(|| format!("task {}, {:?}", self.id, self.plan))?;
        Ok(Played { plan: self.plan.clone(), id: self.id, paid, settled })
    }

    async fn live(&self) -> Result<(BTreeSet<usize>, Vec<(Cause, Duration)>)> {
        let (requester, worker) = (&self.requester().api, &self.worker().actor.api);
        let mut paying = self.begin().await?;
        let nothing = (BTreeSet::new(), Vec::new());
        match self.plan.life {
            Life::Unfunded => {
                self.patiently(async || requester.cancel(&self.id).await).await?;
                self.until(&["CANCELLED"]).await?;
                return Ok(nothing);
            }
            Life::TakenBack => {
                self.lock(&mut paying).await?;
                self.patiently(async || requester.cancel(&self.id).await).await?;
            }
            Life::GivenUp => {
                self.lock(&mut paying).await?;
                self.patiently(async || worker.cancel(&self.id).await).await?;
            }
            Life::Idle | Life::WalkedOut => self.lock(&mut paying).await?,
            Life::SilenceRefunds => {
                self.lock(&mut paying).await?;
                // Blocks may have run out before all was locked.
                if self.task().await?["state"] == "HELD" {
                    self.submit().await?;
                }
            }
            Life::SilencePays => {
                self.held(&mut paying).await?;
                self.submit().await?;
                self.until(&["SETTLED"]).await?;
                return Ok((self.whole(), Vec::new()));
            }
            Life::Rejected => {
                self.handed_in(&mut paying).await?;
                self.reject().await?;
            }
            Life::Conceded => {
                self.handed_in(&mut paying).await?;
                self.reject().await?;
                self.milestone_step(&self.worker().actor, "concedeWork").await?;
            }
            Life::Approved | Life::PaidLate | Life::Partly => return self.approved(paying).await,
            Life::Renewed => return self.renewed(paying).await,
            Life::RenewalMissed => return self.renewal_missed(paying).await,
            Life::Disputed | Life::Appealed | Life::BondTaken => return self.disputed(paying).await,
        }
        let _counted = if self.plan.life == Life::WalkedOut { self.town.wait() } else { self.town.idle() };
        self.until(&["REFUNDED"]).await?;
        Ok(nothing)
    }

    /// Posted, taken, and with funding invoices.
    async fn begin(&self) -> Result<Paying> {
        let (requester, worker) = (self.requester(), &self.worker().actor);
        let (input, payouts) = (self.plan.input(&self.id), self.payout_invoices(&self.plan.payouts_sat).await?);
        self.patiently(async || requester.api.create(input.clone()).await).await?;
        self.patiently(async || worker.api.accept(&self.id, &payouts).await).await?;
        let Some(sat) = self.plan.bond_sat else {
            let funded = self.patiently(async || requester.api.fund(&self.id).await).await?;
            return Ok(Paying::new(&requester.party, invoices(&funded)?));
        };
        let own = self.invoice(requester, Msat::try_new(sat * 1_000)?).await?;
        let funded = self.patiently(async || requester.api.fund_with_bond(&self.id, &own).await).await?;
        let mut paying = Paying::new(&requester.party, invoices(&funded)?);
        let shown = self.patiently(async || worker.api.task(&self.id).await).await?;
        let hold = bond(&shown, "WORKER").context("the worker's bond")?;
        let invoice = hold["fundingInvoice"].as_str().context("the bond has an invoice")?;
        paying.add(&worker.party, invoice.to_owned());
        Ok(paying)
    }

    /// Invoices of the worker's, whose node may be offline just now.
    pub async fn payout_invoices(&self, payouts_sat: &[u64]) -> Result<Vec<String>> {
        let mut invoices = Vec::new();
        for payout in payouts_sat {
            invoices.push(self.invoice(&self.worker().actor, Msat::try_new(payout * 1_000)?).await?);
        }
        Ok(invoices)
    }

    /// An invoice of somebody's, whose node may be offline just now.
    pub async fn invoice(&self, payee: &Actor, amount: Msat) -> Result<String> {
        loop {
            match payee.party.invoice(amount, DAYS).await {
                Err(PartyError::Offline(_)) => self.pause("a wallet to be back").await?,
                made => return Ok(made?),
            }
        }
    }

    /// Pays until the task is not being funded any more.
    async fn lock(&self, paying: &mut Paying) -> Result<()> {
        loop {
            let task = self.task().await?;
            if task["state"] != "FUNDING" {
                return Ok(());
            }
            paying.tend().await;
            self.pause("the money to be locked").await?;
        }
    }

    /// Pays until all the money is held.
    pub async fn held(&self, paying: &mut Paying) -> Result<()> {
        self.lock(paying).await?;
        let task = self.task().await?;
        ensure!(task["state"] == "HELD", "funding ended in {task}");
        Ok(())
    }

    pub async fn handed_in(&self, paying: &mut Paying) -> Result<()> {
        self.held(paying).await?;
        self.submit().await
    }

    pub async fn submit(&self) -> Result<()> {
        let hash = canonical::sha256(self.id.as_bytes()).to_string();
        self.patiently(async || self.worker().actor.api.submit(&self.id, 0, &hash).await).await?;
        Ok(())
    }

    pub async fn reject(&self) -> Result<()> {
        let hash = canonical::sha256(b"no").to_string();
        self.patiently(async || self.requester().api.reject(&self.id, 0, &hash).await).await?;
        Ok(())
    }

    pub async fn milestone_step(&self, who: &Actor, name: &str) -> Result<()> {
        let of = self.milestone();
        self.patiently(async || tally::ask::dispute::step(&who.api, &of, name).await).await?;
        Ok(())
    }

    /// When the payments of these tranches succeeded, counted from a decision.
    pub async fn settlements(
        &self,
        paying: &mut Paying,
        paid: &BTreeSet<usize>,
        (cause, from): (Cause, Instant),
    ) -> Result<Vec<(Cause, Duration)>> {
        let mut settled = Vec::new();
        for tranche in paid {
            let at = paying.settled(*tranche, TASK_MAX).await?;
            settled.push((cause, at.saturating_duration_since(from)));
        }
        Ok(settled)
    }

    pub async fn task(&self) -> Result<Value> {
        self.patiently(async || self.requester().api.task(&self.id).await).await
    }

    /// Waits until a task has ended in one of these states.
    pub async fn until(&self, states: &[&str]) -> Result<Value> {
        loop {
            let task = self.task().await?;
            let state = task["state"].as_str().unwrap_or_default();
            if states.contains(&state) {
                return Ok(task);
            }
            ensure!(!ENDS.contains(&state), "ended as {state}, not as one of {states:?}: {task}");
            self.pause(&format!("one of {states:?}, it is {state}")).await?;
        }
    }

    /// Waits until something is so of all tranches.
    pub async fn until_all(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Result<Value> {
        loop {
            let task = self.task().await?;
            if tranches(&task).all(&is_so) {
                return Ok(task);
            }
            self.pause(what).await?;
        }
    }

    /// Asks again while the node is away, or has no room.
    pub async fn patiently<T>(&self, ask: impl AsyncFn() -> Result<T>) -> Result<T> {
        loop {
            match ask().await {
                Err(error) if is_passing(&error) => self.pause(&format!("{error:#}")).await?,
                answer => return answer,
            }
        }
    }

    /// Waits a moment.
    pub async fn pause(&self, for_what: &str) -> Result<()> {
        ensure!(self.start.elapsed() < TASK_MAX, "waited too long for {for_what}");
        tokio::time::sleep(LOOK).await;
        Ok(())
    }
}
