//! Checkpoints (C2SP tlog-checkpoint): a log's name, the size of its tree and its root, as a signed note.

use crate::text::{encode_base64, parse_decimal, parse_hash};
use crate::{Hash, KeyKind, LogError, NAME_BYTES_MAX, Note, SigningKey, VerifierKey, empty_root};
use alloc::{borrow::ToOwned, string::String, string::ToString, vec::Vec};
use core::fmt;

/// Most extension lines of a checkpoint.
pub const EXTENSIONS_MAX: usize = 16;

/// What a log says about its tree. Printing gives the text that is signed, with its last newline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

impl Checkpoint {
    /// A checkpoint without extension lines.
    ///
    /// # Errors
    /// [`LogError::BadCheckpoint`] if the origin is empty, too long or not one line, or an empty tree has another
    /// root than SHA-256 of nothing.
    pub fn try_new(origin: &str, size: u64, root: Hash) -> Result<Self, LogError> {
        let fits = (1..=NAME_BYTES_MAX).contains(&origin.len()) && !origin.chars().any(char::is_control);
        let honest = size > 0 || root == empty_root();
        if !fits || !honest {
            return Err(LogError::BadCheckpoint);
        }
        Ok(Self { origin: origin.to_owned(), size, root, extensions: Vec::new() })
    }

    /// Reads a note's text. What is read prints as the same bytes.
    ///
    /// # Errors
    /// [`LogError::BadCheckpoint`].
    pub fn parse(text: &str) -> Result<Self, LogError> {
        Self::read(text).ok_or(LogError::BadCheckpoint)
    }

    fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let origin = lines.next()?;
        let size = parse_decimal(lines.next()?).ok()?;
        let root = parse_hash(lines.next()?).ok()?;
        let mut checkpoint = Self::try_new(origin, size, root).ok()?;
        for line in lines {
            if line.is_empty() || checkpoint.extensions.len() == EXTENSIONS_MAX {
                return None;
            }
            checkpoint.extensions.push(line.to_owned());
        }
        Some(checkpoint)
    }

    /// The log's name.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Leaves in the tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The root of the tree.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// Lines after the root; nobody vouches for what they say.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}\n{}\n", self.origin, self.size, encode_base64(&self.root))?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A checkpoint with the note that it was read from. It is not verified by being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: Note,
}

impl SignedCheckpoint {
    /// Signs a checkpoint with the log's key.
    ///
    /// # Errors
    /// [`LogError::WrongOrigin`] if the key has another name than the log; [`LogError::BadKey`] if it is a witness's.
    pub fn sign(checkpoint: Checkpoint, key: &SigningKey) -> Result<Self, LogError> {
        if key.verifier().name().as_str() != checkpoint.origin {
            return Err(LogError::WrongOrigin);
        }
        let mut note = Note::try_new(&checkpoint.to_string())?;
        key.sign(&mut note)?;
        Ok(Self { checkpoint, note })
    }

    /// Reads a signed checkpoint, at most [`NOTE_BYTES_MAX`](crate::NOTE_BYTES_MAX) bytes.
    ///
    /// # Errors
    /// [`LogError::BadNote`], [`LogError::BadCheckpoint`], [`LogError::TooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        let note = Note::parse(bytes)?;
        Ok(Self { checkpoint: Checkpoint::parse(note.text())?, note })
    }

    /// The checkpoint, if the log signed it. The key's name must be the log's origin.
    ///
    /// # Errors
    /// [`LogError::WrongOrigin`], [`LogError::NotSigned`], [`LogError::BadSignature`]; [`LogError::BadKey`] if the key
    /// is a witness's.
    pub fn verify(&self, log: &VerifierKey) -> Result<&Checkpoint, LogError> {
        if log.kind() != KeyKind::Note {
            return Err(LogError::BadKey);
        }
        if log.name().as_str() != self.checkpoint.origin {
            return Err(LogError::WrongOrigin);
        }
        self.note.verify(log)?;
        Ok(&self.checkpoint)
    }

    /// The checkpoint as it was read, whoever signed it.
    #[must_use]
    pub const fn unverified(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note.
    #[must_use]
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// The note, to add cosignatures.
    #[must_use]
    pub const fn note_mut(&mut self) -> &mut Note {
        &mut self.note
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}
