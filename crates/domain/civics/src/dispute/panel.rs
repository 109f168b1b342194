//! One round: who was drawn, who sits, and what each of them did.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::{BlockHeight, Blocks, Digest32, NostrKey};

use super::{Award, Seats, Side};

/// Why a round began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Cause {
    /// The dispute was opened.
    Opening,
    /// The panel before it failed.
    Replacement,
    /// A ruling was appealed.
    Appeal {
        /// By whom.
        by: Side,
        /// The ruling, which stands if the larger panel fails.
        against: Award,
    },
}

/// What is expected of who is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, BorshSerialize, BorshDeserialize)]
pub enum Duty {
    /// To accept or refuse the seat.
    Answer,
    /// To commit to a vote.
    Commit,
    /// To reveal it.
    Reveal,
}

/// A round's panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panel {
    /// Why the round began.
    pub cause: Cause,
    /// How many are to sit.
    pub seats: Seats,
    /// The height at which the round began.
    pub begun_at: BlockHeight,
    /// The draw, once it was made.
    pub draw: Option<Draw>,
    /// Who was asked so far, in the order of the draw.
    pub bench: Vec<Seat>,
}

/// A draw that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The hash of the draw's block, in the order in which it is shown.
    pub block_hash: Digest32,
    /// The digest of the list that was drawn from.
    pub candidates: Digest32,
    /// Who was drawn, in order: first those who are asked at once, then who steps in.
    pub order: Vec<NostrKey>,
}

/// Somebody who was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Who.
    pub arbitrator: NostrKey,
    /// The height at which it was asked.
    pub asked_at: BlockHeight,
    /// What came of it.
    pub state: SeatState,
}

/// What became of who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeatState {
    /// No answer so far; or none before the seating was over, and too little time to give one.
    Asked,
    /// Will not sit.
    Refused,
    /// Sits.
    Accepted,
    /// Has voted; nobody knows how.
    Committed {
        /// What it committed to.
        commitment: Digest32,
    },
    /// Has voted, and shown how.
    Revealed {
        /// What it had committed to.
        commitment: Digest32,
        /// The vote.
        award: Award,
    },
    /// Did not do its part.
    Missed(Duty),
}

impl Panel {
    /// A round without a draw.
    pub(super) const fn new(cause: Cause, seats: Seats, begun_at: BlockHeight) -> Self {
        Self { cause, seats, begun_at, draw: None, bench: Vec::new() }
    }

    /// The height of the block that decides who is drawn: the first that nobody knew when the round began.
    pub const fn draw_block(&self) -> BlockHeight {
        self.begun_at.after(Blocks(1))
    }

    /// How many seats are in this state.
    pub(super) fn count(&self, wanted: fn(SeatState) -> bool) -> usize {
        self.bench.iter().filter(|seat| wanted(seat.state)).count()
    }

    /// The votes that were revealed.
    pub fn votes(&self) -> Vec<Award> {
        let vote = |seat: &Seat| match seat.state {
            SeatState::Revealed { award, .. } => Some(award),
            _ => None,
        };
        self.bench.iter().filter_map(vote).collect()
    }

    /// Asks the next of the draw, if there is one.
    pub(super) fn ask_next(&mut self, asked_at: BlockHeight) {
        let next = self.draw.as_ref().and_then(|draw| draw.order.get(self.bench.len()));
        if let Some(&arbitrator) = next {
            self.bench.push(Seat { arbitrator, asked_at, state: SeatState::Asked });
        }
    }

    /// The time for a duty is over: who still owes it has missed it.
    pub(super) fn close(&mut self, duty: Duty, owes: impl Fn(&Seat) -> bool) {
        for seat in self.bench.iter_mut().filter(|seat| owes(seat)) {
            seat.state = SeatState::Missed(duty);
        }
    }
}
