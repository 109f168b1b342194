//! Signed notes (C2SP signed-note): a text, an empty line, and lines of signatures.

mod key;
mod sign;

pub use key::{KeyKind, KeyName, NAME_BYTES_MAX, VerifierKey};
pub use sign::SigningKey;

use crate::LogError;
use crate::text::{bounded_text, decode_base64, encode_base64};
use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::fmt;

/// Most bytes of a note, signatures included; 16 of a post-quantum kind have room.
pub const NOTE_BYTES_MAX: usize = 128 * 1024;
/// Most signatures of a note; the standard asks for 16 at least.
pub const SIGNATURES_MAX: usize = 64;

/// What a signature line begins with: an em dash (U+2014) and a space.
const DASH: &str = "\u{2014} ";

/// One signature line. It proves nothing until a [`VerifierKey`] has looked at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    pub(crate) name: KeyName,
    pub(crate) id: [u8; 4],
    pub(crate) bytes: Vec<u8>,
}

impl NoteSignature {
    /// Reads one line without its newline.
    ///
    /// # Errors
    /// [`LogError::BadNote`].
    pub fn parse(line: &str) -> Result<Self, LogError> {
        if line.len() > NOTE_BYTES_MAX {
            return Err(LogError::TooLarge { max: NOTE_BYTES_MAX });
        }
        let (name, base64) = line.strip_prefix(DASH).and_then(|rest| rest.split_once(' ')).ok_or(LogError::BadNote)?;
        let name = KeyName::try_new(name).map_err(|_| LogError::BadNote)?;
        let bytes = decode_base64(base64).ok_or(LogError::BadNote)?;
        let (id, bytes) = bytes.split_first_chunk::<4>().ok_or(LogError::BadNote)?;
        if bytes.is_empty() {
            return Err(LogError::BadNote);
        }
        Ok(Self { name, id: *id, bytes: bytes.to_vec() })
    }

    /// The name of the key that it claims to be by.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.as_slice(), &self.bytes].concat();
        write!(f, "{DASH}{} {}", self.name, encode_base64(&bytes))
    }
}

/// A note that was read. Its text means nothing until a signature was verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// A note of this text, without signatures yet.
    ///
    /// # Errors
    /// [`LogError::BadNote`] unless the text ends with a newline and has no other control characters;
    /// [`LogError::TooLarge`].
    pub fn try_new(text: &str) -> Result<Self, LogError> {
        if text.len() > NOTE_BYTES_MAX {
            return Err(LogError::TooLarge { max: NOTE_BYTES_MAX });
        }
        if !text.ends_with('\n') || text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(LogError::BadNote);
        }
        Ok(Self { text: text.to_owned(), signatures: Vec::new() })
    }

    /// Reads a note. What is read prints as the same bytes.
    ///
    /// # Errors
    /// [`LogError::BadNote`], [`LogError::TooLarge`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LogError> {
        let all = bounded_text(bytes, NOTE_BYTES_MAX, LogError::BadNote)?;
        // The last empty line parts the text from its signatures.
        let end = all.rfind("\n\n").ok_or(LogError::BadNote)?;
        let (text, rest) = all.split_at(end + 1);
        let mut note = Self::try_new(text)?;
        note.signatures = parse_signature_lines(rest.strip_prefix('\n').ok_or(LogError::BadNote)?)?;
        Ok(note)
    }

    /// The text that is signed, its last newline included.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures in their order.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature; one that is there already is not added again.
    ///
    /// # Errors
    /// [`LogError::TooLarge`] if there are [`SIGNATURES_MAX`] already.
    pub fn add(&mut self, signature: NoteSignature) -> Result<(), LogError> {
        if self.signatures.contains(&signature) {
            return Ok(());
        }
        if self.signatures.len() == SIGNATURES_MAX {
            return Err(LogError::TooLarge { max: NOTE_BYTES_MAX });
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// Verifies the signature that names this key, and tells the time in it if it is a cosignature. The standard leaves
    /// open what a second line of one key means; here a note with one is refused, so that no note makes anybody check
    /// more than one signature for each key that it knows.
    ///
    /// # Errors
    /// [`LogError::NotSigned`] if no line names the key, [`LogError::BadNote`] if several do, [`LogError::BadSignature`]
    /// or [`LogError::BadTime`] if the one that does is wrong: such a note is refused as a whole.
    pub fn verify(&self, key: &VerifierKey) -> Result<Option<u64>, LogError> {
        let mut ours = self.signatures.iter().filter(|signature| key.is_named_by(signature));
        match (ours.next(), ours.next()) {
            (None, _) => Err(LogError::NotSigned),
            (Some(signature), None) => key.verify(&self.text, signature),
            (Some(_), Some(_)) => Err(LogError::BadNote),
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// Reads one signature line or more, each ended by a newline.
pub(crate) fn parse_signature_lines(text: &str) -> Result<Vec<NoteSignature>, LogError> {
    let mut signatures = Vec::new();
    for line in text.split_inclusive('\n') {
        if signatures.len() == SIGNATURES_MAX {
            return Err(LogError::BadNote);
        }
        signatures.push(NoteSignature::parse(line.strip_suffix('\n').ok_or(LogError::BadNote)?)?);
    }
    if signatures.is_empty() { Err(LogError::BadNote) } else { Ok(signatures) }
}
