//! Merkle paths in blocks (Bitcoin): from a transaction to the root in the header.

use super::AnchorError;
use crate::Hash;
use alloc::vec::Vec;
use bitcoin::{
    Txid,
    hashes::{Hash as _, HashEngine as _, sha256d},
};

/// Most hashes of a path: a block has far fewer than 2^24 transactions.
pub const PATH_HASHES_MAX: usize = 24;

/// The way up from one transaction of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerklePath {
    index: u32,
    siblings: Vec<Hash>,
}

impl MerklePath {
    /// The path of the transaction at `index`, its siblings from below.
    ///
    /// # Errors
    /// [`AnchorError::BadPath`] above [`PATH_HASHES_MAX`] hashes, or if the index is beyond a tree of this height.
    pub fn try_new(index: u32, siblings: Vec<Hash>) -> Result<Self, AnchorError> {
        let fits = siblings.len() <= PATH_HASHES_MAX && u64::from(index) < 1u64 << siblings.len();
        if fits { Ok(Self { index, siblings }) } else { Err(AnchorError::BadPath) }
    }

    /// The path of one of a block's transactions, given in the block's order.
    ///
    /// # Errors
    /// [`AnchorError::BadPath`] if there is no such transaction, or there are more than 2^24.
    pub fn of(txids: &[Txid], index: usize) -> Result<Self, AnchorError> {
        let number = u32::try_from(index).ok().filter(|_| index < txids.len()).ok_or(AnchorError::BadPath)?;
        let mut level: Vec<Hash> = txids.iter().map(|txid| txid.to_byte_array()).collect();
        let (mut at, mut siblings) = (index, Vec::new());
        while level.len() > 1 {
            // The last of an odd number is paired with itself.
            siblings.push(*level.get(at ^ 1).or_else(|| level.last()).ok_or(AnchorError::BadPath)?);
            level = level
                .chunks(2)
                .map(|pair| match pair {
                    [left, right] => parent(left, right),
                    [alone] => parent(alone, alone),
                    _ => [0; 32],
                })
                .collect();
            at /= 2;
        }
        Self::try_new(number, siblings)
    }

    /// The root that a transaction leads to.
    ///
    /// # Errors
    /// [`AnchorError::BadPath`] if it goes through a copy that no block has: only the last of an odd number is paired
    /// with itself, and stands on the left then.
    pub fn root(&self, txid: Txid) -> Result<Hash, AnchorError> {
        let (mut node, mut index) = (txid.to_byte_array(), self.index);
        for sibling in &self.siblings {
            let on_the_right = index & 1 == 1;
            if on_the_right && *sibling == node {
                return Err(AnchorError::BadPath);
            }
            node = if on_the_right { parent(sibling, &node) } else { parent(&node, sibling) };
            index /= 2;
        }
        Ok(node)
    }

    /// Where the transaction stands in its block.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// The siblings, from below.
    #[must_use]
    pub fn siblings(&self) -> &[Hash] {
        &self.siblings
    }
}

fn parent(left: &Hash, right: &Hash) -> Hash {
    let mut engine = sha256d::Hash::engine();
    engine.input(left);
    engine.input(right);
    sha256d::Hash::from_engine(engine).to_byte_array()
}
