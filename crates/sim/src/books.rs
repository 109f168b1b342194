//! The journal, read again by somebody who believes nothing: each task as its facts make it, and what they tell.

use std::collections::{BTreeMap, BTreeSet};
use tallystick_app::{
    away::{AWAY, outage_of},
    port::journal::{Journal, StoreError},
};
use tallystick_civics::dispute::Dispute;
use tallystick_core::{
    Authority, BlockHeight, Decider, Digest32, Fact, Id, Msat, NostrKey, PaymentHash, Timestamp, canonical,
};
use tallystick_escrow::{
    Escrow, Event, OnSilence, Outage, Stage, State, Task, Tranche, TrancheState, payout_id, plan, reward_id,
};
use tallystick_testkit::{
    MemoryStore,
    rail::{Outgoing, Payment},
};

/// Facts read at once.
const PAGE: u32 = 1_000;

/// A fact of a task, as it was told.
pub struct Told {
    /// Its number in the journal.
    pub seq: u64,
    /// Whose it is: the position among the plan's drafts.
    pub task: usize,
    /// What it says.
    pub event: Event,
    /// When it was decided.
    pub at: Timestamp,
    /// At which height.
    pub height: BlockHeight,
    /// Which user asked for it; nobody for the node's own word.
    pub by: Option<NostrKey>,
    /// The task before it.
    pub before: State,
}

impl Told {
    /// The task before it, if there was one.
    pub fn task_before(&self) -> Option<&Task> {
        match &self.before {
            State::Present(task) => Some(task),
            State::Absent => None,
        }
    }
}

/// A payout that the journal says was begun.
pub struct Begun {
    /// Of which task and tranche.
    pub of: (usize, usize),
    /// On which hash.
    pub hash: PaymentHash,
    /// To which invoice.
    pub bolt11: String,
    /// The most that routing may cost, in msat.
    pub fee_max: u64,
}

/// Everything that the journal has told so far.
#[derive(Default)]
pub struct Books {
    /// The hash of each fact.
    pub chain: Vec<Digest32>,
    /// When the last of them was recorded.
    pub newest_at: Option<Timestamp>,
    /// Each task, as its facts make it.
    pub states: Vec<State>,
    /// The tranche of each hash that a worker ever handed in.
    pub hashes: BTreeMap<PaymentHash, (usize, usize)>,
    /// Payouts that were begun, by their ids.
    pub begun: BTreeMap<Digest32, Begun>,
    /// Arbitrators' pay, by the hashes of their invoices: in which dispute, whose, and how much.
    pub rewards: BTreeMap<PaymentHash, (Id<Dispute>, NostrKey, Msat)>,
    /// Hashes whose payee was paid, as the journal says.
    pub paid: BTreeSet<PaymentHash>,
    /// Hashes whose hold is gone, as the journal says.
    pub lost: BTreeSet<PaymentHash>,
    /// When the review of a milestone's work began, and at which height the work was handed in.
    pub submitted: BTreeMap<(usize, u32), (Timestamp, BlockHeight)>,
    /// When each task's money was asked for.
    pub asked_at: BTreeMap<usize, Timestamp>,
    /// When all of it was locked.
    pub held_at: BTreeMap<usize, Timestamp>,
    /// When the node was away, as it told itself.
    pub away: Vec<Outage>,
    /// Tasks that changed since they were last looked at.
    pub changed: BTreeSet<usize>,
    /// The last fact of each append that was read since this was taken.
    pub appends: Vec<u64>,
    /// How many facts of each kind tasks have.
    pub kinds: BTreeMap<&'static str, u64>,
    /// The stream and authority of the last fact.
    last: Option<(String, Digest32)>,
    ids: BTreeMap<String, usize>,
}

impl Books {
    /// Books of so many tasks, none of which has begun.
    pub fn new(ids: &[Id<Task>]) -> Self {
        let ids = ids.iter().enumerate().map(|(at, id)| (format!("escrow/{id}"), at)).collect::<BTreeMap<_, _>>();
        Self { states: vec![State::Absent; ids.len()], ids, ..Self::default() }
    }

