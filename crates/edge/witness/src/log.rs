//! Which logs are cosigned, and by which keys they sign.

use sha2::{Digest, Sha256};
use tallystick_log::{KeyKind, SignedCheckpoint, VerifierKey};

use crate::StateError;

/// Most keys of one log: the one in use, and those before it while they change.
pub const KEYS_MAX: usize = 8;

/// A log that is cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedLog {
    origin: String,
    keys: Vec<VerifierKey>,
}

impl TrustedLog {
    /// A log by its origin and the keys by which it may sign.
    ///
    /// # Errors
    /// [`StateError::Config`] if there is no key or more than [`KEYS_MAX`], or one has another name than the log or is
    /// not of the kind that signs notes (0x01).
    pub fn try_new(origin: &str, keys: Vec<VerifierKey>) -> Result<Self, StateError> {
        let refuse = |why: String| Err(StateError::Config(format!("the log {origin}: {why}")));
        if keys.is_empty() || keys.len() > KEYS_MAX {
            return refuse(format!("it needs 1 to {KEYS_MAX} keys"));
        }
        for key in &keys {
            if key.kind() != KeyKind::Note {
                return refuse(format!("{} is not a log's key: its kind must be 0x01", key.to_vkey()));
            }
            if key.name().as_str() != origin {
                return refuse(format!("the key {} has another name", key.to_vkey()));
            }
        }
        Ok(Self { origin: origin.to_owned(), keys })
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The keys by which it may sign.
    #[must_use]
    pub fn keys(&self) -> &[VerifierKey] {
        &self.keys
    }

    /// The first trusted key that signed a checkpoint.
    #[must_use]
    pub fn signer(&self, checkpoint: &SignedCheckpoint) -> Option<&VerifierKey> {
        self.keys.iter().find(|key| checkpoint.verify(key).is_ok())
    }

    /// What its files are called: SHA-256 of the origin, in hexadecimal, because an origin may hold any character.
    #[must_use]
    pub fn file_stem(&self) -> String {
        hex::encode(Sha256::digest(self.origin.as_bytes()))
    }
}
