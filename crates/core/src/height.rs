//! Block heights and spans of blocks.
//!
//! A deadline is always a height: Lightning's contracts count blocks (BOLT 2, BOLT 3), not hours.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A number of blocks.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Blocks(pub u32);

impl Blocks {
    /// The sum; stops at `u32::MAX`, which no limit allows.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} blocks", self.0)
    }
}

/// The height of a block in the best chain; the genesis block has height 0.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct BlockHeight(pub u32);

impl BlockHeight {
    /// The height `blocks` later; stops at `u32::MAX`.
    #[must_use]
    pub const fn after(self, blocks: Blocks) -> Self {
        Self(self.0.saturating_add(blocks.0))
    }

    /// The height `blocks` earlier; stops at genesis.
    #[must_use]
    pub const fn before(self, blocks: Blocks) -> Self {
        Self(self.0.saturating_sub(blocks.0))
    }

    /// The blocks from here to `deadline`; zero once it has come.
    #[must_use]
    pub const fn until(self, deadline: Self) -> Blocks {
        Blocks(deadline.0.saturating_sub(self.0))
    }
}

impl fmt::Display for BlockHeight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "height {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_stop_at_their_ends() {
        assert_eq!(BlockHeight(10).until(BlockHeight(7)), Blocks(0));
        assert_eq!(BlockHeight(7).until(BlockHeight(10)), Blocks(3));
        assert_eq!(BlockHeight(u32::MAX).after(Blocks(1)), BlockHeight(u32::MAX));
        assert_eq!(BlockHeight(1).before(Blocks(2)), BlockHeight(0));
        assert_eq!(Blocks(u32::MAX).plus(Blocks(1)), Blocks(u32::MAX));
    }
}
