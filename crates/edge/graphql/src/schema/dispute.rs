//! Disputes as clients see them.

use async_graphql::{Context, Enum, Object, SimpleObject};
use serde::Deserialize;
use tallystick_app::{
    port::evidence::Matter,
    vault::{VaultError, readers},
};
use tallystick_civics::dispute as civics;
use tallystick_core::{self as core, BlockHeight, Blocks};
use tallystick_escrow::{DisputeView, SeatView, TaskView, plan};

use super::{
    Result, app, internal,
    scalar::{Hex32, Msat, NostrKey, Sat, Uuid},
    services, session,
    standing::TaskRole,
    task::named,
};
use crate::error::Failure;

/// What a panel's seats are counted as in a query's complexity.
const SEATS_USUAL: usize = 4;
/// What the draws of a dispute are counted as: the registry is read from its first fact for them.
const DRAWS_COST: usize = 2_000;
/// What evidence is counted as: the task's facts and the vault are read for it.
const EVIDENCE_COST: usize = 500;

/// Where a dispute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
#[graphql(name = "DisputeState")]
pub(crate) enum State {
    /// The block that decides who sits is awaited, or still too young.
    Drawing,
    /// Those who were drawn accept or refuse; evidence can be filed.
    Seating,
    /// The panel commits to its votes.
    Committing,
    /// The panel shows its votes.
    Revealing,
    /// There is a ruling, which can be appealed.
    Ruled,
    /// The ruling stands.
    Decided,
    /// No panel came to a ruling: the task's terms decide.
    Failed,
    /// Who opened it gave it up.
    Withdrawn,
}

/// What happens when nobody does anything more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "DisputeTurn")]
pub(crate) enum Turn {
    /// Too few do their part: a first panel is replaced, if there is time; else the task's terms decide, or the ruling that
    /// was appealed stands.
    PanelFails,
    /// The panel begins to vote.
    VotingBegins,
    /// The panel begins to show its votes.
    RevealingBegins,
    /// The votes make a ruling.
    Ruling,
    /// The ruling stands.
    RulingStands,
}

/// A side of a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "DisputeSide")]
pub(crate) enum Side {
    /// Gets back what is not awarded.
    Requester,
    /// Gets what is awarded.
    Worker,
}

/// Where a seat stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SeatState {
    /// Was asked, and has not answered.
    Asked,
    /// Will not sit.
    Refused,
    /// Sits.
    Accepted,
    /// Has voted; nobody knows how.
    Committed,
    /// Has shown the vote.
    Revealed,
    /// Was asked in time, and did not answer.
    MissedAnswer,
    /// Did not vote.
    MissedCommit,
    /// Did not show the vote.
    MissedReveal,
}

/// How the pay of an arbitrator stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RewardState {
    /// A payment is under way.
    Paying,
    /// Was paid.
    Paid,
    /// Did not work: another invoice can be handed in.
    Failed,
}

/// What a part of a dispute is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "DisputePart")]
pub(crate) enum Part {
    /// A tranche: for the worker, it is paid out; else it goes back.
    Work,
    /// The requester's bond: for the worker, it is taken; else it stays the requester's.
    RequesterBond,
    /// The worker's bond: for the worker, it stays its own; else it is taken.
    WorkerBond,
}

/// A dispute, seen at some height.
#[derive(Clone, Copy)]
pub(crate) struct Dispute<'a> {
    pub(super) task: &'a TaskView,
    pub(super) view: &'a DisputeView,
    pub(super) height: BlockHeight,
}

