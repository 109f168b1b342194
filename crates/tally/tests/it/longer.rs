//! What takes longer than a payment: milestones, a renewed hold, a dispute. As everything that is driven here, each step is
//! asked for again until it is done.

use anyhow::{Context, Result, ensure};
use nostr::key::Keys;
use serde_json::{Value, json};
use std::time::Instant;
use tally::{
    ask::{
        Api, arbitrator, bond,
        dispute::{Matters, Said, add_evidence, attend, get_evidence, step, vote},
        tranches,
    },
    cli::{Bond, OfMilestone},
    demo::Stage,
    sealed::Shown,
};
use tallystick_app::port::rail::HoldRail;
use tallystick_core::{Msat, canonical};

use crate::driver::{DAY, Driver, TASK_MAX, patiently};
use crate::paying::Paying;

/// How long a hold is usable that is to be renewed: the shortest that can be.
pub const HOLD_BLOCKS: u32 = 144;
/// Blocks that are left for an offer in time when it is made: so near to its end, the next hold outlasts the first whatever
/// the payer's wallet adds to either.
const OFFERED_BEFORE: u64 = 8;
/// How many blocks a draw's block needs below it.
const BURIED: u32 = 6;
/// Enough that somebody can be drawn whatever happened in the rounds before.
const ARBITRATORS: usize = 3;
/// What the panel is shown.
const EVIDENCE: &[u8] = b"half of it is done";

/// Somebody who can be drawn.
#[derive(Clone)]
pub struct Arbitrator {
    api: Api,
    keys: Keys,
}

impl Arbitrator {
    /// Some whom the operator admits.
    pub async fn some(stage: &Stage) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for n in 0..ARBITRATORS {
            let keys = Keys::generate();
            let api = Api::new(&stage.platform.url(), keys.clone())?;
            let statement = canonical::sha256(format!("arbitrator {n}").as_bytes());
            arbitrator::register(&api, statement, "arbitrator@wallet.example").await?;
            arbitrator::admit(stage.platform.operator(), &api.client().author().to_string(), statement).await?;
            all.push(Self { api, keys });
        }
        Ok(all)
    }
}

impl Driver {
    /// Takes the first tranche of the first milestone, and refuses the others.
    pub async fn pay_in_part(&self, id: &str, start: Instant) -> Result<()> {
        let hash = canonical::sha256(b"some of it").to_string();
        patiently(start, async || self.worker.api.submit(id, 0, &hash).await).await?;
        patiently(start, async || self.requester.api.approve(id, 0, Some(&[0])).await).await?;
        patiently(start, async || self.requester.api.reject(id, 0, &hash).await).await?;
        Ok(())
    }

    /// Renews the holds of a task near their end.
    pub async fn renew(&self, id: &str, start: Instant) -> Result<()> {
        let task = patiently(start, async || self.requester.api.task(id).await).await?;
        let renew_by = task["milestones"][0]["renewBy"].as_u64().context("its holds can be renewed")?;
        self.mine_to(renew_by - OFFERED_BEFORE, start).await?;
        let mut invoices = Vec::new();
        for tranche in tranches(&task) {
            let payout = tranche["payoutSat"].as_u64().context("sats are a number")?;
            invoices.push(self.worker.party.invoice(Msat::try_new(payout * 1_000)?, DAY).await?);
        }
        patiently(start, async || self.worker.api.offer_renewal(id, 0, &invoices).await).await?;
        let made = |task: &Value| tranches(task).all(|tranche| tranche["renewal"]["fundingInvoice"].is_string());
        let task = self.until_so(id, start, "the next hold invoices are made", made).await?;
        let next = tranches(&task).map(|tranche| tranche["renewal"]["fundingInvoice"].as_str().map(str::to_owned));
        let next: Vec<String> = next.collect::<Option<_>>().context("an invoice for each tranche")?;
        let paying = Paying::new(&self.requester.party, next);
        self.pay_all(id, paying, start, |task| tranches(task).all(|tranche| tranche["renewals"] == 1)).await?;
        Ok(())
    }

