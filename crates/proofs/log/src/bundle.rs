//! Proof bundles (C2SP tlog-proof): that an entry is in a log, checked with no network and no trust in who shows it.

use crate::text::{bounded_text, decode_base64, encode_base64, parse_decimal, parse_hash_lines};
use crate::witness::split_at_empty_line;
use crate::{Checkpoint, Cosigned, Hash, INCLUSION_HASHES_MAX, LogError, NOTE_BYTES_MAX, SignedCheckpoint};
use crate::{VerifierKey, WitnessPolicy, leaf_hash, verify_inclusion};
use alloc::vec::Vec;
use core::fmt;

/// Most bytes of extra data.
pub const EXTRA_BYTES_MAX: usize = 256 * 1024;
/// Most bytes of a bundle.
pub const BUNDLE_BYTES_MAX: usize = NOTE_BYTES_MAX + 2 * EXTRA_BYTES_MAX;

const HEADER: &str = "c2sp.org/tlog-proof@v1\n";

/// A bundle that was read: index, inclusion proof and checkpoint. The entry travels beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofBundle {
    extra: Option<Vec<u8>>,
    index: u64,
    proof: Vec<Hash>,
    checkpoint: SignedCheckpoint,
}

/// What a verified bundle shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<'a> {
    /// The checkpoint whose tree holds the entry.
    pub checkpoint: &'a Checkpoint,
    /// Where the entry stands.
    pub index: u64,
    /// The witnesses that vouch for the checkpoint.
    pub cosigned: Vec<Cosigned>,
}

impl ProofBundle {
    /// A bundle without extra data.
    ///
    /// # Errors
    /// [`LogError::IndexOutOfRange`] if the tree has no such leaf, [`LogError::ProofLength`] above
    /// [`INCLUSION_HASHES_MAX`] hashes.
    pub fn try_new(index: u64, proof: Vec<Hash>, checkpoint: SignedCheckpoint) -> Result<Self, LogError> {
        let size = checkpoint.unverified().size();
        if index >= size {
            return Err(LogError::IndexOutOfRange { index, size });
        }
        if proof.len() > INCLUSION_HASHES_MAX {
            return Err(LogError::ProofLength);
        }
        Ok(Self { extra: None, index, proof, checkpoint })
    }

    /// The same bundle with extra data, which nobody signs: a verifier must not believe it.
    ///
    /// # Errors
    /// [`LogError::TooLarge`] above [`EXTRA_BYTES_MAX`].
    pub fn with_extra(mut self, extra: Vec<u8>) -> Result<Self, LogError> {
        if extra.len() > EXTRA_BYTES_MAX {
            return Err(LogError::TooLarge { max: EXTRA_BYTES_MAX });
        }
        self.extra = Some(extra);
        Ok(self)
    }

    /// Takes the extra data away.
    #[must_use]
    pub fn without_extra(mut self) -> Self {
        self.extra = None;
        self
    }

    /// Reads a bundle, at most [`BUNDLE_BYTES_MAX`] bytes. What is read prints as the same bytes.
    ///
    /// # Errors
    /// [`LogError::BadBundle`], [`LogError::TooLarge`], and those of its parts.
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        let text = bounded_text(bytes, BUNDLE_BYTES_MAX, LogError::BadBundle)?;
        let text = text.strip_prefix(HEADER).ok_or(LogError::BadBundle)?;
        let (extra, text) = match text.strip_prefix("extra ") {
            Some(text) => {
                let (line, rest) = text.split_once('\n').ok_or(LogError::BadBundle)?;
                (Some(decode_base64(line).ok_or(LogError::BadBundle)?), rest)
            }
            None => (None, text),
        };
        let text = text.strip_prefix("index ").ok_or(LogError::BadBundle)?;
        let (index, text) = text.split_once('\n').ok_or(LogError::BadBundle)?;
        let index = parse_decimal(index)?;
        let (proof, checkpoint) = split_at_empty_line(text).ok_or(LogError::BadBundle)?;
        let proof = parse_hash_lines(proof, INCLUSION_HASHES_MAX)?;
        let bundle = Self::try_new(index, proof, SignedCheckpoint::parse(checkpoint.as_bytes())?)?;
        match extra {
            Some(extra) => bundle.with_extra(extra),
            None => Ok(bundle),
        }
    }

    /// Verifies that the entry is in the log, by the log's key and the witnesses that one trusts.
    ///
    /// # Errors
    /// Those of [`verify_inclusion`], [`SignedCheckpoint::verify`] and [`WitnessPolicy::verify`].
    pub fn verify(&self, entry: &[u8], log: &VerifierKey, policy: &WitnessPolicy) -> Result<Verified<'_>, LogError> {
        let checkpoint = self.checkpoint.verify(log)?;
        let cosigned = policy.verify(self.checkpoint.note())?;
        verify_inclusion(&leaf_hash(entry), self.index, checkpoint.size(), &self.proof, checkpoint.root())?;
        Ok(Verified { checkpoint, index: self.index, cosigned })
    }

    /// Where the entry is said to stand.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The extra data, which nobody signed.
    #[must_use]
    pub fn extra(&self) -> Option<&[u8]> {
        self.extra.as_deref()
    }

    /// The checkpoint, not verified.
    #[must_use]
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }
}

impl fmt::Display for ProofBundle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HEADER)?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", encode_base64(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", encode_base64(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}
