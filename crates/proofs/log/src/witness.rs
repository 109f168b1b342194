//! The `add-checkpoint` call of C2SP tlog-witness: what is sent, what comes back, and when a witness may cosign.

use crate::note::parse_signature_lines;
use crate::text::{bounded_text, encode_base64, parse_decimal, parse_hash_lines};
use crate::{Checkpoint, Hash, LogError, NOTE_BYTES_MAX, NoteSignature, SignedCheckpoint, VerifierKey};
use crate::{empty_root, verify_consistency};
use alloc::{format, string::String, vec::Vec};
use core::fmt;

/// Most hashes in a request.
pub const REQUEST_HASHES_MAX: usize = 63;
/// Most bytes of a request: a note and what stands before it.
pub const REQUEST_BYTES_MAX: usize = NOTE_BYTES_MAX + 4096;

/// The body of an `add-checkpoint` request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    old_size: u64,
    proof: Vec<Hash>,
    checkpoint: SignedCheckpoint,
}

/// The tree that a witness last cosigned for a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// Leaves in the tree.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

impl Default for TreeHead {
    /// What a witness knows of a log that is new to it: an empty tree.
    fn default() -> Self {
        Self { size: 0, root: empty_root() }
    }
}

impl AddCheckpoint {
    /// A request to cosign `checkpoint` on top of the tree of `old_size` leaves.
    ///
    /// # Errors
    /// [`LogError::BadRequest`] if the proof has more than 63 hashes; [`LogError::SizesOutOfOrder`] if the old size is
    /// above the checkpoint's.
    pub fn try_new(old_size: u64, proof: Vec<Hash>, checkpoint: SignedCheckpoint) -> Result<Self, LogError> {
        let new_size = checkpoint.unverified().size();
        if old_size > new_size {
            return Err(LogError::SizesOutOfOrder { old: old_size, new: new_size });
        }
        if proof.len() > REQUEST_HASHES_MAX {
            return Err(LogError::BadRequest);
        }
        Ok(Self { old_size, proof, checkpoint })
    }

    /// Reads a request's body, at most [`REQUEST_BYTES_MAX`] bytes. What is read prints as the same bytes.
    ///
    /// # Errors
    /// [`LogError::BadRequest`], [`LogError::TooLarge`], and those of its parts.
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        let text = bounded_text(bytes, REQUEST_BYTES_MAX, LogError::BadRequest)?;
        let (first, rest) = text.split_once('\n').ok_or(LogError::BadRequest)?;
        let old_size = parse_decimal(first.strip_prefix("old ").ok_or(LogError::BadRequest)?)?;
        let (proof, checkpoint) = split_at_empty_line(rest).ok_or(LogError::BadRequest)?;
        let proof = parse_hash_lines(proof, REQUEST_HASHES_MAX)?;
        Self::try_new(old_size, proof, SignedCheckpoint::parse(checkpoint.as_bytes())?)
    }

    /// The size that the request starts from.
    #[must_use]
    pub const fn old_size(&self) -> u64 {
        self.old_size
    }

    /// The checkpoint to be cosigned; not verified.
    #[must_use]
    pub const fn checkpoint(&self) -> &SignedCheckpoint {
        &self.checkpoint
    }

    /// All that a witness must check: the log's signature, the size that it starts from, and that history goes on.
    /// The witness then writes the new head down, only then cosigns the checkpoint that this returns, and does so
    /// without another request between.
    ///
    /// # Errors
    /// Those of [`SignedCheckpoint::verify`] (HTTP status 403), [`LogError::OldSize`] (409; the body tells the known
    /// size), [`LogError::TwoTrees`] (409), [`LogError::ProofLength`] and [`LogError::RootMismatch`] (422).
    pub fn verify(&self, log: &VerifierKey, last: TreeHead) -> Result<&Checkpoint, LogError> {
        let checkpoint = self.checkpoint.verify(log)?;
        if self.old_size != last.size {
            return Err(LogError::OldSize { old: self.old_size, known: last.size });
        }
        if last.size == 0 {
            // From nothing there is nothing to prove, and a proof of nothing is wrong.
            return if self.proof.is_empty() { Ok(checkpoint) } else { Err(LogError::ProofLength) };
        }
        if last.size == checkpoint.size() && last.root != *checkpoint.root() {
            return Err(LogError::TwoTrees { size: last.size });
        }
        verify_consistency(last.size, checkpoint.size(), &self.proof, &last.root, checkpoint.root())?;
        Ok(checkpoint)
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old_size)?;
        self.proof.iter().try_for_each(|hash| writeln!(f, "{}", encode_base64(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Reads a witness's answer: one signature line or more. They still have to be verified against the note.
///
/// # Errors
/// [`LogError::BadRequest`], [`LogError::TooLarge`].
pub fn parse_cosignatures(bytes: &[u8]) -> Result<Vec<NoteSignature>, LogError> {
    let text = bounded_text(bytes, NOTE_BYTES_MAX, LogError::BadRequest)?;
    parse_signature_lines(text).map_err(|_| LogError::BadRequest)
}

/// The body of a 409 answer: the size that the witness knows (`text/x.tlog.size`).
#[must_use]
pub fn print_size(size: u64) -> String {
    format!("{size}\n")
}

/// Reads the body of a 409 answer.
///
/// # Errors
/// [`LogError::BadRequest`].
pub fn parse_size(bytes: &[u8]) -> Result<u64, LogError> {
    let text = bounded_text(bytes, 32, LogError::BadRequest)?;
    parse_decimal(text.strip_suffix('\n').ok_or(LogError::BadRequest)?).map_err(|_| LogError::BadRequest)
}

/// Parts whole lines from what follows the first empty line.
pub(crate) fn split_at_empty_line(text: &str) -> Option<(&str, &str)> {
    if let Some(rest) = text.strip_prefix('\n') {
        return Some(("", rest));
    }
    let end = text.find("\n\n")?;
    Some((text.get(..=end)?, text.get(end + 2..)?))
}
