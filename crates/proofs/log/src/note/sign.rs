//! Signing notes and cosigning checkpoints.

use super::key::cosigned_message;
use super::{KeyKind, KeyName, Note, NoteSignature, VerifierKey};
use crate::{Checkpoint, LogError};
use alloc::string::ToString;
use core::fmt;
use ed25519_dalek::Signer;

/// An Ed25519 key that signs. Its seed is wiped from memory when it is dropped, and it never prints.
pub struct SigningKey {
    verifier: VerifierKey,
    key: ed25519_dalek::SigningKey,
}

impl SigningKey {
    /// A key from its 32-byte seed (RFC 8032 calls it the private key). One seed serves one name and one kind.
    ///
    /// # Errors
    /// [`LogError::BadKey`] cannot come of a seed that is random.
    pub fn try_from_seed(name: KeyName, kind: KeyKind, seed: &[u8; 32]) -> Result<Self, LogError> {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let verifier = VerifierKey::try_new(name, kind, key.verifying_key().as_bytes())?;
        Ok(Self { verifier, key })
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Adds this key's signature to a note.
    ///
    /// # Errors
    /// [`LogError::BadKey`] if the key is a witness's; [`LogError::TooLarge`] if the note has no room.
    pub fn sign(&self, note: &mut Note) -> Result<(), LogError> {
        if self.verifier.kind() != KeyKind::Note {
            return Err(LogError::BadKey);
        }
        let bytes = self.key.sign(note.text().as_bytes()).to_bytes().to_vec();
        note.add(self.line(bytes))
    }

    /// A witness's statement that, at `time_s` seconds since 1970, this is the largest consistent tree it has seen
    /// (C2SP tlog-cosignature). Whoever calls this has verified that, and has it on disk.
    ///
    /// # Errors
    /// [`LogError::BadKey`] if the key is not a witness's; [`LogError::BadTime`] from 2^63 on.
    pub fn cosign(&self, checkpoint: &Checkpoint, time_s: u64) -> Result<NoteSignature, LogError> {
        if self.verifier.kind() != KeyKind::Cosignature {
            return Err(LogError::BadKey);
        }
        let message = cosigned_message(&checkpoint.to_string(), time_s)?;
        let signature = self.key.sign(&message).to_bytes();
        Ok(self.line([time_s.to_be_bytes().as_slice(), &signature].concat()))
    }

    fn line(&self, bytes: alloc::vec::Vec<u8>) -> NoteSignature {
        NoteSignature { name: self.verifier.name().clone(), id: self.verifier.id(), bytes }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}
