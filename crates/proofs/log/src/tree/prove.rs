//! Proofs made from tiles (RFC 6962 §2.1.1, §2.1.2; tiles: C2SP tlog-tiles).

use crate::tile::{TILE_HEIGHT, TileId, parse_tile, tiles_in_level};
use crate::tree::range::{root_of_hashes, root_of_peaks};
use crate::{Hash, LogError, Subtree};
use alloc::{collections::BTreeMap, vec::Vec};

/// Why no proof was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProveError<E> {
    /// The tile could not be read.
    #[error("a tile could not be read: {0}")]
    Read(E),
    /// The question or a tile is wrong.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Makes proofs about the tree of `size` leaves. `read` fetches a tile's bytes: of the width asked for, or the full
/// tile that came after it. Each tile is read once in the life of a prover.
///
/// A prover believes its tiles. Whoever does not trust them compares [`root`](Self::root) with a signed root first.
pub struct Prover<R> {
    size: u64,
    read: R,
    tiles: BTreeMap<TileId, Vec<Hash>>,
}

impl<E, R: FnMut(TileId) -> Result<Vec<u8>, E>> Prover<R> {
    /// A prover for the tree of `size` leaves.
    pub const fn new(size: u64, read: R) -> Self {
        Self { size, read, tiles: BTreeMap::new() }
    }

    /// The root of the tree.
    ///
    /// # Errors
    /// [`ProveError::Read`], or [`LogError::BadTile`].
    pub fn root(&mut self) -> Result<Hash, ProveError<E>> {
        self.range(0, self.size)
    }

    /// The inclusion proof of the leaf at `index`, from its sibling up.
    ///
    /// # Errors
    /// [`LogError::IndexOutOfRange`]; else as [`root`](Self::root).
    pub fn inclusion(&mut self, index: u64) -> Result<Vec<Hash>, ProveError<E>> {
        if index >= self.size {
            return Err(LogError::IndexOutOfRange { index, size: self.size }.into());
        }
        let (mut start, mut end, mut proof) = (0, self.size, Vec::new());
        while end - start > 1 {
            let middle = start + split(end - start);
            if index < middle {
                proof.push(self.range(middle, end)?);
                end = middle;
            } else {
                proof.push(self.range(start, middle)?);
                start = middle;
            }
        }
        proof.reverse();
        Ok(proof)
    }

    /// The proof that the tree begins with the tree of `old_size` leaves.
    ///
    /// # Errors
    /// [`LogError::SizesOutOfOrder`]; else as [`root`](Self::root).
    pub fn consistency(&mut self, old_size: u64) -> Result<Vec<Hash>, ProveError<E>> {
        match Subtree::try_new(0, old_size) {
            Ok(subtree) if old_size <= self.size => self.subtree_consistency(subtree),
            _ => Err(LogError::SizesOutOfOrder { old: old_size, new: self.size }.into()),
        }
    }

    /// The proof that the tree holds the subtree.
    ///
    /// # Errors
    /// [`LogError::BadSubtree`] if it ends after the tree; else as [`root`](Self::root).
    pub fn subtree_consistency(&mut self, subtree: Subtree) -> Result<Vec<Hash>, ProveError<E>> {
        let (first, last) = (subtree.start(), subtree.end());
        if last > self.size {
            return Err(LogError::BadSubtree { start: first, end: last }.into());
        }
        // `first` moves right when the subtree is split, and its left part becomes known.
        let (mut first, mut known) = (first, true);
        let (mut start, mut end, mut proof) = (0, self.size, Vec::new());
        while (first, last) != (start, end) {
            let middle = start + split(end - start);
            if last <= middle {
                proof.push(self.range(middle, end)?);
                end = middle;
            } else {
                proof.push(self.range(start, middle)?);
                start = middle;
                if first < middle {
                    first = middle;
                    known = false;
                }
            }
        }
        if !known {
            proof.push(self.range(start, end)?);
        }
        proof.reverse();
        Ok(proof)
    }

    /// The root over the leaves from `start` to before `end`, where `start` is where a subtree of that size may begin.
    fn range(&mut self, start: u64, end: u64) -> Result<Hash, ProveError<E>> {
        let (mut at, mut peaks) = (start, Vec::new());
        while at < end {
            let level = (end - at).ilog2();
            peaks.push(self.node(level, at >> level)?);
            at += 1 << level;
        }
        Ok(root_of_peaks(&peaks))
    }

    /// A full node: `2^level` leaves, the `index`-th of its level.
    fn node(&mut self, level: u32, index: u64) -> Result<Hash, ProveError<E>> {
        let (tile_level, inside) = (level / TILE_HEIGHT, level % TILE_HEIGHT);
        let first = index << inside;
        let id = tile_of(self.size, tile_level, first >> TILE_HEIGHT)?;
        if !self.tiles.contains_key(&id) {
            let bytes = (self.read)(id).map_err(ProveError::Read)?;
            self.tiles.insert(id, parse_tile(id, &bytes)?);
        }
        let from = usize::try_from(first & 0xff).map_err(|_| LogError::BadTile)?;
        let hashes = self.tiles.get(&id).and_then(|tile| tile.get(from..from + (1 << inside)));
        Ok(root_of_hashes(hashes.ok_or(LogError::BadTile)?))
    }
}

/// The tile of a tree of `size` leaves at this place, partial if it is the last one.
fn tile_of(size: u64, level: u32, index: u64) -> Result<TileId, LogError> {
    let level = u8::try_from(level).map_err(|_| LogError::BadTile)?;
    let (full, rest) = tiles_in_level(size, level);
    let width = if index < full { 256 } else { rest };
    TileId::try_new(level, index, width)
}

/// The largest power of two below `leaves`, of which there are two at least.
const fn split(leaves: u64) -> u64 {
    1 << (leaves - 1).ilog2()
}
