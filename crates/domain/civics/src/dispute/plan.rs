//! How long each part of a dispute may take, in blocks, and how many sit on its panel.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::{Blocks, Code, Coded, Sat};

/// The longest phase, in blocks: two weeks, and no hold lives longer.
const PHASE_MAX: Blocks = Blocks(2_016);

/// How many sit on a panel. Always odd, so that a panel that is complete has one vote in the middle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Seats {
    /// A single arbitrator.
    One,
    /// Three.
    Three,
    /// Five.
    Five,
    /// Seven: only the appeal from a panel of five.
    Seven,
}

impl Seats {
    /// The number.
    pub const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Three => 3,
            Self::Five => 5,
            Self::Seven => 7,
        }
    }

    /// How many must do their part; with fewer the panel fails.
    pub const fn majority(self) -> usize {
        self.count() / 2 + 1
    }

    /// The seats of the panel that an appeal goes to: the next odd number, and seven at most.
    #[must_use]
    pub const fn on_appeal(self) -> Self {
        match self {
            Self::One => Self::Three,
            Self::Three => Self::Five,
            Self::Five | Self::Seven => Self::Seven,
        }
    }
}

/// The times of a dispute and the sizes of its panels. A part of the host's policy, fixed for a dispute when it is
/// opened, so that a change of configuration changes no dispute that is under way.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Plan {
    /// From the beginning of a round to its draw. The draw's block is the next one, and counts once it has so many
    /// confirmations.
    pub draw_blocks: Blocks,
    /// How long evidence can be filed in each round, counted from its beginning, however fast its seats are taken. It
    /// ends with `seat_blocks`, so that it makes no round longer.
    pub evidence_blocks: Blocks,
    /// How long who is drawn may think about it, counted from the draw.
    pub seat_blocks: Blocks,
    /// How long the panel may think before it commits to its votes.
    pub commit_blocks: Blocks,
    /// How long votes can be revealed.
    pub reveal_blocks: Blocks,
    /// How long a ruling can be appealed.
    pub appeal_blocks: Blocks,
    /// Below this amount one arbitrator decides.
    pub one_below: Sat,
    /// Below this amount three decide, and five from there on.
    pub three_below: Sat,
}

impl Default for Plan {
    /// 90 blocks for a round, 15 hours; one arbitrator below 100,000 sat, three below 1,000,000.
    fn default() -> Self {
        let sat = |amount| Sat::try_new(amount).expect("far below the supply");
        Self {
            draw_blocks: Blocks(6),
            evidence_blocks: Blocks(18),
            seat_blocks: Blocks(18),
            commit_blocks: Blocks(36),
            reveal_blocks: Blocks(18),
            appeal_blocks: Blocks(12),
            one_below: sat(100_000),
            three_below: sat(1_000_000),
        }
    }
}

/// Why a plan is refused: at start-up, and again by each dispute.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// A phase of no block, or of too many.
    #[error("a dispute's {phase} must take 1 to {}, not {blocks}", PHASE_MAX)]
    Phase {
        /// Which phase.
        phase: &'static str,
        /// What was asked for.
        blocks: Blocks,
    },
    /// Evidence could be filed for longer than the panel is being seated.
    #[error("evidence for {evidence} is longer than draw and seating, {limit}")]
    Evidence {
        /// What was asked for.
        evidence: Blocks,
        /// The limit.
        limit: Blocks,
    },
    /// The amounts are the wrong way round.
    #[error("the amount below which one arbitrator decides ({one_below}) is above that for three ({three_below})")]
    Amounts {
        /// Below this, one.
        one_below: Sat,
        /// Below this, three.
        three_below: Sat,
    },
}

impl Coded for PlanError {
    fn code(&self) -> Code {
        Code("dispute.plan")
    }
}

