//! The story of work that the two do not agree on: a panel of three, drawn by a block's hash, splits the money.

use anyhow::{Context, Result, ensure};
use nostr::key::Keys;
use serde_json::json;
use tallystick_core::{Digest32, Msat, canonical};

use super::stories::{INVOICE_EXPIRY_SECS, Moved, Teller, task_input};
use crate::{
    ask::{
        Api, arbitrator,
        dispute::{Matters, add_evidence, attend, check_draw, draws, get_evidence, step, vote},
        tranches,
    },
    cli::OfMilestone,
    sealed::Shown,
};

const TITLE: &str = "Illustrate a story";
/// Five tranches of a fifth each: a ruling can split the money 60 to 40.
const PAYOUTS_SAT: [u64; 5] = [20_000; 5];
/// How many can be drawn.
const ARBITRATORS: usize = 7;
/// The tranches that each of the panel would pay out.
const VOTES: [&[u32]; 3] = [&[0], &[0, 1, 2], &[0, 1, 2, 3, 4]];
/// What the panel is shown.
const DRAWING: &[u8] = b"five drawings, two of them unfinished";

/// Somebody who can be drawn.
struct Arbitrator {
    api: Api,
    keys: Keys,
}

impl Teller<'_> {
    /// Story 7: a panel of three rules 60 to 40.
    ///
    /// # Errors
    /// If anything is off.
    pub async fn disputed(&mut self) -> Result<Moved> {
        self.report.title("7. They do not agree; a panel that nobody chose splits the money 60 to 40");
        let all = self.arbitrators().await?;
        let of = self.refused_work().await?;
        step(&self.stage.worker.api, &of, "openDispute").await?;
        self.step("worker", "opens a dispute: the next block decides who sits on the panel").await?;
        let piece = self.show_evidence(&of).await?;
        let panel = self.seated(&of, &all, piece).await?;
        self.ruled(&of, &panel).await?;
        let moved = self.split(&of).await?;
        Ok(moved.and(self.rewarded(&of, panel[1]).await?))
    }

    /// Makes arbitrators, whom the node's operator admits.
    async fn arbitrators(&mut self) -> Result<Vec<Arbitrator>> {
        let mut all = Vec::new();
        for n in 0..ARBITRATORS {
            let keys = Keys::generate();
            let api = Api::new(&self.stage.platform.url(), keys.clone())?;
            let statement = canonical::sha256(format!("I have drawn for {n} years").as_bytes());
            arbitrator::register(&api, statement, "arbitrator@wallet.example").await?;
            let key = api.client().author().to_string();
            arbitrator::admit(self.stage.platform.operator(), &key, statement).await?;
            all.push(Arbitrator { api, keys });
        }
        self.step("operator", &format!("admits {ARBITRATORS} arbitrators, whose statements it has read")).await?;
        Ok(all)
    }

    /// A task whose money is held, and whose work was refused.
    async fn refused_work(&mut self) -> Result<OfMilestone> {
        let mut input = task_input(TITLE, &PAYOUTS_SAT, "REFUND", None)?;
        input["panel"] = json!("THREE");
        let task = self.stage.requester.api.create(input).await?;
        let id = task["id"].as_str().context("a task has an id")?.to_owned();
        let sum: u64 = PAYOUTS_SAT.iter().sum();
        self.step("requester", &format!("posts \"{TITLE}\": {sum} sat in five tranches, a panel if they disagree"))
            .await?;
        self.stage.take(&id, &PAYOUTS_SAT).await?;
        let task = self.stage.requester.api.fund(&id).await?;
        drop(self.stage.pay(&task)?);
        let task = self.stage.until_state(&id, "HELD").await?;
        let decide_by = task["milestones"][0]["decideBy"].as_u64().context("a held task must be decided in time")?;
        self.decide_by = Some(u32::try_from(decide_by)?);
        self.step("requester", "locks the money of all five, each on a payment hash of the worker's").await?;
        self.submit(&id).await?;
        self.stage.requester.api.reject(&id, 0, &canonical::sha256(b"two are unfinished").to_string()).await?;
        self.step("requester", "refuses the work: two drawings are unfinished").await?;
        Ok(OfMilestone { id, milestone: 0 })
    }

    /// Both sides show something, which the node cannot read. Answers what the worker showed.
    async fn show_evidence(&mut self, of: &OfMilestone) -> Result<Digest32> {
        let drawing = Shown { name: "drawings.txt".into(), content: DRAWING.to_vec() };
        let worker = &self.stage.worker;
        let filed = add_evidence(&worker.api, &worker.keys, of, &drawing).await?;
        self.step("worker", &format!("files evidence, {} bytes that the node cannot read", filed.bytes)).await?;
        let word = Shown { name: String::new(), content: b"the last two have no faces".to_vec() };
        let requester = &self.stage.requester;
        add_evidence(&requester.api, &requester.keys, of, &word).await?;
        let read = get_evidence(&requester.api, &requester.keys, of, filed.hash).await?;
        ensure!(read == drawing, "the requester reads something else than the worker filed");
        self.step("requester", "reads it, and files an answer").await?;
        Ok(filed.hash)
    }

    /// The panel is drawn and sits, and reads what was filed.
    async fn seated<'a>(
        &mut self,
        of: &OfMilestone,
        all: &'a [Arbitrator],
        piece: Digest32,
    ) -> Result<Vec<&'a Arbitrator>> {
        self.stage.mine(6).await?;
        let matter = self.in_state(of, "SEATING").await?;
        let drawn = draws(&self.stage.requester.api, of).await?;
        let names = check_draw(&drawn[0]).context("the draw does not follow from its block")?;
        self.step("chain", &format!("the block is buried; anyone can draw again: {names} names in this order")).await?;
        let mut panel = Vec::new();
        for seat in matter.shown["panel"].as_array().context("a panel")? {
            let key = seat["arbitrator"].as_str().context("a key is text")?;
            let one = all.iter().find(|one| one.api.client().author().to_string() == key);
            panel.push(one.context("somebody was drawn whom nobody admitted")?);
        }
        ensure!(panel.len() == 3, "{} were asked, not three", panel.len());
        for one in &panel {
            step(&one.api, of, "acceptSeat").await?;
        }
        self.step("panel", "three arbitrators take their seats").await?;
        for side in [&self.stage.worker, &self.stage.requester] {
            let matter = Matters::read(&side.api, of).await?;
            ensure!(attend(&side.api, &side.keys, of, &matter).await?.is_some(), "the panel was given no key");
        }
        for one in &panel {
            let read = get_evidence(&one.api, &one.keys, of, piece).await?;
            ensure!(read.content == DRAWING, "the panel reads something else than the worker filed");
        }
        self.step("panel", "is given the keys by both sides, and reads what was filed").await?;
        Ok(panel)
    }

    /// The panel votes, shows its votes, and both sides are content with the ruling.
    async fn ruled(&mut self, of: &OfMilestone, panel: &[&Arbitrator]) -> Result<()> {
        let matter = Matters::read(&self.stage.requester.api, of).await?;
        let until = matter.shown["until"].as_u64().context("seats are taken until a height")?;
        let blocks = u32::try_from(until)?.saturating_sub(self.stage.height().await?);
        self.stage.mine(blocks).await?;
        self.in_state(of, "COMMITTING").await?;
        for (one, to_worker) in panel.iter().zip(VOTES) {
            vote(&one.api, &one.keys, of, to_worker).await?;
        }
        self.step("panel", "votes, hidden from each other and from the node").await?;
        for one in panel {
            let matter = Matters::read(&one.api, of).await?;
            ensure!(attend(&one.api, &one.keys, of, &matter).await?.is_some(), "a vote was not shown");
        }
        let ruled = self.in_state(of, "RULED").await?;
        let ruling = &ruled.shown["ruling"];
        ensure!(ruling["toWorker"] == json!([0, 1, 2]), "the ruling is {ruling}");
        self.step("panel", "shows 20, 60 and 100 percent: the ruling is the one in the middle, 60").await?;
        for side in [&self.stage.worker, &self.stage.requester] {
            step(&side.api, of, "acceptRuling").await?;
        }
        self.step("both", "accept the ruling, so that nobody waits for an appeal").await
    }

    /// Three tranches are paid out, two are given back.
    async fn split(&mut self, of: &OfMilestone) -> Result<Moved> {
        let task = self.stage.until_state(&of.id, "SETTLED").await?;
        self.decide_by = None;
        let mut moved = Moved::default();
        let mut returned = 0;
        for tranche in tranches(&task) {
            let sat = |name: &str| tranche[name].as_u64().context("sats are a number");
            match tranche["state"].as_str() {
                Some("CLAIMED") => {
                    moved.paid_msat += sat("holdSat")? * 1_000;
                    moved.earned_msat += sat("payoutSat")? * 1_000;
                }
                Some("RETURNED") => returned += sat("holdSat")?,
                state => anyhow::bail!("a tranche is {state:?} after the ruling"),
            }
        }
        ensure!(moved.earned_msat == 60_000_000, "the worker got {} msat", moved.earned_msat);
        let earned = moved.earned_msat / 1_000;
        self.step("node", &format!("pays {earned} sat to the worker and gives {returned} sat back")).await?;
        Ok(moved)
    }

    /// An arbitrator is paid out of the fee. Its wallet is one that the worker's Lightning node keeps for it.
    async fn rewarded(&mut self, of: &OfMilestone, one: &Arbitrator) -> Result<Moved> {
        let matter = Matters::read(&one.api, of).await?;
        let reward = matter.shown["rewardMsat"].as_str().context("msat are text")?.parse()?;
        let expiry = tallystick_core::Duration::from_secs(INVOICE_EXPIRY_SECS);
        let invoice = self.stage.worker.party.invoice(Msat::try_new(reward)?, expiry).await?;
        let variables = json!({ "id": of.id, "milestone": of.milestone, "invoice": invoice });
        one.api.of_milestone("collectReward", ("$invoice: String!", "invoice: $invoice"), variables).await?;
        let paid = async || {
            let matter = Matters::read(&one.api, of).await?;
            Ok(matter.seat(one.api.client().author()).is_some_and(|seat| seat["reward"] == "PAID"))
        };
        self.stage.until("the arbitrator is paid", paid).await?;
        self.step("node", &format!("pays an arbitrator {reward} msat out of its fee, whatever the vote was")).await?;
        Ok(Moved { paid_msat: 0, earned_msat: reward })
    }

    async fn in_state(&self, of: &OfMilestone, state: &str) -> Result<Matters> {
        let api = &self.stage.requester.api;
        let what = format!("the dispute is {state}");
        self.stage.until(&what, async || Ok(Matters::read(api, of).await?.state() == state)).await?;
        Matters::read(api, of).await
    }
}
