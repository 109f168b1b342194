//! What is known of a dispute. Made from its facts, never stored.

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeSet;
use tallystick_core::{BlockHeight, Digest32, Id, NostrKey, Sat};

use super::{Award, Cause, Duty, Panel, Plan, Seat, SeatState, Seats};

/// A side of a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Side {
    /// Who gets back what is not awarded.
    Payer,
    /// Who gets what is awarded.
    Payee,
}

/// What a host opens a dispute with.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Opening {
    /// The new dispute's id.
    pub id: Id<Dispute>,
    /// Who gets back what is not awarded.
    pub payer: NostrKey,
    /// Who gets what is awarded.
    pub payee: NostrKey,
    /// What is disputed, part by part: 1 to [`super::PARTS_MAX`].
    pub parts: Vec<Sat>,
    /// Times and sizes.
    pub plan: Plan,
    /// The last height at which a ruling can still be carried out.
    pub rule_by: BlockHeight,
    /// The fewest seats that the host's terms ask for, five at most; the amount may ask for more.
    pub seats_min: Seats,
    /// Who must not sit, besides the parties: sorted, without repeats, [`super::CONFLICTS_MAX`] at most.
    pub conflicts: Vec<NostrKey>,
    /// The number of the journal's fact as of which all panels are drawn from the registry. Fixed before the block is
    /// known that decides, so that nobody can choose a list by what it would lead to.
    pub registry_seq: u64,
}

/// A dispute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// What it was opened with.
    pub opening: Opening,
    /// Who opened it.
    pub opened_by: Side,
    /// What was filed, in order.
    pub evidence: Vec<Evidence>,
    /// The rounds that are over.
    pub past: Vec<Panel>,
    /// The round that is under way, or was the last.
    pub panel: Panel,
    /// Where it stands.
    pub phase: Phase,
}

/// A piece of evidence. Its bytes are kept by the host or the parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Who filed it.
    pub by: Side,
    /// SHA-256 of its bytes.
    pub hash: Digest32,
    /// How many bytes.
    pub bytes: u64,
}

/// Where a dispute stands. `until` is the first height at which it is too late.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Waits for the draw's block to be buried.
    Drawing,
    /// Those who were drawn accept or refuse.
    Seating {
        /// Until when.
        until: BlockHeight,
    },
    /// The panel commits to its votes.
    Committing {
        /// Until when.
        until: BlockHeight,
    },
    /// The panel reveals its votes.
    Revealing {
        /// Until when.
        until: BlockHeight,
    },
    /// There is a ruling, which can be appealed.
    Ruled {
        /// The ruling.
        award: Award,
        /// Who is content with it.
        accepted: BTreeSet<Side>,
        /// Until when.
        until: BlockHeight,
    },
    /// The ruling stands. The end.
    Decided {
        /// The ruling.
        award: Award,
    },
    /// No panel could be brought to a ruling: the host's default applies. The end.
    Failed,
    /// Who opened it gave it up: the host goes on as if there had been none. The end.
    Withdrawn,
    /// Its host closed it: the sides agreed, or nothing was left to decide on. The end.
    Closed,
}

/// What a host has to do about a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Wait.
    Running,
    /// Go on as if there had been none.
    Withdrawn,
    /// Nothing: the host itself closed it.
    Closed,
    /// Carry this out.
    Award(Award),
    /// Carry out the own default.
    Failed,
}

/// Somebody who did not do what was expected: it costs standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Silence {
    /// Who.
    pub arbitrator: NostrKey,
    /// In which round, from 1.
    pub round: u32,
    /// What was missed.
    pub missed: Duty,
}

impl Side {
    /// The other side.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Payer => Self::Payee,
            Self::Payee => Self::Payer,
        }
    }
}

impl Opening {
    /// Which side a key is on.
    pub fn side_of(&self, key: NostrKey) -> Option<Side> {
        if key == self.payer {
            Some(Side::Payer)
        } else if key == self.payee {
            Some(Side::Payee)
        } else {
            None
        }
    }
}