    /// Reads on. Answers what was told since, or why the journal is no continuation of what it was.
    ///
    /// # Errors
    /// The reason, if the store fails or is not what it was.
    pub async fn read(&mut self, store: &MemoryStore) -> Result<Vec<Told>, String> {
        let text = |error: StoreError| error.to_string();
        let mut told = Vec::new();
        self.changed.clear();
        // The last one that is known must be there still.
        let known = self.chain.len() as u64;
        if let (Some(last), true) = (self.chain.last(), known > 0) {
            let there = store.facts(known - 1, 1).await.map_err(text)?;
            if there.first().map(|fact| fact.hash) != Some(*last) {
                return Err(format!("fact {known} is not there any more, or another one is in its place"));
            }
        }
        loop {
            let page = store.facts(self.chain.len() as u64, PAGE).await.map_err(text)?;
            if page.is_empty() {
                return Ok(told);
            }
            for fact in page {
                let by = match store.authority(fact.authority).await.map_err(text)? {
                    Some(Authority::Request(request)) => Some(request.author),
                    Some(Authority::Node { .. }) => None,
                    None => return Err(format!("nobody stands behind fact {}", fact.seq)),
                };
                told.extend(self.enter(&fact, by)?);
            }
        }
    }

    fn enter(&mut self, fact: &Fact, by: Option<NostrKey>) -> Result<Option<Told>, String> {
        self.chain.push(fact.hash);
        self.newest_at = Some(fact.recorded_at);
        if fact.kind == AWAY {
            self.away.push(outage_of(fact).map_err(|error| error.to_string())?);
        }
        let Some(task) = self.ids.get(&fact.stream).copied() else { return Ok(None) };
        // No two appends have the same authority.
        let append = (fact.stream.clone(), fact.authority);
        if self.last.as_ref() == Some(&append) {
            self.appends.pop();
        }
        self.appends.push(fact.seq);
        self.last = Some(append);
        let content = fact.body.content().ok_or_else(|| format!("fact {} has no content", fact.seq))?;
        let event: Event = canonical::decode("event", content).map_err(|error| error.to_string())?;
        let before = std::mem::take(&mut self.states[task]);
        self.states[task] = Escrow::evolve(before.clone(), &event);
        self.changed.insert(task);
        *self.kinds.entry(event.kind()).or_default() += 1;
        let told = Told { seq: fact.seq, task, event, at: fact.recorded_at, height: fact.height, by, before };
        self.note(&told);
        Ok(Some(told))
    }

    fn note(&mut self, told: &Told) {
        let State::Present(task) = &self.states[told.task] else { return };
        let parts = task.phase.job().map(|job| job.tranches.as_slice()).unwrap_or_default();
        for (tranche, part) in parts.iter().enumerate() {
            let next = part.renewal.as_ref().map(|next| next.hash);
            for hash in [Some(part.hash), next].into_iter().flatten() {
                self.hashes.insert(hash, (told.task, tranche));
            }
        }
        let part = |tranche: u32| usize::try_from(tranche).ok().and_then(|at| Some((at, parts.get(at)?)));
        match &told.event {
            Event::PayoutBegun { tranche, attempt, .. } => {
                if let Some((at, part)) = part(*tranche) {
                    let begun = Begun {
                        of: (told.task, at),
                        hash: part.hash,
                        bolt11: part.payout_invoice.clone(),
                        fee_max: part.fee.to_msat().get(),
                    };
                    self.begun.insert(payout_id(task.id, *tranche, *attempt), begun);
                }
            }
            Event::PayoutPaid { tranche, .. } => drop(part(*tranche).map(|(_, part)| self.paid.insert(part.hash))),
            Event::HoldLost { tranche } => drop(part(*tranche).map(|(_, part)| self.lost.insert(part.hash))),
            Event::HoldLocked { tranche, .. } => drop(part(*tranche).map(|(_, part)| self.lost.remove(&part.hash))),
            Event::RewardBegun { dispute, arbitrator, invoice, attempt, .. } => {
                let case = task.cases().find(|case| case.dispute.opening.id == *dispute);
                let reward = case.map_or(Msat::ZERO, |case| case.reward);
                self.rewards.insert(invoice.hash, (*dispute, *arbitrator, reward));
                let begun = Begun {
                    of: (told.task, usize::MAX),
                    hash: invoice.hash,
                    bolt11: invoice.bolt11.clone(),
                    fee_max: (reward.get() / 10).max(1_000),
                };
                self.begun.insert(reward_id(*dispute, *arbitrator, *attempt), begun);
            }
            Event::FundingRequested { .. } => drop(self.asked_at.insert(told.task, told.at)),
            Event::TaskHeld => drop(self.held_at.insert(told.task, told.at)),
            Event::WorkSubmitted { milestone, .. } => {
                self.submitted.insert((told.task, *milestone), (told.at, told.height));
            }
            // The review begins anew, as far as time goes: when blocks run short, they decide as they would have before.
            Event::ReviewResumed { milestone, .. } => {
                self.submitted.entry((told.task, *milestone)).and_modify(|(at, _)| *at = told.at);
            }
            _ => {}
        }
    }

