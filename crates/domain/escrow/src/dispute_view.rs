//! A dispute as queries show it.

use serde::{Deserialize, Serialize};
use tallystick_civics::dispute::{Dispute, Duty, Panel, Phase, Seat, SeatState, Side};
use tallystick_core::{BlockHeight, Digest32, Id, Msat, NostrKey, Sat};

use crate::{Case, RewardState};

/// A dispute as queries show it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisputeView {
    /// Its id.
    pub id: Id<Dispute>,
    /// The state's name, such as `committing`.
    pub state: String,
    /// Whether the worker opened it, or else the requester.
    pub opened_by_worker: bool,
    /// The disputed tranches by their positions among all of the task: part n of an award is the n-th of them.
    pub tranches: Vec<u32>,
    /// What each of them is worth to the worker.
    pub parts: Vec<Sat>,
    /// The height by which it is ruled.
    pub rule_by: BlockHeight,
    /// The first height at which it is too late for what is waited for.
    pub until: Option<BlockHeight>,
    /// Which round, from 1.
    pub round: u32,
    /// How many sit in this round.
    pub seats: usize,
    /// The height of the block that decides who is drawn in this round.
    pub draw_block: BlockHeight,
    /// The number of the fact as of which the candidates are taken from the registry.
    pub registry_seq: u64,
    /// Who was asked to sit, in all rounds.
    pub panel: Vec<SeatView>,
    /// What was filed: SHA-256 of the bytes, how many, and whether the worker did.
    pub evidence: Vec<(Digest32, u64, bool)>,
    /// The ruling as a mask of the parts that go to the worker, once there is one.
    pub award: Option<u64>,
    /// What each arbitrator is paid who votes.
    pub reward: Msat,
}

/// Somebody who was asked to sit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatView {
    /// Who.
    pub arbitrator: NostrKey,
    /// In which round, from 1.
    pub round: u32,
    /// The state's name, such as `accepted`.
    pub state: String,
    /// What hides the vote, once it was committed to.
    pub commitment: Option<Digest32>,
    /// The vote as a mask, once it was revealed.
    pub vote: Option<u64>,
    /// How its pay stands, once it asked for it: `paying`, `paid` or `failed`.
    pub reward: Option<String>,
}

impl DisputeView {
    /// Who has something left to do on its panel: was asked and may answer, or sits. Nobody once it is over.
    pub fn sitting(&self) -> impl Iterator<Item = NostrKey> {
        let has_duty = |seat: &&SeatView| ["asked", "accepted", "committed", "revealed"].contains(&seat.state.as_str());
        let current = self.panel.iter().filter(|seat| seat.round == self.round && self.until.is_some());
        current.filter(has_duty).map(|seat| seat.arbitrator)
    }
}

impl From<&Case> for DisputeView {
    fn from(case: &Case) -> Self {
        let dispute = &case.dispute;
        let evidence = dispute.evidence.iter().map(|filed| (filed.hash, filed.bytes, filed.by == Side::Payee));
        Self {
            id: dispute.opening.id,
            state: dispute.phase.name().to_owned(),
            opened_by_worker: dispute.opened_by == Side::Payee,
            tranches: case.tranches.clone(),
            parts: dispute.opening.parts.clone(),
            rule_by: dispute.opening.rule_by,
            until: dispute.wake(),
            round: dispute.round(),
            seats: dispute.panel.seats.count(),
            draw_block: dispute.panel.draw_block(),
            registry_seq: dispute.opening.registry_seq,
            panel: (1..).zip(dispute.panels()).flat_map(|(round, panel)| seats(case, round, panel)).collect(),
            evidence: evidence.collect(),
            award: match dispute.phase {
                Phase::Ruled { award, .. } | Phase::Decided { award } => Some(award.mask()),
                _ => None,
            },
            reward: case.reward,
        }
    }
}

fn seats(case: &Case, round: u32, panel: &Panel) -> Vec<SeatView> {
    let view = |seat: &Seat| SeatView {
        arbitrator: seat.arbitrator,
        round,
        state: state(seat.state).to_owned(),
        commitment: match seat.state {
            SeatState::Committed { commitment } | SeatState::Revealed { commitment, .. } => Some(commitment),
            _ => None,
        },
        vote: match seat.state {
            SeatState::Revealed { award, .. } => Some(award.mask()),
            _ => None,
        },
        reward: case.reward_of(seat.arbitrator).map(|reward| match reward.state {
            RewardState::Paying => "paying".to_owned(),
            RewardState::Paid { .. } => "paid".to_owned(),
            RewardState::Failed => "failed".to_owned(),
        }),
    };
    panel.bench.iter().map(view).collect()
}

const fn state(state: SeatState) -> &'static str {
    match state {
        SeatState::Asked => "asked",
        SeatState::Refused => "refused",
        SeatState::Accepted => "accepted",
        SeatState::Committed { .. } => "committed",
        SeatState::Revealed { .. } => "revealed",
        SeatState::Missed(Duty::Answer) => "missed_answer",
        SeatState::Missed(Duty::Commit) => "missed_commit",
        SeatState::Missed(Duty::Reveal) => "missed_reveal",
    }
}
