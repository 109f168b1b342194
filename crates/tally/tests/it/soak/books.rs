//! Whether everything adds up, by what the node's journal says of every task.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tally::{
    ask::{bond, dispute::Matters, tranches},
    cli::OfMilestone,
    demo::read_msat,
};

use super::{plan::Life, player::Played, town::Town};

/// What must have changed, in msat: the node's money first, then everybody's in the town's order.
pub struct Books {
    changes: Vec<i128>,
    /// Bonds that were taken, by the reason.
    pub taken: BTreeMap<String, u32>,
}

impl Books {
    /// Reads every task once more, and checks that each tranche came to what its people did.
    pub async fn read(town: &Town, played: &[Played]) -> Result<Self> {
        let mut books = Self { changes: vec![0; 1 + town.actors().count()], taken: BTreeMap::new() };
        for one in played {
            let api = &town.requesters[one.plan.requester].actor.api;
            let task = api.task(&one.id).await?;
            books.add(town, one, &task).with_context(|| format!("{:?}: {task}", one.plan))?;
            if matches!(one.plan.life, Life::Disputed | Life::Appealed | Life::BondTaken) {
                let of = OfMilestone { id: one.id.clone(), milestone: 0 };
                books.add_rewards(town, &Matters::read(api, &of).await?)?;
            }
        }
        Ok(books)
    }

    fn add(&mut self, town: &Town, one: &Played, task: &Value) -> Result<()> {
        let expected = match one.plan.life {
            Life::Unfunded => "CANCELLED",
            _ if one.paid.is_empty() => "REFUNDED",
            _ => "SETTLED",
        };
        ensure!(task["state"] == expected, "it is not {expected}");
        let (requester, worker) = (1 + one.plan.requester, 1 + town.requesters.len() + one.plan.worker);
        let router = town.actors().count();
        ensure!(bond(task, "WORKER").is_some() == one.plan.bond_sat.is_some(), "a bond that nobody asked for, or none");
        if let Some(hold) = bond(task, "WORKER") {
            self.add_bond(one, hold, (requester, worker))?;
        }
        for (number, tranche) in tranches(task).enumerate() {
            let state = tranche["state"].as_str().unwrap_or_default();
            if !one.paid.contains(&number) {
                let back = ["RETURNED", "UNFUNDED", "PLANNED"].contains(&state);
                ensure!(back, "tranche {number} is {state}, and was to be given back");
                continue;
            }
            ensure!(state == "CLAIMED", "tranche {number} is {state}, and was to be paid");
            let sat =
                |name: &str| tranche[name].as_u64().map(|sat| i128::from(sat) * 1_000).context("sats are a number");
            let (hold, payout) = (sat("holdSat")?, sat("payoutSat")?);
            let routing = i128::from(read_msat(&tranche["routingFeeMsat"])?);
            ensure!(payout == i128::from(one.plan.payouts_sat[number]) * 1_000, "tranche {number} is of {payout} msat");
            self.changes[requester] -= hold;
            self.changes[worker] += payout;
            self.changes[0] += hold - payout - routing;
            self.changes[router] += routing;
            let is_routed = one.plan.worker + 1 == town.workers.len();
            ensure!(is_routed == (routing > 0), "tranche {number} cost {routing} msat on its way");
        }
        Ok(())
    }

    /// What a bond came to: it goes back, unless something takes it. A node that was away too long takes none for a promise.
    fn add_bond(&mut self, one: &Played, hold: &Value, (requester, worker): (usize, usize)) -> Result<()> {
        let text = |name: &str| hold[name].as_str().unwrap_or_default();
        let reason = match (one.plan.life, text("state"), text("reason")) {
            (Life::BondTaken, "CLAIMED", reason @ "RULED")
            | (Life::WalkedOut, "CLAIMED", reason @ "BROKEN_PROMISE") => reason,
            (Life::WalkedOut, "RETURNED", "BOND_KEPT") => return Ok(()),
            (life, "RETURNED", _) if !life.takes_bond() => return Ok(()),
            _ => bail!("what was put up came to {hold}"),
        };
        let sat = |name: &str| hold[name].as_u64().map(|sat| i128::from(sat) * 1_000).context("sats are a number");
        let routing = i128::from(read_msat(&hold["routingFeeMsat"])?);
        let (whole, bond) = (sat("holdSat")?, sat("payoutSat")?);
        self.changes[worker] -= whole;
        self.changes[requester] += bond;
        self.changes[0] += whole - bond - routing;
        *self.taken.entry(reason.to_owned()).or_default() += 1;
        Ok(())
    }

    fn add_rewards(&mut self, town: &Town, matters: &Matters) -> Result<()> {
        let reward = i128::from(read_msat(&matters.shown["rewardMsat"])?);
        let panel = matters.shown["panel"].as_array().context("a panel")?;
        let purse = town.actors().count() - 1;
        for _ in panel.iter().filter(|seat| seat["reward"] == "PAID") {
            self.changes[0] -= reward;
            self.changes[purse] += reward;
        }
        Ok(())
    }

    /// Whether the purses changed by exactly that.
    pub fn check(&self, town: &Town, before: &[u64], after: &[u64]) -> Result<()> {
        let names = ["node"].into_iter().chain(town.actors().map(|actor| actor.party.name()));
        let mut off = BTreeMap::new();
        for (((name, before), after), expected) in names.zip(before).zip(after).zip(&self.changes) {
            let changed = i128::from(*after) - i128::from(*before);
            if changed != *expected {
                off.insert(name, (changed, *expected));
            }
        }
        ensure!(off.is_empty(), "changes in msat, and what they should be: {off:?}");
        Ok(())
    }
}

/// The node must hold nothing and know of no task that goes on.
pub async fn nothing_is_open(town: &Town) -> Result<()> {
    let node = town.operator.ask("node", "{ node { balances { heldMsat outboundPendingMsat } } }", json!({})).await?;
    let balances = &node["balances"];
    ensure!(balances["heldMsat"] == "0" && balances["outboundPendingMsat"] == "0", "{balances}");
    let open = "{ tasks(filter: { states: [OPEN, ASSIGNED, FUNDING, HELD, SUBMITTED, REJECTED, DISPUTED, RELEASING, REFUNDING] }) \
        { nodes { id state } } }";
    let open = town.operator.ask("tasks", open, json!({})).await?;
    ensure!(open["nodes"] == json!([]), "{open}");
    Ok(())
}
