//! The right edge of a tiled tree: what a writer keeps between two batches.

use super::{TILE_LEVELS, TILE_WIDTH, TileId, parse_tile, tiles_in_level};
use crate::tree::{CompactRange, root_of_hashes};
use crate::{Hash, LogError, ProveError};
use alloc::vec::Vec;

/// A tile to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// Its place and width.
    pub id: TileId,
    /// Its hashes, as many as it is wide.
    pub hashes: Vec<Hash>,
}

impl Tile {
    /// The bytes of its file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.hashes.concat()
    }
}

/// A tree by the partial tiles at its right edge. Recovery is the same as a start: [`load`](Self::load).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TileEdge {
    size: u64,
    /// The hashes of the partial tile on each level; 255 at most.
    levels: [Vec<Hash>; TILE_LEVELS as usize],
}

impl TileEdge {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of the tree of `size` leaves, from its partial tiles.
    ///
    /// # Errors
    /// [`ProveError::Read`] if one cannot be read, or [`LogError::BadTile`].
    pub fn load<E>(size: u64, mut read: impl FnMut(TileId) -> Result<Vec<u8>, E>) -> Result<Self, ProveError<E>> {
        let mut edge = Self { size, ..Self::default() };
        for (level, hashes) in (0..TILE_LEVELS).zip(&mut edge.levels) {
            let (index, width) = tiles_in_level(size, level);
            if width > 0 {
                let id = TileId::try_new(level, index, width)?;
                *hashes = parse_tile(id, &read(id).map_err(ProveError::Read)?)?;
            }
        }
        Ok(edge)
    }

    /// Leaves in the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Appends leaves by their hashes, and tells the tiles that are new: full ones, then on each level the partial one.
    /// They are those of [`new_tiles`](super::new_tiles).
    ///
    /// # Errors
    /// [`LogError::TreeFull`]; nothing was appended.
    pub fn integrate(&mut self, leaves: &[Hash]) -> Result<Vec<Tile>, LogError> {
        let more = u64::try_from(leaves.len()).map_err(|_| LogError::TreeFull)?;
        let new_size = self.size.checked_add(more).ok_or(LogError::TreeFull)?;
        let mut tiles = Vec::new();
        let mut incoming = leaves.to_vec();
        for (level, pending) in (0..TILE_LEVELS).zip(&mut self.levels) {
            if incoming.is_empty() {
                break;
            }
            let (mut index, _) = tiles_in_level(self.size, level);
            pending.append(&mut incoming);
            let mut whole = pending.chunks_exact(usize::from(TILE_WIDTH));
            for hashes in whole.by_ref() {
                incoming.push(root_of_hashes(hashes));
                tiles.push(Tile { id: TileId::try_new(level, index, TILE_WIDTH)?, hashes: hashes.to_vec() });
                index += 1;
            }
            *pending = whole.remainder().to_vec();
            if let Ok(width @ 1..) = u16::try_from(pending.len()) {
                tiles.push(Tile { id: TileId::try_new(level, index, width)?, hashes: pending.clone() });
            }
        }
        self.size = new_size;
        Ok(tiles)
    }

    /// The tree by its peaks.
    ///
    /// # Errors
    /// [`LogError::BadRange`] cannot come of an edge that this type made.
    pub fn range(&self) -> Result<CompactRange, LogError> {
        let mut peaks = Vec::new();
        for hashes in self.levels.iter().rev() {
            let mut rest = hashes.as_slice();
            while !rest.is_empty() {
                let (peak, after) = rest.split_at(1 << rest.len().ilog2());
                peaks.push(root_of_hashes(peak));
                rest = after;
            }
        }
        CompactRange::try_from_parts(self.size, peaks)
    }

    /// The root of the tree (RFC 6962 §2.1).
    ///
    /// # Errors
    /// As [`range`](Self::range).
    pub fn root(&self) -> Result<Hash, LogError> {
        Ok(self.range()?.root())
    }
}