impl Plan {
    /// Checks that the numbers fit together.
    ///
    /// # Errors
    /// [`PlanError`] with the numbers.
    pub fn check(&self) -> Result<(), PlanError> {
        let phases = [
            ("draw", self.draw_blocks),
            ("time for evidence", self.evidence_blocks),
            ("seating", self.seat_blocks),
            ("time to commit", self.commit_blocks),
            ("time to reveal", self.reveal_blocks),
            ("time to appeal", self.appeal_blocks),
        ];
        if let Some((phase, blocks)) = phases.into_iter().find(|(_, blocks)| !(Blocks(1)..=PHASE_MAX).contains(blocks))
        {
            return Err(PlanError::Phase { phase, blocks });
        }
        let limit = self.draw_blocks.plus(self.seat_blocks);
        if self.evidence_blocks > limit {
            return Err(PlanError::Evidence { evidence: self.evidence_blocks, limit });
        }
        if self.one_below > self.three_below {
            return Err(PlanError::Amounts { one_below: self.one_below, three_below: self.three_below });
        }
        Ok(())
    }

    /// All of a round: draw, seating, commits, reveals, and the time to appeal. No round begins with fewer blocks left
    /// before the height by which a dispute must be ruled. A ruling needs the last part only if an appeal still fits
    /// after it, so that a node that was late may take its blocks from there.
    pub const fn round_blocks(&self) -> Blocks {
        self.draw_blocks.plus(self.after_draw()).plus(self.appeal_blocks)
    }

    /// From the draw to a ruling, at most.
    pub(super) const fn after_draw(&self) -> Blocks {
        self.seat_blocks.plus(self.after_seating())
    }

    /// From the last seat to a ruling, at most.
    pub(super) const fn after_seating(&self) -> Blocks {
        self.commit_blocks.plus(self.reveal_blocks)
    }

    /// How many decide about this amount.
    pub fn seats_for(&self, amount: Sat) -> Seats {
        if amount < self.one_below {
            Seats::One
        } else if amount < self.three_below {
            Seats::Three
        } else {
            Seats::Five
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sat(amount: u64) -> Sat {
        Sat::try_new(amount).unwrap()
    }

    #[test]
    fn the_default_is_sound() {
        assert_eq!(Plan::default().check(), Ok(()));
        assert_eq!(Plan::default().round_blocks(), Blocks(90));
    }

    #[test]
    fn amounts_decide_how_many_sit() {
        let seats = [0, 99_999, 100_000, 999_999, 1_000_000].map(|amount| Plan::default().seats_for(sat(amount)));
        assert_eq!(seats, [Seats::One, Seats::One, Seats::Three, Seats::Three, Seats::Five]);
    }

    #[test]
    fn majorities_and_appeals() {
        let all = [Seats::One, Seats::Three, Seats::Five, Seats::Seven];
        assert_eq!(all.map(Seats::majority), [1, 2, 3, 4]);
        assert_eq!(all.map(|seats| seats.on_appeal().count()), [3, 5, 7, 7]);
    }

    #[test]
    fn unsound_numbers_are_refused() {
        for blocks in [Blocks(0), Blocks(2_017)] {
            let phases = [
                Plan { draw_blocks: blocks, ..Plan::default() },
                Plan { evidence_blocks: blocks, ..Plan::default() },
                Plan { seat_blocks: blocks, ..Plan::default() },
                Plan { commit_blocks: blocks, ..Plan::default() },
                Plan { reveal_blocks: blocks, ..Plan::default() },
                Plan { appeal_blocks: blocks, ..Plan::default() },
            ];
            for plan in phases {
                assert!(matches!(plan.check(), Err(PlanError::Phase { .. })), "{plan:?}");
            }
        }
        let long = |blocks| Plan { evidence_blocks: Blocks(blocks), ..Plan::default() }.check();
        assert_eq!(long(24), Ok(()));
        assert_eq!(long(25), Err(PlanError::Evidence { evidence: Blocks(25), limit: Blocks(24) }));
        let crossed = Plan { one_below: sat(2), three_below: sat(1), ..Plan::default() };
        assert!(matches!(crossed.check(), Err(PlanError::Amounts { .. })));
    }
}
