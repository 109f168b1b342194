//! Verifier keys ("vkeys") and what they verify: Ed25519 notes and cosignatures (C2SP signed-note, tlog-cosignature).

use super::NoteSignature;
use crate::LogError;
use crate::text::{decode_base64, encode_base64};
use alloc::{borrow::ToOwned, format, string::String, vec::Vec};
use core::fmt;
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest, Sha256};

/// Most bytes of a key's name or a log's origin.
pub const NAME_BYTES_MAX: usize = 255;

/// The name of a key: not empty, without spaces, plus signs and control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyName(String);

impl KeyName {
    /// Takes a name.
    ///
    /// # Errors
    /// [`LogError::BadKey`].
    pub fn try_new(name: &str) -> Result<Self, LogError> {
        let fits = (1..=NAME_BYTES_MAX).contains(&name.len());
        if fits && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+') {
            Ok(Self(name.to_owned()))
        } else {
            Err(LogError::BadKey)
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a key signs; the number is its signature type in the standard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum KeyKind {
    /// Ed25519 (RFC 8032) over the note's text: how a log signs.
    Note = 0x01,
    /// `cosignature/v1`: Ed25519 over a time and the text: how a witness signs.
    Cosignature = 0x04,
}

/// A key that verifies notes: name, kind and Ed25519 public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: KeyName,
    kind: KeyKind,
    key: VerifyingKey,
}

impl VerifierKey {
    /// A key by its parts; the public key is encoded after RFC 8032.
    ///
    /// # Errors
    /// [`LogError::BadKey`] if it is no point, or one of small order, with which anyone can sign.
    pub fn try_new(name: KeyName, kind: KeyKind, public_key: &[u8; 32]) -> Result<Self, LogError> {
        let key = VerifyingKey::from_bytes(public_key).map_err(|_| LogError::BadKey)?;
        if key.is_weak() { Err(LogError::BadKey) } else { Ok(Self { name, kind, key }) }
    }

    /// Reads `<name>+<id in hexadecimal>+<base64 of kind and key>`; the id must be the right one.
    ///
    /// # Errors
    /// [`LogError::BadKey`].
    pub fn parse(vkey: &str) -> Result<Self, LogError> {
        let key = Self::read(vkey).ok_or(LogError::BadKey)?;
        if key.to_vkey() == vkey { Ok(key) } else { Err(LogError::BadKey) }
    }

    fn read(vkey: &str) -> Option<Self> {
        if vkey.len() > NAME_BYTES_MAX + 64 {
            return None;
        }
        let (name, rest) = vkey.split_once('+')?;
        let (_id, base64) = rest.split_once('+')?;
        let bytes = decode_base64(base64)?;
        let (kind, public_key) = bytes.split_first()?;
        let kind = match kind {
            0x01 => KeyKind::Note,
            0x04 => KeyKind::Cosignature,
            _ => return None,
        };
        Self::try_new(KeyName::try_new(name).ok()?, kind, public_key.try_into().ok()?).ok()
    }

    /// Writes the key as [`parse`](Self::parse) reads it.
    #[must_use]
    pub fn to_vkey(&self) -> String {
        let id = u32::from_be_bytes(self.id());
        let bytes = [&[self.kind as u8], self.key.as_bytes().as_slice()].concat();
        format!("{}+{id:08x}+{}", self.name, encode_base64(&bytes))
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// What it verifies.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// The key id: the first four bytes of SHA-256 over name, newline, kind and public key.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let mut hasher = Sha256::new();
        hasher.update(self.name.as_str());
        hasher.update([b'\n', self.kind as u8]);
        hasher.update(self.key.as_bytes());
        let hash: [u8; 32] = hasher.finalize().into();
        [hash[0], hash[1], hash[2], hash[3]]
    }

    /// Whether a signature line claims to be by this key: name and id both match.
    #[must_use]
    pub fn is_named_by(&self, signature: &NoteSignature) -> bool {
        signature.name == self.name && signature.id == self.id()
    }

    /// Verifies one signature line over a text, and tells the time in it (seconds since 1970) if it is a cosignature.
    ///
    /// # Errors
    /// [`LogError::NotSigned`] if it names another key, [`LogError::BadSignature`], [`LogError::BadTime`].
    pub fn verify(&self, text: &str, signature: &NoteSignature) -> Result<Option<u64>, LogError> {
        if !self.is_named_by(signature) {
            return Err(LogError::NotSigned);
        }
        match self.kind {
            KeyKind::Note => {
                self.check(text.as_bytes(), &signature.bytes)?;
                Ok(None)
            }
            KeyKind::Cosignature => {
                let (time, bytes) = signature.bytes.split_first_chunk::<8>().ok_or(LogError::BadSignature)?;
                let time = u64::from_be_bytes(*time);
                self.check(&cosigned_message(text, time)?, bytes)?;
                Ok(Some(time))
            }
        }
    }

    fn check(&self, message: &[u8], signature: &[u8]) -> Result<(), LogError> {
        let signature = Signature::from_slice(signature).map_err(|_| LogError::BadSignature)?;
        self.key.verify_strict(message, &signature).map_err(|_| LogError::BadSignature)
    }
}

/// What a witness signs (C2SP tlog-cosignature, "Ed25519 signed message"). The time is below 2^63.
pub(super) fn cosigned_message(text: &str, time_s: u64) -> Result<Vec<u8>, LogError> {
    if i64::try_from(time_s).is_err() {
        return Err(LogError::BadTime);
    }
    Ok(format!("cosignature/v1\ntime {time_s}\n{text}").into_bytes())
}
