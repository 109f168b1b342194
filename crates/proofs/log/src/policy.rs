//! Which witnesses count, and how many must have cosigned.

use crate::{KeyKind, KeyName, LogError, Note, VerifierKey};
use alloc::vec::Vec;

/// Most witnesses of a policy.
pub const WITNESSES_MAX: usize = 32;

/// `k` of these witnesses must have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessPolicy {
    witnesses: Vec<VerifierKey>,
    k: usize,
}

/// A witness that vouches for a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosigned {
    /// The witness.
    pub witness: KeyName,
    /// When it cosigned, in seconds since 1970, by its own clock.
    pub time_s: u64,
}

impl WitnessPolicy {
    /// No witness is asked: the log's word alone counts.
    #[must_use]
    pub const fn none() -> Self {
        Self { witnesses: Vec::new(), k: 0 }
    }

    /// A policy of `k` of the witnesses.
    ///
    /// # Errors
    /// [`LogError::BadPolicy`] if `k` is more than there are, or there are more than [`WITNESSES_MAX`], or a name or a
    /// public key stands there twice (one witness must not count for two); [`LogError::BadKey`] if a key is not of
    /// the kind [`KeyKind::Cosignature`].
    pub fn try_new(k: usize, witnesses: Vec<VerifierKey>) -> Result<Self, LogError> {
        if witnesses.iter().any(|key| key.kind() != KeyKind::Cosignature) {
            return Err(LogError::BadKey);
        }
        let twice = |at: usize, key: &VerifierKey| {
            let before = witnesses.iter().take(at);
            before.into_iter().any(|other| other.name() == key.name() || other.public_key() == key.public_key())
        };
        let repeated = witnesses.iter().enumerate().any(|(at, key)| twice(at, key));
        if repeated || k > witnesses.len() || witnesses.len() > WITNESSES_MAX {
            return Err(LogError::BadPolicy);
        }
        Ok(Self { witnesses, k })
    }

    /// How many are needed.
    #[must_use]
    pub const fn k(&self) -> usize {
        self.k
    }

    /// The witnesses that count.
    #[must_use]
    pub fn witnesses(&self) -> &[VerifierKey] {
        &self.witnesses
    }

    /// The witnesses of the policy that cosigned a note. Unknown signatures are passed over, as the standard asks.
    ///
    /// # Errors
    /// [`LogError::TooFewWitnesses`]; [`LogError::BadSignature`] or [`LogError::BadTime`] if a known witness's is wrong.
    pub fn verify(&self, note: &Note) -> Result<Vec<Cosigned>, LogError> {
        let mut cosigned = Vec::new();
        for key in &self.witnesses {
            match note.verify(key) {
                Ok(Some(time_s)) => cosigned.push(Cosigned { witness: key.name().clone(), time_s }),
                Ok(None) | Err(LogError::NotSigned) => {}
                Err(wrong) => return Err(wrong),
            }
        }
        let (have, need) = (cosigned.len(), self.k);
        if have < need { Err(LogError::TooFewWitnesses { have, need }) } else { Ok(cosigned) }
    }
}