    /// What arbitrators were paid, and what that cost, in msat.
    pub fn spent_on_rewards(&self, payments: &BTreeMap<Digest32, Payment>) -> u64 {
        let paid = payments.values().filter(|payment| payment.state == Outgoing::Paid);
        paid.filter(|payment| self.rewards.contains_key(&payment.hash))
            .map(|payment| payment.amount + payment.fee)
            .sum()
    }

    /// The tranches of a task.
    pub fn tranches(&self, task: usize) -> &[Tranche] {
        tranches(&self.states[task])
    }

    /// Every tranche of every task.
    pub fn all(&self) -> impl Iterator<Item = (usize, usize, &Tranche)> {
        (0..self.states.len())
            .flat_map(|task| self.tranches(task).iter().enumerate().map(move |(at, part)| (task, at, part)))
    }

    /// The hashes that a tranche ever had.
    pub fn hashes_of(&self, task: usize, tranche: usize) -> impl Iterator<Item = PaymentHash> {
        self.hashes.iter().filter(move |(_, of)| **of == (task, tranche)).map(|(hash, _)| *hash)
    }
}

/// The tranches of a task.
pub fn tranches(state: &State) -> &[Tranche] {
    match state {
        State::Present(task) => task.phase.job().map(|job| job.tranches.as_slice()).unwrap_or_default(),
        State::Absent => &[],
    }
}

/// The last height at which a payout of what is held of a milestone may begin, counted anew: the deadline, less the
/// blocks that a payout and its margin may take.
pub fn last_height(task: &Task, milestone: u32) -> Option<BlockHeight> {
    let job = task.phase.job()?;
    let own = task.terms.tranches_of(milestone);
    let deadlines =
        (0..).zip(&job.tranches).filter(|(at, _)| own.contains(at)).filter_map(|(_, part)| match part.state {
            TrancheState::Held { claim_deadline } => Some(claim_deadline.0),
            _ => None,
        });
    let reserve = task.policy.payout_cltv_max.0 + task.policy.payout_margin.0;
    deadlines.min().map(|deadline| BlockHeight(deadline.saturating_sub(reserve)))
}

/// The last height at which something can be handed in, counted anew. Where silence pays, the requester has the blocks of a review
/// after it, before silence decides or, with a panel, before the blocks of a dispute begin.
pub fn last_to_hand_in(task: &Task, milestone: u32) -> Option<BlockHeight> {
    let last = last_height(task, milestone)?.0;
    if task.terms.on_silence == OnSilence::Refund {
        // From that height on blocks give it back.
        return Some(BlockHeight(last.saturating_sub(1)));
    }
    let review = plan::review_blocks(task.terms.review_window).0;
    let lead = match task.terms.panel {
        Some(_) => last.saturating_sub(plan::refuse_by(&task.policy, BlockHeight(last)).0),
        None => SILENCE_LEAD,
    };
    Some(BlockHeight(last.saturating_sub(lead + review)))
}

/// Whether work of a milestone was handed in.
pub fn is_handed_in(task: &Task, milestone: u32) -> bool {
    let stage = task.phase.job().and_then(|job| task.stage(job, milestone));
    stage.is_some_and(|stage| stage != Stage::Working)
}

/// The blocks before the last height at which silence pays.
pub const SILENCE_LEAD: u32 = plan::SILENCE_LEAD.0;
