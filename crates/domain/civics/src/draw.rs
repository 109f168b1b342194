//! The draw of a panel: weighted, without replacement, and recomputable by anyone from a block's hash.
//!
//! For pick `i` (from 0), `r` is the first 16 bytes, big-endian, of
//! `SHA-256(frame("tallystick/draw/v1", [block hash, dispute id, round, i]))`: the hash in the order in which it is
//! shown, the id's 16 bytes, round and `i` as little-endian `u32`; [`tallystick_core::canonical::frame`] puts the length
//! of tag and fields before each. The candidates stand in a row, sorted by key, each as long as its weight. The one at
//! `r mod (length of the row)` is picked and leaves the row. That the remainder is not quite even matters less than one
//! part in 2¹⁰⁰.
//!
//! The list is fixed when the dispute is opened, and the block is the next one: neither a party nor the node can choose
//! one by the other. Whoever mines that block could throw it away, for the price of the block. Vectors are in
//! `tests/vectors/draw.json`, made by the script beside them.

use borsh::{BorshDeserialize, BorshSerialize};
use std::collections::BTreeSet;
use tallystick_core::{Code, Coded, Digest32, Id, NostrKey, canonical};

use crate::dispute::{Dispute, Seats};

const DRAW_TAG: &str = "tallystick/draw/v1";
const CANDIDATES_TAG: &str = "tallystick/candidates/v1";

/// The most candidates that a panel is drawn from.
pub const CANDIDATES_MAX: usize = 10_000;
/// The largest weight.
pub const WEIGHT_MAX: u32 = 1_000;
/// For each seat so many are drawn: one is asked, and the others step in.
const NAMES_PER_SEAT: usize = 4;

/// Somebody who can be drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Candidate {
    /// Who.
    pub arbitrator: NostrKey,
    /// How much more likely than somebody of weight 1, by standing: 1 to [`WEIGHT_MAX`].
    pub weight: u32,
}

/// All who can be drawn: sorted by key, each once, [`CANDIDATES_MAX`] at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, BorshSerialize)]
pub struct Candidates(Vec<Candidate>);

/// Why a list of candidates is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CandidatesError {
    /// Too many.
    #[error("a panel is drawn from {} candidates at most, not {count}", CANDIDATES_MAX)]
    TooMany {
        /// How many there were.
        count: usize,
    },
    /// Not sorted by key, or somebody twice.
    #[error("candidates must be sorted by key, each once: {0} is not behind the one before it")]
    Unsorted(NostrKey),
    /// A weight of nothing, or too large.
    #[error("a weight is 1 to {}, not {weight}", WEIGHT_MAX)]
    Weight {
        /// The weight.
        weight: u32,
    },
}

impl Coded for CandidatesError {
    fn code(&self) -> Code {
        Code("dispute.candidates")
    }
}

impl Candidates {
    /// Takes a list.
    ///
    /// # Errors
    /// [`CandidatesError`] if it is too long, not sorted, or has a weight out of bounds.
    pub fn try_new(list: Vec<Candidate>) -> Result<Self, CandidatesError> {
        if list.len() > CANDIDATES_MAX {
            return Err(CandidatesError::TooMany { count: list.len() });
        }
        if let Some(pair) = list.windows(2).find(|pair| pair[0].arbitrator >= pair[1].arbitrator) {
            return Err(CandidatesError::Unsorted(pair[1].arbitrator));
        }
        match list.iter().find(|candidate| !(1..=WEIGHT_MAX).contains(&candidate.weight)) {
            Some(candidate) => Err(CandidatesError::Weight { weight: candidate.weight }),
            None => Ok(Self(list)),
        }
    }

    /// The list.
    pub fn as_slice(&self) -> &[Candidate] {
        &self.0
    }

    /// What names this very list: the SHA-256 of its framed canonical bytes.
    pub fn digest(&self) -> Digest32 {
        canonical::digest(CANDIDATES_TAG, &[&canonical::encode(self)])
    }

    /// The list without these.
    #[must_use]
    pub fn without(&self, excluded: &BTreeSet<NostrKey>) -> Self {
        Self(self.0.iter().filter(|candidate| !excluded.contains(&candidate.arbitrator)).copied().collect())
    }
}

impl BorshDeserialize for Candidates {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        Self::try_new(Vec::deserialize_reader(reader)?).map_err(std::io::Error::other)
    }
}

/// Draws the panel of a round: four names for each seat, or as many as there are. The first are asked, the others step
/// in for them, in this order.
pub fn draw(
    block_hash: &Digest32,
    dispute: Id<Dispute>,
    round: u32,
    candidates: &Candidates,
    seats: Seats,
) -> Vec<NostrKey> {
    let mut row = candidates.0.clone();
    let mut length: u64 = row.iter().map(|candidate| u64::from(candidate.weight)).sum();
    let mut order = Vec::new();
    for pick in (0u32..).take(row.len().min(seats.count() * NAMES_PER_SEAT)) {
        let fields: [&[u8]; 4] = [&block_hash.0, dispute.as_bytes(), &round.to_le_bytes(), &pick.to_le_bytes()];
        let point = point(&canonical::digest(DRAW_TAG, &fields), length);
        let picked = row.remove(position(&row, point));
        length -= u64::from(picked.weight);
        order.push(picked.arbitrator);
    }
    order
}

/// The first 16 bytes as a number, modulo the length of the row.
fn point(digest: &Digest32, length: u64) -> u64 {
    let (head, _) = digest.0.split_first_chunk::<16>().expect("a digest has 32 bytes");
    let point = u128::from_be_bytes(*head) % u128::from(length);
    u64::try_from(point).expect("a remainder is below its divisor")
}

/// Whose stretch of the row the point is in.
fn position(row: &[Candidate], point: u64) -> usize {
    let ends = row.iter().scan(0, |end, candidate| {
        *end += u64::from(candidate.weight);
        Some(*end)
    });
    ends.take_while(|end| *end <= point).count()
}
