//! The fold: what the journal's facts tell of people's dealings. Pure, so that whoever has the facts makes the same of
//! them, in this process or from an export.

use std::collections::{BTreeMap, BTreeSet};
use tallystick_civics::{
    anomaly::{self, Flag, Thresholds},
    reputation::{Deal, Deals, Limits, Market, Role, Service, Standing},
};
use tallystick_core::{Fact, Id, NostrKey, Timestamp};
use tallystick_escrow::{Event, Task};

use super::{deal::Going, kept::Kept};
use crate::{
    change::{is_task, task_of},
    error::AppError,
    port::journal::StoreError,
};

/// What the facts so far tell.
///
/// What comes after a task's end counts for nothing: only a journal that was put back can lead to it.
#[derive(Debug, Default)]
pub struct Book {
    seq: u64,
    /// The latest time of any fact: the clock may have been set back since.
    latest: Timestamp,
    deals: Deals,
    /// Arbitrators' votes, by the number of their fact.
    votes: BTreeMap<u64, Service>,
    going: BTreeMap<Id<Task>, Going>,
    open: BTreeMap<(NostrKey, Role), BTreeSet<Id<Task>>>,
}

impl Book {
    /// Takes the next fact of the journal. One that is refused is not taken.
    ///
    /// # Errors
    /// [`AppError::Store`] if it does not follow the one before, or is none of ours.
    pub fn take(&mut self, fact: &Fact) -> Result<(), AppError> {
        if fact.seq != self.seq + 1 {
            return Err(StoreError::Corrupt(format!("fact {} comes after fact {}", fact.seq, self.seq)).into());
        }
        if is_task(&fact.stream) {
            self.take_of_task(task_of(&fact.stream)?, fact)?;
        } else if let Some(kept) = Kept::of(fact)? {
            self.deals.add(kept.deal);
            self.votes.extend(kept.votes.into_iter().map(|vote| (vote.seq, vote)));
        }
        (self.seq, self.latest) = (fact.seq, self.latest.max(fact.recorded_at));
        Ok(())
    }

    fn take_of_task(&mut self, id: Id<Task>, fact: &Fact) -> Result<(), AppError> {
        if fact.version == 1 {
            self.going.insert(id, Going::default());
        }
        // None: it ended, or was erased.
        let Some(going) = self.going.get_mut(&id) else { return Ok(()) };
        match going.take(fact) {
            Err(AppError::Erased) => {
                self.leave(id);
                return Ok(());
            }
            taken => taken?,
        }
        if going.has_ended() {
            going.deal(fact).into_iter().for_each(|deal| self.deals.add(deal));
            self.votes.extend(going.services().into_iter().map(|vote| (vote.seq, vote)));
            self.leave(id);
        } else if [Event::CREATED, Event::ACCEPTED].contains(&fact.kind.as_str()) {
            for (key, role) in going.parties() {
                self.open.entry((key, role)).or_default().insert(id);
            }
        }
        Ok(())
    }

    /// Takes a task out.
    fn leave(&mut self, id: Id<Task>) {
        let parties = self.going.remove(&id).map(|going| going.parties().collect::<Vec<_>>());
        for party in parties.into_iter().flatten() {
            if let Some(tasks) = self.open.get_mut(&party) {
                tasks.remove(&id);
                if tasks.is_empty() {
                    self.open.remove(&party);
                }
            }
        }
    }

    /// The number of the last fact that was taken.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// How many deals there are.
    pub fn deals(&self) -> usize {
        self.deals.len()
    }

    /// A key's open tasks in a role, each with what of its payouts has not come to an end, in sat.
    pub fn open(&self, key: NostrKey, role: Role) -> BTreeMap<Id<Task>, u64> {
        let tasks = self.open.get(&(key, role)).into_iter().flatten();
        tasks.filter_map(|id| Some((*id, self.going.get(id)?.open_sat()))).collect()
    }

    /// What a key's standing takes.
    pub fn about(&self, key: NostrKey, role: Role, now: Timestamp) -> About {
        let open = self.open(key, role);
        About { key, role, seq: self.seq, at: now.max(self.latest), deals: self.deals.around(key), open }
    }

    /// All that what looks odd takes.
    pub fn all(&self, now: Timestamp) -> All {
        All { at: now.max(self.latest), deals: self.deals.all(), votes: self.votes.values().cloned().collect() }
    }
}

/// Everything that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct All {
    at: Timestamp,
    deals: Vec<Deal>,
    votes: Vec<Service>,
}

impl All {
    /// What looks odd.
    ///
    /// # Errors
    /// [`AppError::Reputation`] if facts contradict each other.
    pub fn odd(&self) -> Result<Vec<Flag>, AppError> {
        Ok(anomaly::find(&self.deals, &self.votes, &Thresholds::default(), self.at)?)
    }
}

/// The part of a book that a key's standing in a role depends on.
#[derive(Clone, Debug)]
pub struct About {
    key: NostrKey,
    role: Role,
    seq: u64,
    at: Timestamp,
    deals: Vec<Deal>,
    open: BTreeMap<Id<Task>, u64>,
}

impl About {
    /// The standing.
    ///
    /// # Errors
    /// [`AppError::Reputation`] if facts, or limits, contradict each other.
    pub fn standing(self, limits: &Limits) -> Result<Known, AppError> {
        let standing = Market::try_new(&self.deals, limits, self.at)?.standing(self.key, self.role);
        Ok(Known {
            standing,
            seq: self.seq,
            at: self.at,
            open_tasks: self.open.len(),
            open_sat: self.open.values().sum(),
        })
    }
}

/// A standing, and what it was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// The standing.
    pub standing: Standing,
    /// All facts up to this one are in it.
    pub seq: u64,
    /// The time that it is of: now, or that of the latest fact.
    pub at: Timestamp,
    /// Tasks open now in this role.
    pub open_tasks: usize,
    /// What of their payouts has not come to an end, in sat.
    pub open_sat: u64,
}
