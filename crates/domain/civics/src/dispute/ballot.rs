//! What is voted on, how a vote is hidden until all have voted, and what ruling the votes make.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::{Digest32, Id, NostrKey, Sat, canonical};

use super::Dispute;

const COMMITMENT_TAG: &str = "tallystick/vote/v1";

/// Which parts of what is disputed go to the payee: bit n, counted from the lowest, is part n. All others go back to
/// the payer. A vote is an award, and so is a ruling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, BorshSerialize, BorshDeserialize)]
pub struct Award(u64);

impl Award {
    /// Everything goes back to the payer.
    pub const NOTHING: Self = Self(0);

    /// The award with this mask. [`Award::fits`] tells whether it means something to a dispute.
    pub const fn new(mask: u64) -> Self {
        Self(mask)
    }

    /// Its mask.
    pub const fn mask(self) -> u64 {
        self.0
    }

    /// Whether it names no part above the last of `parts`.
    pub fn fits(self, parts: usize) -> bool {
        usize::try_from(u64::BITS - self.0.leading_zeros()).is_ok_and(|needed| needed <= parts)
    }

    /// Whether part `part` goes to the payee.
    pub fn includes(self, part: usize) -> bool {
        u32::try_from(part).ok().and_then(|part| self.0.checked_shr(part)).is_some_and(|rest| rest & 1 == 1)
    }

    /// What the payee gets.
    pub fn value(self, parts: &[Sat]) -> Sat {
        let awarded = parts.iter().enumerate().filter(|(part, _)| self.includes(*part)).map(|(_, amount)| *amount);
        // A dispute about more than all bitcoin is not opened.
        Sat::sum(awarded).unwrap_or(Sat::MAX)
    }
}

/// The ruling that votes make: their median, ordered by value and then by mask; of two in the middle the lower one,
/// since what is not agreed on is not paid. Nothing if nobody voted.
///
/// * It is always a vote that somebody cast.
/// * While most votes are honest, an honest vote lies on either side of it, or is it: dishonest ones cannot pull it
///   below the lowest or above the highest of the honest.
/// * So one of three or more voters cannot move it past all the others. One of two can: downwards, as silence would.
pub fn median(votes: &[Award], parts: &[Sat]) -> Option<Award> {
    let mut sorted = votes.to_vec();
    sorted.sort_by_key(|award| (award.value(parts), *award));
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

/// What an arbitrator commits to. It binds dispute, round and key, so that nobody can use another's as the own; the salt
/// is 32 random bytes, without which anyone could try all awards.
pub fn commitment(dispute: Id<Dispute>, round: u32, arbitrator: NostrKey, award: Award, salt: &[u8; 32]) -> Digest32 {
    let fields: [&[u8]; 5] =
        [dispute.as_bytes(), &round.to_le_bytes(), &arbitrator.to_bytes(), &award.mask().to_le_bytes(), salt];
    canonical::digest(COMMITMENT_TAG, &fields)
}