impl Dispute {
    /// The round, from 1.
    pub fn round(&self) -> u32 {
        u32::try_from(self.past.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// All rounds, in order.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.past.iter().chain([&self.panel])
    }

    /// Who may not be drawn now: the parties, who the host named, and whoever was asked before.
    pub fn excluded(&self) -> BTreeSet<NostrKey> {
        let asked = self.panels().flat_map(|panel| &panel.bench).map(|seat| seat.arbitrator);
        let parties = [self.opening.payer, self.opening.payee];
        self.opening.conflicts.iter().copied().chain(parties).chain(asked).collect()
    }

    /// The height from which the draw of this round can be recorded.
    pub const fn draw_from(&self) -> BlockHeight {
        self.panel.begun_at.after(self.opening.plan.draw_blocks)
    }

    /// The last height at which the draw of this round can be recorded: a ruling must still fit after it.
    pub const fn draw_by(&self) -> BlockHeight {
        self.opening.rule_by.before(self.opening.plan.after_draw())
    }

    /// What its host has to do.
    pub const fn outcome(&self) -> Outcome {
        match self.phase {
            Phase::Decided { award } => Outcome::Award(award),
            Phase::Failed => Outcome::Failed,
            Phase::Withdrawn => Outcome::Withdrawn,
            Phase::Closed => Outcome::Closed,
            Phase::Drawing
            | Phase::Seating { .. }
            | Phase::Committing { .. }
            | Phase::Revealing { .. }
            | Phase::Ruled { .. } => Outcome::Running,
        }
    }

    /// Whether the parties may still end it without a ruling: nobody has voted. From then on a panel's work, and what it
    /// thinks, is no longer theirs to take back.
    pub fn may_be_given_up(&self) -> bool {
        !self.phase.is_final() && !self.has_votes()
    }

    /// Who revealed a vote, in whatever round: they are paid.
    pub fn served(&self) -> Vec<NostrKey> {
        let served = |seat: &&Seat| matches!(seat.state, SeatState::Revealed { .. });
        self.panels().flat_map(|panel| &panel.bench).filter(served).map(|seat| seat.arbitrator).collect()
    }

    /// Who did not do their part.
    pub fn silent(&self) -> Vec<Silence> {
        let silences = |(round, panel): (u32, &Panel)| {
            let missed = |seat: &Seat| match seat.state {
                SeatState::Missed(missed) => Some(Silence { arbitrator: seat.arbitrator, round, missed }),
                _ => None,
            };
            panel.bench.iter().filter_map(missed).collect::<Vec<_>>()
        };
        (1..).zip(self.panels()).flat_map(silences).collect()
    }

    /// The seat of an arbitrator, and in which round. Nobody is asked in two rounds.
    pub(super) fn seat_of(&self, arbitrator: NostrKey) -> Option<(u32, &Seat)> {
        let find = |panel: &'_ Panel| panel.bench.iter().position(|seat| seat.arbitrator == arbitrator);
        (1..).zip(self.panels()).find_map(|(round, panel)| Some((round, &panel.bench[find(panel)?])))
    }

    /// Whether somebody has voted, in whatever round.
    fn has_votes(&self) -> bool {
        use SeatState::{Committed, Missed, Revealed};
        let voted = |state| matches!(state, Committed { .. } | Revealed { .. } | Missed(Duty::Reveal));
        self.panels().any(|panel| panel.count(voted) > 0)
    }

    /// Whether somebody has appealed, and who.
    pub(super) fn appealed_by(&self) -> Option<Side> {
        self.panels().find_map(|panel| match panel.cause {
            Cause::Appeal { by, .. } => Some(by),
            Cause::Opening | Cause::Replacement => None,
        })
    }
}

impl Phase {
    /// The phase's name, as an API shows it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Drawing => "drawing",
            Self::Seating { .. } => "seating",
            Self::Committing { .. } => "committing",
            Self::Revealing { .. } => "revealing",
            Self::Ruled { .. } => "ruled",
            Self::Decided { .. } => "decided",
            Self::Failed => "failed",
            Self::Withdrawn => "withdrawn",
            Self::Closed => "closed",
        }
    }

    /// Whether nothing more can happen.
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Decided { .. } | Self::Failed | Self::Withdrawn | Self::Closed)
    }
}