impl Dispute<'_> {
    fn left(&self) -> Option<Blocks> {
        self.view.until.map(|until| self.height.until(until))
    }

    /// What its parts are, in order: a task's bonds come after all of its tranches.
    fn kinds(&self) -> impl Iterator<Item = Part> {
        let work = self.task.tranches().count();
        self.view.tranches.iter().map(move |tranche| {
            let bond = usize::try_from(*tranche).ok().and_then(|at| at.checked_sub(work));
            match bond.and_then(|at| self.task.bonds.get(at)) {
                None => Part::Work,
                Some(bond) if bond.of_worker => Part::WorkerBond,
                Some(_) => Part::RequesterBond,
            }
        })
    }

    /// What an award makes of the disputed parts.
    pub(super) fn award(&self, mask: u64) -> Result<Award> {
        let (mut to_worker, mut bonds_taken) = (Vec::new(), Vec::new());
        let (mut worker, mut requester) = (Vec::new(), Vec::new());
        for ((at, kind), amount) in (0..).zip(self.kinds()).zip(&self.view.parts) {
            let is_for_worker = mask >> at & 1 == 1;
            to_worker.extend(is_for_worker.then_some(at));
            match (kind, is_for_worker) {
                (Part::Work, true) => worker.push(*amount),
                (Part::Work, false) => requester.push(*amount),
                (Part::RequesterBond, true) => {
                    worker.push(*amount);
                    bonds_taken.push(TaskRole::Requester);
                }
                (Part::WorkerBond, false) => {
                    requester.push(*amount);
                    bonds_taken.push(TaskRole::Worker);
                }
                (Part::RequesterBond, false) | (Part::WorkerBond, true) => {}
            }
        }
        let sum = |parts: Vec<core::Sat>| {
            core::Sat::sum(parts).map(Sat).map_err(|error| internal("a dispute in the read model", &error))
        };
        Ok(Award { to_worker, worker_sat: sum(worker)?, requester_sat: sum(requester)?, bonds_taken })
    }

    /// The dispute as its facts make it.
    async fn whole(&self, ctx: &Context<'_>) -> Result<Option<civics::Dispute>> {
        match services(ctx).vault.dispute(self.matter()).await {
            Ok(dispute) => Ok(Some(dispute)),
            Err(VaultError::NoDispute) => Ok(None),
            Err(error) => Err(Failure::from(error).into()),
        }
    }

    fn matter(&self) -> Matter {
        Matter { task: self.task.id, dispute: self.view.id }
    }

    /// Whether enough of this round's panel are in one of these states.
    fn enough(&self, states: &[&str]) -> bool {
        let current = self.view.panel.iter().filter(|seat| seat.round == self.view.round);
        current.filter(|seat| states.contains(&seat.state.as_str())).count() > self.view.seats / 2
    }
}

/// Who gets what of the disputed parts.
#[derive(SimpleObject)]
pub(crate) struct Award {
    /// The disputed parts that are decided for the worker: positions in the dispute's `tranches`, from 0.
    to_worker: Vec<u32>,
    /// What the worker gets: tranches that are paid out, and the requester's bond if it is taken.
    worker_sat: Sat,
    /// What the requester gets: what of the worker's payout goes back, and the worker's bond if it is taken.
    requester_sat: Sat,
    /// Whose bonds are taken. What is not taken stays until all else is over, and then goes back.
    pub(super) bonds_taken: Vec<TaskRole>,
}

