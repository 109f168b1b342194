//! An append-only tree that keeps its peaks alone: the roots of the full subtrees from the left.

use crate::{Hash, LogError, empty_root, leaf_hash, node_hash};
use alloc::vec::Vec;

/// A full node of the tree: `2^level` leaves, the first at `index * 2^level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    /// Height above the leaves.
    pub level: u8,
    /// Place on its level, from zero.
    pub index: u64,
}

/// A tree of `size` leaves by its peaks, 64 at most; enough to append and to know the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactRange {
    size: u64,
    peaks: Vec<Hash>,
}

impl CompactRange {
    /// A tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// A tree that was kept: its size and its peaks, the largest first.
    ///
    /// # Errors
    /// [`LogError::BadRange`] unless there is one peak for each bit of the size.
    pub fn try_from_parts(size: u64, peaks: Vec<Hash>) -> Result<Self, LogError> {
        let fits = usize::try_from(size.count_ones()).is_ok_and(|bits| bits == peaks.len());
        if fits { Ok(Self { size, peaks }) } else { Err(LogError::BadRange) }
    }

    /// Leaves in the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The roots of the full subtrees, the largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends a leaf by its hash and tells each node that is full with it, the leaf first.
    ///
    /// # Errors
    /// [`LogError::TreeFull`] at 2^64 − 1 leaves; nothing was appended.
    pub fn append(&mut self, leaf: Hash, mut full: impl FnMut(Node, &Hash)) -> Result<(), LogError> {
        let size = self.size.checked_add(1).ok_or(LogError::TreeFull)?;
        let mut node = Node { level: 0, index: self.size };
        let mut hash = leaf;
        full(node, &hash);
        while node.index & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            hash = node_hash(&left, &hash);
            node = Node { level: node.level + 1, index: node.index >> 1 };
            full(node, &hash);
        }
        self.peaks.push(hash);
        self.size = size;
        Ok(())
    }

    /// The root of the tree (RFC 6962 §2.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        root_of_peaks(&self.peaks)
    }
}

/// The root over peaks, the largest first.
pub(crate) fn root_of_peaks(peaks: &[Hash]) -> Hash {
    let mut peaks = peaks.iter().rev();
    let Some(last) = peaks.next() else { return empty_root() };
    peaks.fold(*last, |right, left| node_hash(left, &right))
}

/// The root over the hashes of leaves, or of nodes of one level.
#[must_use]
pub fn root_of_hashes(hashes: &[Hash]) -> Hash {
    let mut peaks: Vec<Hash> = Vec::new();
    for (index, hash) in hashes.iter().enumerate() {
        let mut hash = *hash;
        for _ in 0..index.trailing_ones() {
            let Some(left) = peaks.pop() else { break };
            hash = node_hash(&left, &hash);
        }
        peaks.push(hash);
    }
    root_of_peaks(&peaks)
}

/// The root of the tree over these entries.
#[must_use]
pub fn root_of_entries<'a>(entries: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    let leaves: Vec<Hash> = entries.into_iter().map(leaf_hash).collect();
    root_of_hashes(&leaves)
}
