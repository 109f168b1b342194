//! The requests that are refused the second time, against those behind the facts.
//!
//! A request is remembered before it is decided, at the time that its facts show, and until [`REQUEST_MEMORY`] later. Each
//! one that is remembered makes the store forget others, the oldest first, whose time is over then. So:
//!
//! * the request behind a fact is remembered exactly until that time, or was forgotten;
//! * none was forgotten that would be remembered still when the last one came;
//! * nothing is left that is older than one that was forgotten;
//! * nothing is remembered for longer than from now.
//!
//! What cannot be told: a request that was refused by the rules, changed nothing, or whose facts are erased leaves its id
//! alone. Whether there was such a request nobody can show, only that the time fits.

use std::collections::BTreeMap;
use tallystick_core::{Digest32, Fact, Timestamp};

use super::Damage;
use crate::{
    app::REQUEST_MEMORY,
    port::{journal::StoreError, limits::PAGE_MAX, snapshot::Snapshot},
};

/// What is remembered, and what is not.
#[derive(Debug)]
pub(super) struct Remembered {
    until: BTreeMap<Digest32, Timestamp>,
    oldest: Option<Timestamp>,
    newest: Timestamp,
    /// The latest time of one that was forgotten.
    forgotten: Timestamp,
    /// When the latest fact was recorded.
    recorded: Timestamp,
    /// What is wrong, first.
    damage: Option<String>,
}

impl Remembered {
    pub(super) async fn open(store: &dyn Snapshot) -> Result<Self, StoreError> {
        let mut until = BTreeMap::new();
        loop {
            let after = until.last_key_value().map(|(id, _)| *id);
            let page = store.remembered(after, PAGE_MAX).await?;
            if page.is_empty() {
                break;
            }
            until.extend(page);
        }
        let zero = Timestamp::from_millis(0);
        let (oldest, newest) = (until.values().min().copied(), until.values().max().copied().unwrap_or(zero));
        Ok(Self { until, oldest, newest, forgotten: zero, recorded: zero, damage: None })
    }

    /// Takes note of a fact and the request behind it.
    pub(super) fn caused(&mut self, request: Digest32, fact: &Fact) {
        self.recorded = self.recorded.max(fact.recorded_at);
        let wanted = fact.recorded_at.after(REQUEST_MEMORY);
        let wrong = match self.until.get(&request) {
            Some(until) if *until == wanted => return,
            Some(_) => "is remembered for another time than its fact tells",
            None if wanted.after(REQUEST_MEMORY) >= self.newest => "is not remembered, and could be given again",
            None => {
                self.forgotten = self.forgotten.max(wanted);
                return;
            }
        };
        self.damage.get_or_insert_with(|| format!("{request}, behind fact {}, {wrong}", fact.seq));
    }

    /// What was wrong. Clocks may differ by as much as a request is remembered.
    pub(super) fn check(&self, now: Timestamp) -> Result<(), Damage> {
        if let Some(damage) = &self.damage {
            return Err(Damage::Requests(damage.clone()));
        }
        let latest = now.max(self.recorded).after(REQUEST_MEMORY).after(REQUEST_MEMORY);
        let with = |time| self.until.iter().find(|(_, until)| **until == time).map(|(id, _)| id.to_string());
        let bad = |time, why: &str| Err(Damage::Requests(format!("{} {why}", with(time).unwrap_or_default())));
        if self.newest > latest {
            return bad(self.newest, "is remembered for longer than any that has come");
        }
        match self.oldest {
            Some(oldest) if oldest < self.forgotten => bad(oldest, "is remembered, and later ones are forgotten"),
            _ => Ok(()),
        }
    }
}
