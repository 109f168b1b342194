//! Paths of a tiled log: `checkpoint`, `tile/<L>/<N>[.p/<W>]` and `tile/entries/<N>[.p/<W>]` (C2SP tlog-tiles).

use super::{TILE_WIDTH, TileId};
use crate::{LogError, text::parse_decimal};
use alloc::{format, string::String};
use core::fmt;

/// Most bytes of a path: level, seven groups of digits and a width fit well.
pub const PATH_BYTES_MAX: usize = 64;

/// What a path below a log's prefix names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogPath {
    /// The newest checkpoint; the one thing that changes.
    Checkpoint,
    /// A tile of hashes.
    Tile(TileId),
    /// The entries under the tile of level 0 at this place.
    Entries(TileId),
}

impl LogPath {
    /// Reads a path without a leading slash. Only the one spelling that [`Display`](fmt::Display) writes is taken.
    ///
    /// # Errors
    /// [`LogError::BadTilePath`].
    pub fn parse(path: &str) -> Result<Self, LogError> {
        Self::read(path).ok_or(LogError::BadTilePath)
    }

    fn read(path: &str) -> Option<Self> {
        if path.len() > PATH_BYTES_MAX {
            return None;
        }
        if path == "checkpoint" {
            return Some(Self::Checkpoint);
        }
        let (kind, place) = path.strip_prefix("tile/")?.split_once('/')?;
        let (index, width) = match place.split_once(".p/") {
            Some((index, width)) => (index, u16::try_from(parse_decimal(width).ok()?).ok()?),
            None => (place, TILE_WIDTH),
        };
        if place.contains(".p/") && width >= TILE_WIDTH {
            return None;
        }
        let index = parse_index(index)?;
        if kind == "entries" {
            return TileId::try_new(0, index, width).ok().map(Self::Entries);
        }
        let level = u8::try_from(parse_decimal(kind).ok()?).ok()?;
        TileId::try_new(level, index, width).ok().map(Self::Tile)
    }
}

impl fmt::Display for LogPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = match self {
            Self::Checkpoint => return f.write_str("checkpoint"),
            Self::Tile(id) => {
                write!(f, "tile/{}/", id.level())?;
                id
            }
            Self::Entries(id) => {
                f.write_str("tile/entries/")?;
                id
            }
        };
        f.write_str(&print_index(id.index()))?;
        if id.is_full() { Ok(()) } else { write!(f, ".p/{}", id.width()) }
    }
}

/// Groups of three digits, all but the last behind an `x`.
fn print_index(index: u64) -> String {
    let mut text = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        text = format!("x{:03}/{text}", rest % 1000);
        rest /= 1000;
    }
    text
}

fn parse_index(text: &str) -> Option<u64> {
    let mut index = 0u64;
    let mut groups = text.split('/').peekable();
    while let Some(group) = groups.next() {
        let digits = if groups.peek().is_some() { group.strip_prefix('x')? } else { group };
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        index = index.checked_mul(1000)?.checked_add(digits.parse().ok()?)?;
    }
    // A group of zeroes in front would be a second spelling.
    (!text.starts_with("x000")).then_some(index)
}
