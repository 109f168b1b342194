//! A dispute: people who take their seats and vote, or leave the seat to the next.

use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};
use tally::{
    ask::dispute::{Matters, Said, add_evidence, attend, get_evidence, step, vote},
    cli::{Bond, OfMilestone},
    demo::Actor,
    sealed::Shown,
};
use tallystick_core::{Digest32, Msat};

use super::{
    ends::End,
    plan::Life,
    player::{Cause, Player},
    town::Arbitrator,
};
use crate::paying::Paying;

/// How one arbitrator in so many leaves the seat to the next of the draw.
const REFUSALS: u64 = 5;

/// How many tranches each arbitrator would pay out, from the first.
type Votes = BTreeMap<String, u32>;

impl Player<'_> {
    /// Work is refused, and a panel splits the money.
    pub async fn disputed(&self, mut paying: Paying) -> End {
        self.handed_in(&mut paying).await?;
        self.reject().await?;
        self.milestone_step(self.either(0), "openDispute").await?;
        if self.plan.choose(4) == 0 {
            self.show_evidence().await?;
        }
        let (votes, from) = self.ruled().await?;
        let ruled = self.matters().await?;
        let paid = self.check_ruling(&ruled, &votes)?;
        let settled = self.settlements(&mut paying, &paid, (Cause::Ruling, from)).await?;
        self.until(&[if paid.is_empty() { "REFUNDED" } else { "SETTLED" }]).await?;
        self.rewarded(&ruled).await?;
        Ok((paid, settled))
    }

    async fn show_evidence(&self) -> Result<()> {
        let (worker, of) = (&self.worker().actor, self.milestone());
        let shown = Shown { name: "work".into(), content: self.id.clone().into_bytes() };
        let filed = self.patiently(async || add_evidence(&worker.api, &worker.keys, &of, &shown).await).await?;
        if self.plan.life == Life::Appealed {
            self.mend_keys(&shown, filed.hash).await?;
        }
        Ok(())
    }

    /// The keys of a piece are damaged where they are kept: nobody can open it, and whoever filed it mends them by filing the
    /// same again.
    async fn mend_keys(&self, shown: &Shown, hash: Digest32) -> Result<()> {
        let (worker, reader, of) = (&self.worker().actor, self.requester(), self.milestone());
        let get = async || get_evidence(&reader.api, &reader.keys, &of, hash).await;
        ensure!(self.patiently(get).await? == *shown, "the requester reads something else");
        let conn = rusqlite::Connection::open(&self.town.journal)?;
        conn.busy_timeout(std::time::Duration::from_secs(10))?;
        let damaged = conn.execute("UPDATE evidence_keys SET wrapped = 'x' || wrapped WHERE hash = ?1", [hash.0])?;
        ensure!(damaged > 1, "{damaged} keys");
        drop(conn);
        let unreadable = get().await;
        ensure!(unreadable.is_err(), "a damaged key opens nothing");
        self.patiently(async || add_evidence(&worker.api, &worker.keys, &of, shown).await).await?;
        ensure!(self.patiently(get).await? == *shown, "the keys were given anew");
        Ok(())
    }

    pub async fn matters(&self) -> Result<Matters> {
        let of = self.milestone();
        self.patiently(async || Matters::read(&self.requester().api, &of).await).await
    }

    /// Everybody does what is to be done, until the ruling stands. Answers who voted how, and when both accepted it.
    async fn ruled(&self) -> Result<(Votes, Instant)> {
        let (of, mut votes, mut accepted) = (self.milestone(), Votes::new(), Instant::now());
        let (mut refused, mut appealed) = (String::new(), false);
        loop {
            let matters = self.matters().await?;
            match matters.state() {
                "DECIDED" => return Ok((votes, accepted)),
                "RULED" if self.plan.life == Life::Appealed && !appealed => {
                    self.milestone_step(self.either(1), "appeal").await?;
                    appealed = true;
                }
                "RULED" => {
                    self.patiently(async || step(&self.requester().api, &of, "acceptRuling").await).await?;
                    accepted = Instant::now();
                    self.patiently(async || step(&self.worker().actor.api, &of, "acceptRuling").await).await?;
                }
                "DRAWING" | "SEATING" | "COMMITTING" | "REVEALING" => {
                    // What is refused may have come too late: whoever looks again sees it.
                    match self.sit(&of, &matters, &mut votes).await {
                        Ok(true) => {}
                        Ok(false) => {
                            let _idle = self.town.idle();
                            self.pause("blocks").await?;
                        }
                        Err(error) => refused = format!("{error:#}"),
                    }
                }
                state => anyhow::bail!("the dispute is {state}, and the last refusal {refused:?}: {}", matters.shown),
            }
            self.pause(&format!("the dispute, {}; the last refusal {refused:?}", matters.state())).await?;
        }
    }

    /// Who sits does what can be done now. Answers whether there was anything.
    async fn sit(&self, of: &OfMilestone, matters: &Matters, votes: &mut Votes) -> Result<bool> {
        let mut did = false;
        let worker = &self.worker().actor;
        let own = self.patiently(async || Matters::read(&worker.api, of).await).await?;
        self.patiently(async || attend(&worker.api, &worker.keys, of, &own).await).await?;
        for seat in matters.shown["panel"].as_array().into_iter().flatten() {
            if seat["round"] != matters.shown["round"] {
                continue;
            }
            let one = self.arbitrator(seat["arbitrator"].as_str().context("a key is text")?)?;
            let key = one.api.client().author().to_string();
            match (matters.state(), seat["state"].as_str().unwrap_or_default()) {
                ("SEATING", "ASKED") => {
                    let refuses = self.chance(&key).is_multiple_of(REFUSALS);
                    let answer = if refuses { "refuseSeat" } else { "acceptSeat" };
                    self.patiently(async || step(&one.api, of, answer).await).await?;
                }
                ("COMMITTING", "ACCEPTED") => {
                    let parts = u64::try_from(self.plan.payouts_sat.len())?;
                    let count = u32::try_from(self.chance(&key) / REFUSALS % (parts + 1))?;
                    let first: Vec<u32> = (0..count).collect();
                    votes.insert(key, count);
                    let take_bonds: &[Bond] = if self.plan.life.takes_bond() { &[Bond::Worker] } else { &[] };
                    let said = Said { to_worker: &first, take_bonds };
                    self.patiently(async || vote(&one.api, &one.keys, of, said).await).await?;
                }
                ("REVEALING", "COMMITTED") => {
                    self.patiently(async || attend(&one.api, &one.keys, of, matters).await).await?;
                }
                _ => continue,
            }
            did = true;
        }
        Ok(did)
    }

    /// The requester or the worker, as the plan has it.
    fn either(&self, number: u64) -> &Actor {
        if self.plan.choose(7) % 2 == number { self.requester() } else { &self.worker().actor }
    }

    fn arbitrator(&self, key: &str) -> Result<&Arbitrator> {
        let found = self.town.arbitrators.iter().find(|one| one.api.client().author().to_string() == key);
        found.context("somebody was drawn whom nobody admitted")
    }

    /// A number of this plan's for somebody.
    fn chance(&self, key: &str) -> u64 {
        key.bytes()
            .fold(self.plan.choice, |chance, byte| chance.rotate_left(5) ^ u64::from(byte).wrapping_mul(0x9e37_79b9))
    }

    /// The ruling must be the vote in the middle. Answers the tranches that it awards.
    fn check_ruling(&self, ruled: &Matters, votes: &Votes) -> Result<BTreeSet<usize>> {
        let taken = if self.plan.life.takes_bond() { json!(["WORKER"]) } else { json!([]) };
        ensure!(ruled.shown["ruling"]["bondsTaken"] == taken, "{}", ruled.shown["ruling"]);
        let panel = ruled.shown["panel"].as_array().context("a panel")?;
        let shown = panel.iter().filter(|seat| seat["state"] == "REVEALED" && seat["round"] == ruled.shown["round"]);
        let keys = shown.filter_map(|seat| seat["arbitrator"].as_str());
        let mut cast: Vec<u32> = keys.filter_map(|key| votes.get(key).copied()).collect();
        cast.sort_unstable();
        let awarded = ruled.shown["ruling"]["toWorker"].as_array().context("a ruling")?;
        let awarded: BTreeSet<usize> = awarded.iter().filter_map(|part| usize::try_from(part.as_u64()?).ok()).collect();
        let prefix = |count: u32| (0..count).filter_map(|part| usize::try_from(part).ok()).collect::<BTreeSet<usize>>();
        // Of an even number it is the lower of the two in the middle.
        let middle = cast.len().checked_sub(1).context("nobody voted")? / 2;
        ensure!(awarded == prefix(cast[middle]), "the ruling is {awarded:?}, and the votes were {cast:?}");
        Ok(awarded)
    }

    /// Whoever showed a vote is paid.
    async fn rewarded(&self, ruled: &Matters) -> Result<()> {
        let of = self.milestone();
        let reward = Msat::try_new(ruled.shown["rewardMsat"].as_str().context("msat are text")?.parse()?)?;
        let panel = ruled.shown["panel"].as_array().context("a panel")?;
        let voted: Vec<&str> = panel
            .iter()
            .filter(|seat| seat["state"] == "REVEALED")
            .filter_map(|seat| seat["arbitrator"].as_str())
            .collect();
        for key in &voted {
            let one = self.arbitrator(key)?;
            let invoice = self.invoice(&self.town.purse, reward).await?;
            let variables = serde_json::json!({ "id": of.id, "milestone": of.milestone, "invoice": invoice });
            let declared = ("$invoice: String!", "invoice: $invoice");
            self.patiently(async || one.api.of_milestone("collectReward", declared, variables.clone()).await).await?;
        }
        loop {
            let matters = self.matters().await?;
            let paid = matters.shown["panel"].as_array().into_iter().flatten().filter(|seat| seat["reward"] == "PAID");
            if paid.count() == voted.len() {
                return Ok(());
            }
            self.pause("the arbitrators to be paid").await?;
        }
    }
}
