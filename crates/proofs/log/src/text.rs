//! What the C2SP text formats share: decimals, base64 and lines, each with one spelling only.

use crate::{Hash, LogError, hash::hash_from_slice};
use alloc::{borrow::ToOwned, string::String, vec::Vec};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Reads an unsigned decimal without sign or leading zero.
pub(crate) fn parse_decimal(text: &str) -> Result<u64, LogError> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return Err(LogError::BadNumber);
    }
    text.parse().map_err(|_| LogError::BadNumber)
}

/// Standard base64 with padding (RFC 4648 §4).
pub(crate) fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Reads base64 in its canonical spelling only; nothing if it is another.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// Reads a hash in base64.
pub(crate) fn parse_hash(text: &str) -> Result<Hash, LogError> {
    // 32 bytes have one length in base64: nothing longer is decoded at all.
    if text.len() != 44 {
        return Err(LogError::BadHash);
    }
    hash_from_slice(&decode_base64(text).ok_or(LogError::BadHash)?)
}

/// Prints hashes as C2SP tlog-witness and tlog-proof do: each in base64 on a line of its own.
#[must_use]
pub fn print_hashes(hashes: &[Hash]) -> String {
    hashes.iter().flat_map(|hash| [encode_base64(hash), "\n".to_owned()]).collect()
}

/// Reads what [`print_hashes`] prints, `max` hashes at most.
///
/// # Errors
/// [`LogError::ProofLength`] if there are more, else [`LogError::BadHash`].
pub fn parse_hashes(bytes: &[u8], max: usize) -> Result<Vec<Hash>, LogError> {
    parse_hash_lines(core::str::from_utf8(bytes).map_err(|_| LogError::BadHash)?, max)
}

/// Reads lines of hashes, each ended by a newline, `max` at most.
pub(crate) fn parse_hash_lines(text: &str, max: usize) -> Result<Vec<Hash>, LogError> {
    let mut hashes = Vec::new();
    for line in text.split_inclusive('\n') {
        if hashes.len() == max {
            return Err(LogError::ProofLength);
        }
        hashes.push(parse_hash(line.strip_suffix('\n').ok_or(LogError::BadHash)?)?);
    }
    Ok(hashes)
}

/// Refuses what is longer than `max` bytes or is not UTF-8, in which case `otherwise` tells what it is not.
pub(crate) fn bounded_text(bytes: &[u8], max: usize, otherwise: LogError) -> Result<&str, LogError> {
    if bytes.len() > max {
        return Err(LogError::TooLarge { max });
    }
    core::str::from_utf8(bytes).map_err(|_| otherwise)
}
