//! Tiles of C2SP tlog-tiles: the tree as files of 256 hashes, and entries beside it.

mod edge;
mod entries;
mod path;

pub use edge::{Tile, TileEdge};
pub use entries::{ENTRY_BYTES_MAX, encode_entries, parse_entries};
pub use path::{LogPath, PATH_BYTES_MAX};

use crate::{HASH_BYTES, Hash, LogError};
use alloc::vec::Vec;

/// Hashes in a full tile.
pub const TILE_WIDTH: u16 = 256;
/// Levels of the tree in one tile.
pub const TILE_HEIGHT: u32 = 8;
/// Levels of tiles in the largest tree of 64 bits; the path's grammar allows 64, but no tree has them.
pub const TILE_LEVELS: u8 = 8;

/// The place of a tile, and how many hashes are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TileId {
    level: u8,
    index: u64,
    width: u16,
}

impl TileId {
    /// A tile with `width` hashes, 256 if it is full.
    ///
    /// # Errors
    /// [`LogError::BadTile`] if no tree of 64 bits has it.
    pub fn try_new(level: u8, index: u64, width: u16) -> Result<Self, LogError> {
        let tiles_max = 1u64.checked_shl(64 - TILE_HEIGHT * (u32::from(level.min(TILE_LEVELS)) + 1).min(8));
        let possible = level < TILE_LEVELS && tiles_max.is_some_and(|max| index < max);
        if possible && (1..=TILE_WIDTH).contains(&width) {
            Ok(Self { level, index, width })
        } else {
            Err(LogError::BadTile)
        }
    }

    /// The level: 0 holds leaf hashes, and each above holds the roots of full tiles below.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// The place on its level, from zero.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// How many hashes, 1 to 256.
    #[must_use]
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// Whether it will never grow.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.width == TILE_WIDTH
    }
}

/// How many full tiles a tree of `size` leaves has on a level, and the hashes in the partial one (0: there is none).
#[must_use]
pub fn tiles_in_level(size: u64, level: u8) -> (u64, u16) {
    let hashes = size.checked_shr(TILE_HEIGHT * u32::from(level)).unwrap_or(0);
    let [rest, ..] = hashes.to_le_bytes();
    (hashes >> TILE_HEIGHT, u16::from(rest))
}

/// The tiles that a tree of `new_size` has and a tree of `old_size` has not, level by level from the left.
///
/// The iterator is lazy: hostile sizes cost nothing until one asks. It is empty when the tree did not grow.
pub fn new_tiles(old_size: u64, new_size: u64) -> impl Iterator<Item = TileId> {
    let grew = old_size < new_size;
    (0..TILE_LEVELS).filter(move |_| grew).flat_map(move |level| {
        let (had, had_rest) = tiles_in_level(old_size, level);
        let (full, rest) = tiles_in_level(new_size, level);
        let whole = (had..full).map(move |index| TileId { level, index, width: TILE_WIDTH });
        let partial = rest > 0 && (had, had_rest) != (full, rest);
        whole.chain(partial.then_some(TileId { level, index: full, width: rest }))
    })
}

/// Reads the hashes of a tile. Bytes of the full tile do for a partial one, because a log may drop partial tiles then.
///
/// # Errors
/// [`LogError::BadTile`] if the length is another.
pub fn parse_tile(id: TileId, bytes: &[u8]) -> Result<Vec<Hash>, LogError> {
    let (hashes, odd) = bytes.as_chunks::<HASH_BYTES>();
    let (width, full) = (usize::from(id.width), usize::from(TILE_WIDTH));
    if !odd.is_empty() || (hashes.len() != width && hashes.len() != full) {
        return Err(LogError::BadTile);
    }
    Ok(hashes.iter().take(width).copied().collect())
}