/// A dispute about what was undecided of a milestone: a panel of arbitrators that nobody chose decides.
#[Object]
impl Dispute<'_> {
    /// Its id.
    async fn id(&self) -> Uuid {
        Uuid::about(self.view.id)
    }

    /// Where it stands.
    async fn state(&self) -> Result<State> {
        named(&self.view.state)
    }

    /// Who opened it.
    async fn opened_by(&self) -> Side {
        if self.view.opened_by_worker { Side::Worker } else { Side::Requester }
    }

    /// The disputed parts, by their positions among all tranches of the task; its bonds come after these.
    async fn tranches(&self) -> &[u32] {
        &self.view.tranches
    }

    /// What each of them is worth to the worker.
    async fn parts_sat(&self) -> Vec<Sat> {
        self.view.parts.iter().map(|part| Sat(*part)).collect()
    }

    /// What each of them is.
    async fn parts(&self) -> Vec<Part> {
        self.kinds().collect()
    }

    /// The height by which it is ruled, whatever anybody does.
    async fn rule_by(&self) -> u32 {
        self.view.rule_by.0
    }

    /// The first height at which it is too late for what is waited for now. Null once it is over.
    async fn until(&self) -> Option<u32> {
        self.view.until.map(|height| height.0)
    }

    /// Blocks until then.
    async fn blocks_left(&self) -> Option<u32> {
        self.left().map(|blocks| blocks.0)
    }

    /// How long these blocks take on average, in seconds. An estimate: only blocks count.
    async fn seconds_left(&self) -> Option<u64> {
        self.left().map(|blocks| plan::time_of(blocks).as_secs())
    }

    /// What happens then when nobody does anything more. Null once it is over.
    async fn then(&self) -> Result<Option<Turn>> {
        let next = |states: &[&str], turn| if self.enough(states) { turn } else { Turn::PanelFails };
        let voted = &["committed", "revealed"];
        Ok(match named::<State>(&self.view.state)? {
            State::Drawing => Some(Turn::PanelFails),
            State::Seating => Some(next(&["accepted"], Turn::VotingBegins)),
            State::Committing => Some(next(voted, Turn::RevealingBegins)),
            State::Revealing => Some(next(&["revealed"], Turn::Ruling)),
            State::Ruled => Some(Turn::RulingStands),
            State::Decided | State::Failed | State::Withdrawn => None,
        })
    }

    /// Which round it is, from 1: a panel that fails is replaced once, and a ruling can be appealed once.
    async fn round(&self) -> u32 {
        self.view.round
    }

    /// How many sit in this round.
    async fn seats(&self) -> usize {
        self.view.seats
    }

    /// The height of the block that decides who is drawn in this round.
    async fn draw_block(&self) -> u32 {
        self.view.draw_block.0
    }

    /// Who was asked to sit, in all rounds.
    #[graphql(complexity = "child_complexity.saturating_mul(SEATS_USUAL)")]
    async fn panel(&self) -> Vec<Seat<'_>> {
        self.view.panel.iter().map(|seat| Seat { dispute: *self, seat }).collect()
    }

    /// The ruling, once there is one; it stands once the dispute is decided.
    async fn ruling(&self) -> Result<Option<Award>> {
        self.view.award.map(|mask| self.award(mask)).transpose()
    }

    /// What each arbitrator is paid who shows a vote, whatever the ruling is.
    async fn reward_msat(&self) -> Msat {
        Msat(self.view.reward)
    }

    /// Who may read its evidence; for these only, else empty.
    #[graphql(complexity = "EVIDENCE_COST")]
    async fn readers(&self, ctx: &Context<'_>) -> Result<Vec<NostrKey>> {
        let Some(dispute) = self.whole(ctx).await? else { return Ok(Vec::new()) };
        let readers = readers(&dispute);
        let told = readers.contains(&session(ctx).viewer);
        Ok(readers.into_iter().filter(|_| told).map(NostrKey).collect())
    }

    /// What was filed; for the parties and the arbitrators who accepted a seat only, else empty.
    #[graphql(complexity = "EVIDENCE_COST")]
    async fn evidence(&self, ctx: &Context<'_>) -> Result<Vec<Evidence>> {
        let Some(dispute) = self.whole(ctx).await? else { return Ok(Vec::new()) };
        let (viewer, readers) = (session(ctx).viewer, readers(&dispute));
        if !readers.contains(&viewer) {
            return Ok(Vec::new());
        }
        let vault = &services(ctx).vault;
        let kept = vault.pieces(self.matter()).await.map_err(Failure::from)?;
        let mut shown = Vec::new();
        for filed in &dispute.evidence {
            let keys = vault.wrapped(viewer, self.matter(), filed.hash).await.map_err(Failure::from)?;
            let has = |reader: &core::NostrKey| keys.iter().any(|key| key.reader == *reader);
            let missing = readers.iter().filter(|reader| !has(reader)).map(|reader| NostrKey(*reader)).collect();
            let by = match filed.by {
                civics::Side::Payer => dispute.opening.payer,
                civics::Side::Payee => dispute.opening.payee,
            };
            shown.push(Evidence {
                hash: Hex32(filed.hash),
                bytes: filed.bytes,
                by: NostrKey(by),
                kept: kept.iter().any(|piece| piece.hash == filed.hash),
                key: keys.iter().find(|key| key.reader == viewer).map(|key| key.wrapped.clone()),
                without_key: missing,
            });
        }
        Ok(shown)
    }

    /// The draws of its panels, with all that anyone needs to make them again.
    #[graphql(complexity = "DRAWS_COST")]
    async fn draws(&self, ctx: &Context<'_>) -> Result<Vec<Draw>> {
        let Some(dispute) = self.whole(ctx).await? else { return Ok(Vec::new()) };
        let seq = dispute.opening.registry_seq;
        if dispute.panels().all(|panel| panel.draw.is_none()) {
            return Ok(Vec::new());
        }
        let roll = app(ctx).roll(Some(seq)).await.map_err(Failure::from)?;
        let list = roll.candidates().map_err(|error| internal("the registry makes no list", &error))?;
        let parties = [dispute.opening.payer, dispute.opening.payee];
        let mut excluded: std::collections::BTreeSet<_> =
            dispute.opening.conflicts.iter().copied().chain(parties).collect();
        let mut draws = Vec::new();
        for (round, panel) in (1..).zip(dispute.panels()) {
            if let Some(draw) = &panel.draw {
                draws.push(Draw {
                    dispute: Uuid::about(dispute.opening.id),
                    round,
                    block: panel.draw_block().0,
                    block_hash: Hex32(draw.block_hash),
                    registry_seq: seq,
                    candidates_digest: Hex32(draw.candidates),
                    candidates: list.as_slice().iter().map(Candidate::from).collect(),
                    excluded: excluded.iter().copied().map(NostrKey).collect(),
                    seats: panel.seats.count(),
                    order: draw.order.iter().copied().map(NostrKey).collect(),
                });
            }
            excluded.extend(panel.bench.iter().map(|seat| seat.arbitrator));
        }
        Ok(draws)
    }
}

