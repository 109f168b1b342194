//! Which dispute, as the node shows it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tallystick_app::port::evidence::Matter;
use tallystick_core::{Digest32, NostrKey};

use super::super::{Api, documents};
use crate::cli::OfMilestone;

/// A milestone's dispute.
#[derive(Clone, Debug)]
pub struct Matters {
    /// The task and the dispute.
    pub matter: Matter,
    /// The dispute as the node shows it.
    pub shown: Value,
}

impl Matters {
    /// Asks for a milestone's dispute: the last one.
    ///
    /// # Errors
    /// If there is none, or the node does not answer.
    pub async fn read(api: &Api, of: &OfMilestone) -> Result<Self> {
        let task = api.ask("task", &documents::dispute(), json!({ "id": of.id })).await?;
        ensure!(!task.is_null(), "no task has this id, or it was erased");
        Self::of(&task, of)
    }

    /// The dispute of a task that the node has shown.
    ///
    /// # Errors
    /// If there is none.
    pub fn of(task: &Value, of: &OfMilestone) -> Result<Self> {
        let shown = &task["milestones"][usize::try_from(of.milestone)?]["dispute"];
        ensure!(shown.is_object(), "milestone {} of this task has no dispute", of.milestone);
        let id = shown["id"].as_str().context("a dispute has an id")?;
        let dispute = id.parse().context("the dispute's id")?;
        let task = of.id.parse().context("this is no task's id")?;
        Ok(Self { matter: Matter { task, dispute }, shown: shown.clone() })
    }

    /// The dispute's state, such as `SEATING`.
    pub fn state(&self) -> &str {
        self.shown["state"].as_str().unwrap_or_default()
    }

    /// The round, from 1.
    ///
    /// # Errors
    /// If the node's answer has none.
    pub fn round(&self) -> Result<u32> {
        Ok(u32::try_from(self.shown["round"].as_u64().context("a dispute has a round")?)?)
    }

    /// How many parts it is about.
    pub fn parts(&self) -> usize {
        self.shown["partsSat"].as_array().map_or(0, Vec::len)
    }

    /// What each of them is: `WORK`, `REQUESTER_BOND` or `WORKER_BOND`.
    pub fn kinds(&self) -> Vec<&str> {
        let parts = self.shown["parts"].as_array().into_iter().flatten();
        parts.map(|part| part.as_str().unwrap_or_default()).collect()
    }

    /// Somebody's seat in this round.
    pub fn seat(&self, arbitrator: NostrKey) -> Option<&Value> {
        let key = arbitrator.to_string();
        let mut seats = self.shown["panel"].as_array().into_iter().flatten();
        seats.find(|seat| seat["arbitrator"] == key.as_str() && seat["round"] == self.shown["round"])
    }

    /// Who may read the evidence.
    ///
    /// # Errors
    /// If the node's answer makes no sense, or you may not.
    pub fn readers(&self) -> Result<Vec<NostrKey>> {
        let readers = keys(&self.shown["readers"])?;
        ensure!(!readers.is_empty(), "only the parties and the arbitrators who accepted a seat read evidence");
        Ok(readers)
    }

    /// A piece of evidence.
    ///
    /// # Errors
    /// If there is none with this hash that you may read.
    pub fn piece(&self, hash: Digest32) -> Result<&Value> {
        let name = hash.to_string();
        let mut pieces = self.shown["evidence"].as_array().into_iter().flatten();
        pieces
            .find(|piece| piece["hash"] == name.as_str())
            .with_context(|| format!("no evidence {hash} that you may read"))
    }
}

/// Keys in a list.
pub(super) fn keys(list: &Value) -> Result<Vec<NostrKey>> {
    let list = list.as_array().context("a list of keys")?;
    list.iter().map(|key| Ok(key.as_str().context("a key is text")?.parse()?)).collect()
}

/// The disputes in which this key was asked to sit, or sits.
pub(super) async fn seats(api: &Api) -> Result<Value> {
    let me = api.client().author().to_string();
    let mut found = Vec::new();
    let mut after = Value::Null;
    loop {
        let page = api.ask("tasks", &documents::disputes(), json!({ "after": after })).await?;
        for task in page["nodes"].as_array().into_iter().flatten() {
            for (milestone, part) in task["milestones"].as_array().into_iter().flatten().enumerate() {
                let dispute = &part["dispute"];
                let panel = dispute["panel"].as_array().into_iter().flatten();
                let own = panel.filter(|seat| seat["arbitrator"] == me.as_str() && seat["round"] == dispute["round"]);
                for seat in own {
                    found.push(json!({ "task": task["id"], "milestone": milestone, "dispute": dispute["id"],
                        "state": dispute["state"], "seat": seat["state"], "until": dispute["until"],
                        "secondsLeft": dispute["secondsLeft"], "rewardMsat": dispute["rewardMsat"] }));
                }
            }
        }
        if page["pageInfo"]["hasNextPage"] != true {
            return Ok(Value::Array(found));
        }
        after = page["pageInfo"]["endCursor"].clone();
    }
}
