//! The requests that are refused the second time, against those behind the facts.
//!
//! A request is remembered before it is decided, at the time that its facts show, and until [`REQUEST_MEMORY`] later. Each
//! one that is remembered makes the store forget others, the oldest first, whose time is over then. So:
//!
//! * the request behind a fact is remembered exactly until that time, or was forgotten. (One that was forgotten can be given
//!   again, without another fact, if a clock was set back; it is remembered from then on.)
//! * None was forgotten that would be remembered still when the last one came.
//!
//! Each holds whatever clocks do. What follows holds if no clock is ever set back, so it is told and is no damage:
//!
//! * nothing is left that is older than one that was forgotten;
//! * nothing is remembered for longer than from now.
//!
//! What cannot be told: a request that was refused by the rules, changed nothing, or whose facts are erased leaves its id
//! alone. Whether there was such a request nobody can show, nor what the clock said when it came.

use std::collections::BTreeMap;
use tallystick_bundle::authority::{SIGNED_AHEAD_MAX, SIGNED_BEFORE_MAX};
use tallystick_core::{Digest32, Fact, Timestamp};

use super::{ClockSet, Damage};
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

    /// Takes note of when a fact was recorded.
    pub(super) fn recorded(&mut self, fact: &Fact) {
        self.recorded = self.recorded.max(fact.recorded_at);
    }

    /// Takes note of a fact and the request behind it.
    pub(super) fn caused(&mut self, request: Digest32, fact: &Fact) {
        let wanted = fact.recorded_at.after(REQUEST_MEMORY);
        // Both times fit with its signature.
        let is_again = |until: Timestamp| {
            let between = SIGNED_BEFORE_MAX.as_millis() + SIGNED_AHEAD_MAX.as_millis();
            self.newest > wanted.after(REQUEST_MEMORY) && until.as_millis().abs_diff(wanted.as_millis()) <= between
        };
        let wrong = match self.until.get(&request) {
            Some(until) if *until == wanted || is_again(*until) => return,
            Some(_) => "is remembered for another time than its fact tells",
            None if wanted.after(REQUEST_MEMORY) >= self.newest => "is not remembered, and could be given again",
            None => {
                self.forgotten = self.forgotten.max(wanted);
                return;
            }
        };
        self.damage.get_or_insert_with(|| format!("{request}, behind fact {}, {wrong}", fact.seq));
    }

    /// What was wrong; else what can only be if a clock was set back. Clocks may differ by as much as a request is remembered.
    pub(super) fn check(&self, now: Timestamp) -> Result<Option<ClockSet>, Damage> {
        if let Some(damage) = &self.damage {
            return Err(Damage::Requests(damage.clone()));
        }
        let latest = now.max(self.recorded).after(REQUEST_MEMORY).after(REQUEST_MEMORY);
        let with = |time| self.until.iter().find(|(_, until)| **until == time).map(|(id, _)| *id);
        let older = self.oldest.filter(|oldest| *oldest < self.forgotten).and_then(with).map(ClockSet::Back);
        Ok(if self.newest > latest { with(self.newest).map(ClockSet::Ahead) } else { older })
    }
}