    /// Has an arbitrator rule that the first tranche is paid out, and the requester's bond. The arbitrator is paid as well.
    pub async fn let_a_panel_rule(&self, id: &str, start: Instant) -> Result<Value> {
        let of = OfMilestone { id: id.to_owned(), milestone: 0 };
        patiently(start, async || step(&self.worker.api, &of, "openDispute").await).await?;
        let shown = Shown { name: "half".into(), content: EVIDENCE.to_vec() };
        let worker = &self.worker;
        let filed = patiently(start, async || add_evidence(&worker.api, &worker.keys, &of, &shown).await).await?;
        self.chain.miner().mine(BURIED).await?;
        let matter = self.until_dispute(&of, "SEATING", start).await?;
        let judge = self.drawn(&matter)?;
        patiently(start, async || step(&judge.api, &of, "acceptSeat").await).await?;
        self.attend(worker, &of, start).await?;
        let read = patiently(start, async || get_evidence(&judge.api, &judge.keys, &of, filed.hash).await).await?;
        ensure!(read == shown, "the panel reads something else than the worker filed");
        self.mine_to(matter.shown["until"].as_u64().context("seats are taken until a height")?, start).await?;
        self.until_dispute(&of, "COMMITTING", start).await?;
        let said = Said { to_worker: &[0], take_bonds: &[Bond::Requester] };
        patiently(start, async || vote(&judge.api, &judge.keys, &of, said).await).await?;
        let shown = async || {
            let matter = Matters::read(&judge.api, &of).await?;
            attend(&judge.api, &judge.keys, &of, &matter).await
        };
        patiently(start, shown).await?;
        self.until_dispute(&of, "RULED", start).await?;
        for side in [&self.worker, &self.requester] {
            patiently(start, async || step(&side.api, &of, "acceptRuling").await).await?;
        }
        let task = self.until(id, &["SETTLED"], start).await?;
        let states: Vec<_> = tranches(&task).map(|tranche| tranche["state"].as_str().unwrap_or_default()).collect();
        ensure!(states == ["CLAIMED", "RETURNED"], "the ruling was carried out as {states:?}");
        for (of, state, reason) in [("REQUESTER", "CLAIMED", "RULED"), ("WORKER", "RETURNED", "BOND_KEPT")] {
            let hold = bond(&task, of).context("there is a bond")?;
            ensure!(hold["state"] == state && hold["reason"] == reason, "the bond of the {of} came to {hold}");
        }
        self.reward(judge, &of, start).await?;
        Ok(task)
    }

    fn drawn(&self, matter: &Matters) -> Result<&Arbitrator> {
        let seat = &matter.shown["panel"][0]["arbitrator"];
        let mut all = self.arbitrators.iter();
        all.find(|one| *seat == one.api.client().author().to_string()).context("somebody else was drawn")
    }

    /// A party does what a dispute asks of it.
    async fn attend(&self, party: &tally::demo::Actor, of: &OfMilestone, start: Instant) -> Result<()> {
        let attended = async || {
            let matter = Matters::read(&party.api, of).await?;
            attend(&party.api, &party.keys, of, &matter).await
        };
        patiently(start, attended).await?;
        Ok(())
    }

    /// The arbitrator collects its pay, into a wallet that the worker's node keeps for it.
    async fn reward(&self, judge: &Arbitrator, of: &OfMilestone, start: Instant) -> Result<()> {
        let matter = patiently(start, async || Matters::read(&judge.api, of).await).await?;
        let reward = matter.shown["rewardMsat"].as_str().context("msat are text")?.parse()?;
        let invoice = self.worker.party.invoice(Msat::try_new(reward)?, DAY).await?;
        let variables = json!({ "id": of.id, "milestone": of.milestone, "invoice": invoice });
        let declared = ("$invoice: String!", "invoice: $invoice");
        let collect = async || judge.api.of_milestone("collectReward", declared, variables.clone()).await;
        patiently(start, collect).await?;
        loop {
            let matter = patiently(start, async || Matters::read(&judge.api, of).await).await?;
            let seat = matter.seat(judge.api.client().author()).context("the seat is gone")?;
            if seat["reward"] == "PAID" {
                return Ok(());
            }
            ensure!(start.elapsed() < TASK_MAX, "the arbitrator is not paid: {seat}");
            tokio::time::sleep(tally::demo::LOOK).await;
        }
    }

    async fn until_dispute(&self, of: &OfMilestone, state: &str, start: Instant) -> Result<Matters> {
        loop {
            let matter = patiently(start, async || Matters::read(&self.requester.api, of).await).await?;
            if matter.state() == state {
                return Ok(matter);
            }
            ensure!(start.elapsed() < TASK_MAX, "the dispute is {}, not {state}", matter.state());
            tokio::time::sleep(tally::demo::LOOK).await;
        }
    }

    /// Mines until the chain has this height, and waits until everybody has seen it: whoever pays or offers before that
    /// counts from blocks that are long gone.
    async fn mine_to(&self, height: u64, start: Instant) -> Result<()> {
        let now = u64::from(self.chain.rpc().get_block_count().await?);
        self.chain.miner().mine(u32::try_from(height.saturating_sub(now))?).await?;
        loop {
            let node = async || self.operator.ask("node", "{ node { height } }", json!({})).await;
            let mut seen = patiently(start, node).await?["height"].as_u64().unwrap_or_default();
            for party in [&self.requester.party, &self.worker.party] {
                seen = seen.min(u64::from(party.node().await?.height().0));
            }
            if seen >= height {
                return Ok(());
            }
            ensure!(start.elapsed() < TASK_MAX, "somebody has seen {seen} blocks alone, not {height}");
            tokio::time::sleep(tally::demo::LOOK).await;
        }
    }
}
