//! Verification of Merkle proofs (RFC 9162 §2.1.3.2, §2.1.4.2; subtrees: draft-ietf-plants-merkle-tree-certs §4).
//!
//! A proof has exactly one right length: what is missing or superfluous is refused.

use crate::{Hash, LogError, node_hash};

/// Most hashes in an inclusion proof: the depth of the largest tree.
pub const INCLUSION_HASHES_MAX: usize = 64;
/// Most hashes in a consistency proof: one more than the depth.
pub const CONSISTENCY_HASHES_MAX: usize = 65;

/// Checks that the leaf at `index` is in the tree of `size` leaves with this root.
///
/// # Errors
/// [`LogError::IndexOutOfRange`], [`LogError::ProofLength`], [`LogError::RootMismatch`].
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), LogError> {
    if root_from_inclusion(leaf, index, size, proof)? == *root { Ok(()) } else { Err(LogError::RootMismatch) }
}

/// The root that an inclusion proof leads to; whoever compares it with a signed root has verified the proof.
///
/// # Errors
/// [`LogError::IndexOutOfRange`], [`LogError::ProofLength`].
pub fn root_from_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash]) -> Result<Hash, LogError> {
    if index >= size {
        return Err(LogError::IndexOutOfRange { index, size });
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(LogError::ProofLength);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // The right edge skips the levels on which it has no sibling.
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last == 0 { Ok(hash) } else { Err(LogError::ProofLength) }
}

/// Checks that the tree of `new_size` leaves begins with the tree of `old_size`.
///
/// From an empty tree nothing can be shown, so it is refused: who starts from nothing has nothing to compare.
///
/// # Errors
/// [`LogError::SizesOutOfOrder`], [`LogError::ProofLength`], [`LogError::RootMismatch`].
pub fn verify_consistency(
    old_size: u64,
    new_size: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), LogError> {
    if old_size == 0 || old_size > new_size {
        return Err(LogError::SizesOutOfOrder { old: old_size, new: new_size });
    }
    let subtree = Subtree { start: 0, end: old_size };
    verify_subtree_consistency(subtree, new_size, proof, old_root, new_root)
}

/// The leaves from `start` to before `end`, as a tree that stands inside a larger one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subtree {
    start: u64,
    end: u64,
}

impl Subtree {
    /// A subtree: `start` is a multiple of the least power of two that holds `end − start` leaves.
    ///
    /// # Errors
    /// [`LogError::BadSubtree`].
    pub fn try_new(start: u64, end: u64) -> Result<Self, LogError> {
        let bad = LogError::BadSubtree { start, end };
        let leaves = end.checked_sub(start).filter(|leaves| *leaves > 0).ok_or(bad)?;
        // More than 2^63 leaves have no power of two in 64 bits: only a subtree that starts at 0 can be so large.
        let aligned = leaves.checked_next_power_of_two().map_or(start == 0, |step| start & (step - 1) == 0);
        if aligned { Ok(Self { start, end }) } else { Err(bad) }
    }

    /// The first leaf.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// The leaf after the last.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }
}

/// Checks that the leaf at `index` is in the subtree with this root.
///
/// # Errors
/// As [`verify_inclusion`].
pub fn verify_subtree_inclusion(
    leaf: &Hash,
    index: u64,
    subtree: Subtree,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), LogError> {
    let out = LogError::IndexOutOfRange { index, size: subtree.end };
    let inside = index.checked_sub(subtree.start).ok_or(out)?;
    verify_inclusion(leaf, inside, subtree.end - subtree.start, proof, root)
}

/// Checks that the tree of `size` leaves holds the subtree.
///
/// # Errors
/// [`LogError::BadSubtree`] if it ends after the tree, [`LogError::ProofLength`], [`LogError::RootMismatch`].
pub fn verify_subtree_consistency(
    subtree: Subtree,
    size: u64,
    proof: &[Hash],
    subtree_root: &Hash,
    root: &Hash,
) -> Result<(), LogError> {
    let Subtree { start, end } = subtree;
    if end > size {
        return Err(LogError::BadSubtree { start, end });
    }
    // `first` and `end` are the ends of the subtree on the level that is looked at, `last` is the tree's.
    let (mut first, mut edge, mut last) = (start, end - 1, size - 1);
    let whole = edge == last;
    while first != edge && (whole || edge & 1 == 1) {
        first >>= 1;
        edge >>= 1;
        last >>= 1;
    }
    let mut hashes = proof.iter();
    // A subtree that is one node of the tree starts from its own root, any other from its last full node.
    let seed = if first == edge { *subtree_root } else { *hashes.next().ok_or(LogError::ProofLength)? };
    let (mut inner, mut outer) = (seed, seed);
    for sibling in hashes {
        if last == 0 {
            return Err(LogError::ProofLength);
        }
        if edge & 1 == 1 || edge == last {
            if first < edge {
                inner = node_hash(sibling, &inner);
            }
            outer = node_hash(sibling, &outer);
            while edge & 1 == 0 && edge != 0 {
                first >>= 1;
                edge >>= 1;
                last >>= 1;
            }
        } else {
            outer = node_hash(&outer, sibling);
        }
        first >>= 1;
        edge >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(LogError::ProofLength);
    }
    if inner == *subtree_root && outer == *root { Ok(()) } else { Err(LogError::RootMismatch) }
}
