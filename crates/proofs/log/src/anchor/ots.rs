//! OpenTimestamps proofs (`.ots`): an anchor's proof for others' tools, and theirs for us.
//!
//! The reader is our own. The crate `opentimestamps` (0.2.0) reads into memory as much as a file says that it has,
//! shifts numbers beyond their width, and lets a message double with every step: it is kept to the tests.

use super::{AnchorError, AnchorProof, Headers};
use crate::Hash;
use alloc::{string::String, vec::Vec};
use bitcoin::hashes::{Hash as _, ripemd160, sha1};
use sha2::{Digest, Sha256};
use sha3::Keccak256;

const MAGIC: &[u8; 31] = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94";
const VERSION: u64 = 1;
/// Most bytes of a file.
pub const OTS_BYTES_MAX: usize = 64 * 1024;
/// Most bytes of an operand and of a message, as in other implementations.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// Most operations one after the other, as in other implementations.
const DEPTH_MAX: usize = 256;
/// Most attestations.
const ATTESTATIONS_MAX: usize = 1_024;
/// Most bytes of an attestation, as in other implementations.
const ATTESTATION_BYTES_MAX: usize = 8_192;
/// Most bytes of a calendar's address, as in other implementations.
const URI_BYTES_MAX: usize = 1_000;

const SHA1: u8 = 0x02;
const RIPEMD160: u8 = 0x03;
const SHA256: u8 = 0x08;
const KECCAK256: u8 = 0x67;
const APPEND: u8 = 0xf0;
const PREPEND: u8 = 0xf1;
const REVERSE: u8 = 0xf2;
const HEXLIFY: u8 = 0xf3;
const FORK: u8 = 0xff;
const ATTESTED: u8 = 0x00;
const BITCOIN_TAG: [u8; 8] = [0x05, 0x88, 0x96, 0x0d, 0x73, 0xd7, 0x19, 0x01];
const PENDING_TAG: [u8; 8] = [0x83, 0xdf, 0xe3, 0x0d, 0x2e, 0xf9, 0x0c, 0x8e];

/// The digest of the content that a file is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileDigest {
    /// SHA-1. Two contents can share it.
    Sha1([u8; 20]),
    /// RIPEMD-160.
    Ripemd160([u8; 20]),
    /// SHA-256.
    Sha256(Hash),
}

impl FileDigest {
    /// Whether it is the digest of this content.
    #[must_use]
    pub fn is_of(&self, content: &[u8]) -> bool {
        match self {
            Self::Sha1(digest) => sha1::Hash::hash(content).to_byte_array() == *digest,
            Self::Ripemd160(digest) => ripemd160::Hash::hash(content).to_byte_array() == *digest,
            Self::Sha256(digest) => Hash::from(Sha256::digest(content)) == *digest,
        }
    }
}

/// Who vouches for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attestation {
    /// The Bitcoin block of this height: the message is its Merkle root.
    Bitcoin {
        /// The height.
        height: u64,
    },
    /// A calendar that promised to have it anchored.
    Pending {
        /// Its address. It is foreign text, to be shown and not to be followed.
        uri: String,
    },
    /// A kind that is not known here.
    Unknown {
        /// Its tag.
        tag: [u8; 8],
    },
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtsFile {
    digest: FileDigest,
    attestations: Vec<(Vec<u8>, Attestation)>,
}

impl OtsFile {
    /// Reads a detached proof (major version 1), at most [`OTS_BYTES_MAX`] bytes.
    ///
    /// # Errors
    /// [`AnchorError::TooLarge`], [`AnchorError::BadOts`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AnchorError> {
        if bytes.len() > OTS_BYTES_MAX {
            return Err(AnchorError::TooLarge { max: OTS_BYTES_MAX });
        }
        Self::read(bytes).ok_or(AnchorError::BadOts)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Input(bytes.strip_prefix(MAGIC)?);
        if input.number()? != VERSION {
            return None;
        }
        let (digest, start) = match input.byte()? {
            SHA1 => input.array().map(|digest| (FileDigest::Sha1(digest), digest.to_vec())),
            RIPEMD160 => input.array().map(|digest| (FileDigest::Ripemd160(digest), digest.to_vec())),
            SHA256 => input.array().map(|digest| (FileDigest::Sha256(digest), digest.to_vec())),
            _ => None,
        }?;
        let attestations = walk(&mut input, start)?;
        input.0.is_empty().then_some(Self { digest, attestations })
    }

    /// What it is about.
    #[must_use]
    pub const fn digest(&self) -> &FileDigest {
        &self.digest
    }

    /// Every attestation, with the message that it is on.
    pub fn attestations(&self) -> impl Iterator<Item = (&[u8], &Attestation)> {
        self.attestations.iter().map(|(message, attestation)| (message.as_slice(), attestation))
    }

    /// Verifies that the content existed when a block of Bitcoin was made. Answers the height and the time (seconds
    /// since 1970, true to about two hours) of the first such block. How many headers are on top is for the caller to ask.
    ///
    /// # Errors
    /// [`AnchorError::WrongContent`], [`AnchorError::NotAttested`]; [`AnchorError::BadPath`] or
    /// [`AnchorError::NoHeader`] if a block is named that does not vouch for it, or is not known.
    pub fn verify(&self, content: &[u8], headers: &Headers) -> Result<(u32, u32), AnchorError> {
        if !self.digest.is_of(content) {
            return Err(AnchorError::WrongContent);
        }
        let mut outcome: Result<(u32, u32), AnchorError> = Err(AnchorError::NotAttested);
        for (message, attestation) in self.attestations() {
            let Attestation::Bitcoin { height } = attestation else { continue };
            let height = u32::try_from(*height).map_err(|_| AnchorError::NoHeader { height: u32::MAX })?;
            let found = headers.at(height).and_then(|(header, _)| {
                let vouches = header.merkle_root.as_byte_array().as_slice() == message;
                if vouches { Ok((height, header.time)) } else { Err(AnchorError::BadPath) }
            });
            outcome = match (outcome, found) {
                (Ok(first), Ok(found)) => Ok(first.min(found)),
                (Ok(first), Err(_)) => Ok(first),
                (Err(_), found) => found,
            };
        }
        outcome
    }
}

