//! Canonical bytes: what is hashed, signed and stored.
//!
//! Values are encoded with Borsh (one encoding per value, strict on reading) and framed with a tag and their length,
//! so that two different values, even of different types, can never share bytes. The tag names type and version,
//! for example `tallystick/escrow/v1`.

use borsh::{BorshDeserialize, BorshSerialize};
use sha2::{Digest, Sha256};

use crate::hash::Digest32;

/// Bytes that are not the canonical encoding of the value asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes are not a canonical {tag}: {why}")]
pub struct DecodeError {
    tag: &'static str,
    why: String,
}

/// Encodes a value without a frame, for a place whose type is fixed.
pub fn encode<T: BorshSerialize>(value: &T) -> Vec<u8> {
    borsh::to_vec(value).expect("writing to memory cannot fail")
}

/// Reads what [`encode`] wrote.
///
/// # Errors
/// [`DecodeError`] on any other bytes, trailing ones included.
pub fn decode<T: BorshDeserialize>(tag: &'static str, bytes: &[u8]) -> Result<T, DecodeError> {
    borsh::from_slice(bytes).map_err(|error| DecodeError { tag, why: error.to_string() })
}

/// Frames fields under a tag: the tag and each field with its length (`u32`, little-endian) before it.
pub fn frame(tag: &str, fields: &[&[u8]]) -> Vec<u8> {
    let size = fields.iter().map(|field| field.len() + 4).sum::<usize>() + tag.len() + 4;
    let mut bytes = Vec::with_capacity(size);
    for field in std::iter::once(&tag.as_bytes()).chain(fields) {
        let length = u32::try_from(field.len()).expect("fields are limited far below 4 GiB");
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

/// The fields that [`frame`] framed under a tag. Nothing for any other bytes, trailing ones included.
pub fn unframe<'a, const N: usize>(tag: &str, bytes: &'a [u8]) -> Option<[&'a [u8]; N]> {
    let mut rest = bytes;
    if next_field(&mut rest)? != tag.as_bytes() {
        return None;
    }
    let mut fields = [[].as_slice(); N];
    for field in &mut fields {
        *field = next_field(&mut rest)?;
    }
    rest.is_empty().then_some(fields)
}

fn next_field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<4>()?;
    let (field, after) = after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *rest = after;
    Some(field)
}

/// The SHA-256 of [`frame`].
pub fn digest(tag: &str, fields: &[&[u8]]) -> Digest32 {
    sha256(&frame(tag, fields))
}

/// The SHA-256 of bytes as they are: for formats that others fixed.
pub fn sha256(bytes: &[u8]) -> Digest32 {
    Digest32(Sha256::digest(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_a_byte_between_fields_changes_the_frame() {
        assert_ne!(frame("t", &[b"ab", b"c"]), frame("t", &[b"a", b"bc"]));
        assert_ne!(frame("t", &[b"abc"]), frame("t", &[b"abc", b""]));
        assert_ne!(frame("ta", &[b"b"]), frame("t", &[b"ab"]));
    }

    #[test]
    fn golden_frame() {
        assert_eq!(hex::encode(frame("t", &[b"ab", b""])), "0100000074020000006162".to_owned() + "00000000");
        assert_eq!(
            digest("tallystick/test/v1", &[b"x"]).to_string(),
            sha256(&frame("tallystick/test/v1", &[b"x"])).to_string()
        );
    }

    #[test]
    fn fields_come_back_and_nothing_else_does() {
        let framed = frame("t", &[b"ab", b""]);
        assert_eq!(unframe::<2>("t", &framed), Some([b"ab".as_slice(), b""]));
        assert_eq!(unframe::<2>("u", &framed), None);
        assert_eq!(unframe::<1>("t", &framed), None);
        assert_eq!(unframe::<3>("t", &framed), None);
        assert_eq!(unframe::<1>("t", &[1, 0, 0, 0, b't', 255, 255, 255, 255]), None);
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let mut bytes = encode(&7u32);
        assert_eq!(decode::<u32>("number", &bytes), Ok(7));
        bytes.push(0);
        assert!(decode::<u32>("number", &bytes).is_err());
    }
}
