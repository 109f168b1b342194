//! Bundles of entries: each behind its length in two big-endian bytes (C2SP tlog-tiles, "Log entries").

use super::TILE_WIDTH;
use crate::LogError;
use alloc::vec::Vec;

/// Most bytes of an entry.
pub const ENTRY_BYTES_MAX: usize = 0xffff;

/// Writes a bundle of 1 to 256 entries.
///
/// # Errors
/// [`LogError::EntryTooLong`]; [`LogError::BadEntries`] if there are none or too many.
pub fn encode_entries<T: AsRef<[u8]>>(entries: &[T]) -> Result<Vec<u8>, LogError> {
    if entries.is_empty() || entries.len() > usize::from(TILE_WIDTH) {
        return Err(LogError::BadEntries);
    }
    let mut bytes = Vec::new();
    for entry in entries.iter().map(AsRef::as_ref) {
        let length = u16::try_from(entry.len()).map_err(|_| LogError::EntryTooLong)?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(entry);
    }
    Ok(bytes)
}

/// Reads a bundle of exactly `width` entries; nothing may come after them.
///
/// # Errors
/// [`LogError::BadEntries`].
pub fn parse_entries(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, LogError> {
    if !(1..=TILE_WIDTH).contains(&width) {
        return Err(LogError::BadEntries);
    }
    let mut rest = bytes;
    let mut entries = Vec::new();
    for _ in 0..width {
        let (length, after) = rest.split_first_chunk::<2>().ok_or(LogError::BadEntries)?;
        let length = usize::from(u16::from_be_bytes(*length));
        let (entry, after) = after.split_at_checked(length).ok_or(LogError::BadEntries)?;
        entries.push(entry);
        rest = after;
    }
    if rest.is_empty() { Ok(entries) } else { Err(LogError::BadEntries) }
}