/// Writes an anchor's proof as a detached proof of the checkpoint's text, which any OpenTimestamps client takes.
///
/// # Errors
/// [`AnchorError::BadTransaction`] never happens for an anchor that was read.
pub fn write(proof: &AnchorProof) -> Result<Vec<u8>, AnchorError> {
    let (tx, commitment) = (proof.tx().to_bytes(), proof.tx().commitment());
    let at = tx.windows(commitment.len()).position(|window| window == commitment);
    let at = at.ok_or(AnchorError::BadTransaction)?;
    let (before, rest) = tx.split_at(at);
    let after = rest.get(commitment.len()..).unwrap_or_default();
    let mut file = [MAGIC.as_slice(), &[1, SHA256], commitment].concat();
    operand(&mut file, PREPEND, before);
    operand(&mut file, APPEND, after);
    file.extend_from_slice(&[SHA256, SHA256]);
    let mut index = proof.path().index();
    for sibling in proof.path().siblings() {
        operand(&mut file, if index & 1 == 1 { PREPEND } else { APPEND }, sibling);
        file.extend_from_slice(&[SHA256, SHA256]);
        index /= 2;
    }
    let mut payload = Vec::new();
    put_number(&mut payload, u64::from(proof.height()));
    file.push(ATTESTED);
    file.extend_from_slice(&BITCOIN_TAG);
    put_number(&mut file, payload.len() as u64);
    file.extend_from_slice(&payload);
    Ok(file)
}

/// Follows all ways from a message to their attestations.
fn walk(input: &mut Input<'_>, start: Vec<u8>) -> Option<Vec<(Vec<u8>, Attestation)>> {
    let mut attestations = Vec::new();
    // Where other ways begin, and how deep that is. There is one at most for every operation above.
    let mut waiting: Vec<(Vec<u8>, usize)> = Vec::new();
    let (mut message, mut depth) = (start, 0);
    loop {
        let mut tag = input.byte()?;
        if tag == FORK {
            waiting.push((message.clone(), depth));
            tag = input.byte()?;
        }
        if tag != ATTESTED {
            depth += 1;
            message = operate(input, tag, message)?;
            if depth > DEPTH_MAX {
                return None;
            }
            continue;
        }
        if attestations.len() == ATTESTATIONS_MAX {
            return None;
        }
        attestations.push((core::mem::take(&mut message), attestation(input)?));
        match waiting.pop() {
            Some(way) => (message, depth) = way,
            None => return Some(attestations),
        }
    }
}

fn operate(input: &mut Input<'_>, tag: u8, mut message: Vec<u8>) -> Option<Vec<u8>> {
    let result = match tag {
        SHA1 => sha1::Hash::hash(&message).to_byte_array().to_vec(),
        RIPEMD160 => ripemd160::Hash::hash(&message).to_byte_array().to_vec(),
        SHA256 => Sha256::digest(&message).to_vec(),
        KECCAK256 => Keccak256::digest(&message).to_vec(),
        APPEND => {
            message.extend_from_slice(input.bytes(1, MESSAGE_BYTES_MAX)?);
            message
        }
        PREPEND => [input.bytes(1, MESSAGE_BYTES_MAX)?, &message].concat(),
        REVERSE => {
            message.reverse();
            message
        }
        HEXLIFY => {
            const DIGITS: &[u8; 16] = b"0123456789abcdef";
            message.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| DIGITS[usize::from(digit)]).collect()
        }
        _ => return None,
    };
    (1..=MESSAGE_BYTES_MAX).contains(&result.len()).then_some(result)
}

fn attestation(input: &mut Input<'_>) -> Option<Attestation> {
    let tag: [u8; 8] = input.array()?;
    let mut payload = Input(input.bytes(0, ATTESTATION_BYTES_MAX)?);
    let attestation = match tag {
        BITCOIN_TAG => Attestation::Bitcoin { height: payload.number()? },
        PENDING_TAG => {
            let uri = payload.bytes(0, URI_BYTES_MAX)?;
            let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._/:".contains(byte);
            let uri = uri.iter().all(plain).then(|| String::from_utf8(uri.to_vec()).ok())??;
            Attestation::Pending { uri }
        }
        _ => return Some(Attestation::Unknown { tag }),
    };
    payload.0.is_empty().then_some(attestation)
}

fn operand(file: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        file.push(tag);
        put_number(file, bytes.len() as u64);
        file.extend_from_slice(bytes);
    }
}

/// Seven bits a byte, the lowest first; the highest bit tells that more follow.
fn put_number(file: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        file.push(u8::try_from(number & 0x7f).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    file.push(u8::try_from(number).unwrap_or_default());
}

/// What is left to read.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                // One spelling: no number ends with a byte that adds nothing.
                return (byte != 0 || shift == 0).then_some(number);
            }
        }
        None
    }

    fn bytes(&mut self, least: usize, most: usize) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (taken, rest) = self.0.split_at_checked(length).filter(|_| (least..=most).contains(&length))?;
        self.0 = rest;
        Some(taken)
    }
}
