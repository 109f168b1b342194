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
    let (mut climb, mut hash) = (Climb { first: index, edge: index, last: size - 1 }, *leaf);
    for sibling in proof {
        hash = match climb.side()? {
            Side::Left => node_hash(sibling, &hash),
            Side::Right => node_hash(&hash, sibling),
        };
        climb.pass();
    }
    climb.end()?;
    Ok(hash)
}

/// The way up from what is proved to the root: where its ends and the tree's last node stand on one level.
struct Climb {
    first: u64,
    edge: u64,
    last: u64,
}

/// Where the next hash of a proof stands.
#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

impl Climb {
    /// Where the edge's sibling stands. The root has none.
    const fn side(&self) -> Result<Side, LogError> {
        match self.last {
            0 => Err(LogError::ProofLength),
            _ if self.edge & 1 == 1 || self.edge == self.last => Ok(Side::Left),
            _ => Ok(Side::Right),
        }
    }

    /// Goes up past the sibling.
    const fn pass(&mut self) {
        if self.edge == self.last {
            // The right edge skips the levels on which it has no sibling.
            while self.edge & 1 == 0 && self.edge != 0 {
                self.up();
            }
        }
        self.up();
    }

    const fn up(&mut self) {
        self.first >>= 1;
        self.edge >>= 1;
        self.last >>= 1;
    }

    /// A proof has led to the root, or is too short.
    const fn end(&self) -> Result<(), LogError> {
        if self.last == 0 { Ok(()) } else { Err(LogError::ProofLength) }
    }
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
    let mut climb = Climb { first: start, edge: end - 1, last: size - 1 };
    let whole = climb.edge == climb.last;
    while climb.first != climb.edge && (whole || climb.edge & 1 == 1) {
        climb.up();
    }
    let mut hashes = proof.iter();
    // A subtree that is one node of the tree starts from its own root, any other from its last full node.
    let one_node = climb.first == climb.edge;
    let seed = if one_node { *subtree_root } else { *hashes.next().ok_or(LogError::ProofLength)? };
    let (mut inner, mut outer) = (seed, seed);
    for sibling in hashes {
        match climb.side()? {
            Side::Left => {
                if climb.first < climb.edge {
                    inner = node_hash(sibling, &inner);
                }
                outer = node_hash(sibling, &outer);
            }
            Side::Right => outer = node_hash(&outer, sibling),
        }
        climb.pass();
    }
    climb.end()?;
    if inner == *subtree_root && outer == *root { Ok(()) } else { Err(LogError::RootMismatch) }
}