/// Somebody who was asked to sit.
pub(crate) struct Seat<'a> {
    dispute: Dispute<'a>,
    seat: &'a SeatView,
}

/// Somebody who was asked to sit.
#[Object]
impl Seat<'_> {
    /// Who.
    async fn arbitrator(&self) -> NostrKey {
        NostrKey(self.seat.arbitrator)
    }

    /// In which round, from 1.
    async fn round(&self) -> u32 {
        self.seat.round
    }

    /// What became of it.
    async fn state(&self) -> Result<SeatState> {
        named(&self.seat.state)
    }

    /// What hides the vote, once it is committed to.
    async fn commitment(&self) -> Option<Hex32> {
        self.seat.commitment.map(Hex32)
    }

    /// The vote, once it was shown.
    async fn vote(&self) -> Result<Option<Award>> {
        self.seat.vote.map(|mask| self.dispute.award(mask)).transpose()
    }

    /// How its pay stands, once it asked for it.
    async fn reward(&self) -> Result<Option<RewardState>> {
        self.seat.reward.as_deref().map(named).transpose()
    }
}

/// Something that a party showed to the panel, encrypted to it.
#[derive(SimpleObject)]
pub(crate) struct Evidence {
    /// SHA-256 of its bytes, which are encrypted: `GET /evidence/<task>/<dispute>/<hash>`.
    hash: Hex32,
    /// How many.
    bytes: u64,
    /// Who filed it.
    by: NostrKey,
    /// Whether it is kept, and not erased.
    kept: bool,
    /// The key that opens it, encrypted to you (NIP-44) by who filed it. Null until that was done.
    key: Option<String>,
    /// Who may read it, and has no key yet. Who filed it can mend that: `shareEvidence`.
    without_key: Vec<NostrKey>,
}

/// A draw: the order follows from all else.
#[derive(SimpleObject)]
pub(crate) struct Draw {
    /// The dispute.
    dispute: Uuid,
    /// The round, from 1.
    round: u32,
    /// The height of the block that decides.
    block: u32,
    /// Its hash, as it is shown.
    block_hash: Hex32,
    /// The number of the fact as of which the candidates are taken from the registry.
    registry_seq: u64,
    /// The digest of the whole list, as the dispute's facts have it.
    candidates_digest: Hex32,
    /// Who could be drawn, sorted by key.
    candidates: Vec<Candidate>,
    /// Who could not, although it may be in the list: parties, conflicts of interest, and who was asked before.
    excluded: Vec<NostrKey>,
    /// How many were to sit.
    seats: usize,
    /// Who was drawn, in order: first those who are asked at once, then who steps in.
    order: Vec<NostrKey>,
}

/// Somebody who could be drawn.
#[derive(SimpleObject)]
pub(crate) struct Candidate {
    /// Who.
    arbitrator: NostrKey,
    /// How much more likely than somebody of weight 1. `drawWeight` tells what it is made of.
    weight: u32,
}

impl From<&tallystick_civics::draw::Candidate> for Candidate {
    fn from(candidate: &tallystick_civics::draw::Candidate) -> Self {
        Self { arbitrator: NostrKey(candidate.arbitrator), weight: candidate.weight }
    }
}
