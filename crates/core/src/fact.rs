//! A fact: what the journal records, and the bytes of it that anyone may see.
//!
//! A fact is public but for its body, which is one of two things:
//! * **public**: its bytes are in the entry;
//! * **private**: only a salted commitment is in the entry. The opening, salt and content, is kept beside it by whoever
//!   may know it, and can be erased: chain, tree and proofs stay as they are.
//!
//! The *entry* ([`Fact::entry`]) is what is chained (its SHA-256 is the fact's hash, and is in the next entry) and what
//! is a leaf of the log. Whoever has the entries can check both without a single opening.

use std::fmt;

use crate::{Authority, BlockHeight, Digest32, Timestamp, canonical};

const FACT_TAG: &str = "tallystick/fact/v3";
const BODY_TAG: &str = "tallystick/body/v1";
const AUTHORITY_TAG: &str = "tallystick/authority/v1";
const PUBLIC: &[u8] = &[0];
const PRIVATE: &[u8] = &[1];

/// The `prev` of the first fact.
pub const CHAIN_START: Digest32 = Digest32([0; 32]);
/// Bytes of a public body, at most: an entry has to fit into a tile (C2SP tlog-tiles: 65,535 bytes).
pub const PUBLIC_BODY_BYTES_MAX: usize = 60 * 1024;
/// Bytes of an entry, at most (C2SP tlog-tiles).
pub const ENTRY_BYTES_MAX: usize = 65_535;

/// What opens a commitment: 32 random bytes, and the content. Private.
#[derive(Clone, PartialEq, Eq)]
pub struct Opening {
    /// Random, and used for this one body: without it, nobody can tell whether a guess at the content is right.
    pub salt: [u8; 32],
    /// The body's canonical bytes.
    pub content: Vec<u8>,
}

impl Opening {
    /// The commitment that it opens: SHA-256 over the framed salt and content.
    pub fn commitment(&self) -> Digest32 {
        canonical::digest(BODY_TAG, &[&self.salt, &self.content])
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Opening({} bytes)", self.content.len())
    }
}

/// The body of a fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Anyone may read it.
    Public(Vec<u8>),
    /// Its content is for those who were given the opening.
    Private {
        /// What the entry shows.
        commitment: Digest32,
        /// Nothing once it was erased, or for whoever was not given it.
        opening: Option<Opening>,
    },
}

impl Body {
    /// A private body. The salt must be random, and used once.
    pub fn private(salt: [u8; 32], content: Vec<u8>) -> Self {
        let opening = Opening { salt, content };
        Self::Private { commitment: opening.commitment(), opening: Some(opening) }
    }

    /// The content; nothing if it is not known here any more.
    pub fn content(&self) -> Option<&[u8]> {
        match self {
            Self::Public(content) => Some(content),
            Self::Private { opening, .. } => opening.as_ref().map(|opening| opening.content.as_slice()),
        }
    }

    /// Whether the opening, if there is one, opens the commitment.
    pub fn is_sound(&self) -> bool {
        match self {
            Self::Private { commitment, opening: Some(opening) } => opening.commitment() == *commitment,
            Self::Public(_) | Self::Private { opening: None, .. } => true,
        }
    }

    fn field(&self) -> (&[u8], &[u8]) {
        match self {
            Self::Public(content) => (PUBLIC, content),
            Self::Private { commitment, .. } => (PRIVATE, &commitment.0),
        }
    }
}

/// A recorded fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Position in the whole journal, from 1. The fact's leaf in the log has the index `seq - 1`.
    pub seq: u64,
    /// Which aggregate, for example `escrow/0197…`.
    pub stream: String,
    /// Position in the stream, from 1.
    pub version: u64,
    /// What kind of fact, for example `escrow.task_created`.
    pub kind: String,
    /// Its body.
    pub body: Body,
    /// The digest of the authority behind it ([`authority_digest`]).
    pub authority: Digest32,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// The height of the best block that the node knew when it was decided.
    pub height: BlockHeight,
    /// The chain hash of the fact before it.
    pub prev: Digest32,
    /// This fact's chain hash: [`Fact::link`].
    pub hash: Digest32,
}

impl Fact {
    /// The bytes that are chained and logged: the framed fields, numbers little-endian, a private body as its
    /// commitment.
    pub fn entry(&self) -> Vec<u8> {
        let (kind_of_body, body) = self.body.field();
        canonical::frame(
            FACT_TAG,
            &[
                &self.prev.0,
                &self.seq.to_le_bytes(),
                self.stream.as_bytes(),
                &self.version.to_le_bytes(),
                self.kind.as_bytes(),
                kind_of_body,
                body,
                &self.authority.0,
                &self.recorded_at.as_millis().to_le_bytes(),
                &self.height.0.to_le_bytes(),
            ],
        )
    }

    /// The chain hash: SHA-256 of the [entry](Fact::entry).
    pub fn link(&self) -> Digest32 {
        canonical::sha256(&self.entry())
    }

    /// Reads an entry. A private body comes without its opening.
    ///
    /// # Errors
    /// [`EntryError`] on bytes that no fact has, or that are more than [`ENTRY_BYTES_MAX`].
    pub fn from_entry(entry: &[u8]) -> Result<Self, EntryError> {
        if entry.len() > ENTRY_BYTES_MAX {
            return Err(EntryError);
        }
        let fields = canonical::unframe::<10>(FACT_TAG, entry).ok_or(EntryError)?;
        let [prev, seq, stream, version, kind, kind_of_body, body, authority, recorded_at, height] = fields;
        let body = match kind_of_body {
            PUBLIC => Body::Public(body.to_vec()),
            PRIVATE => Body::Private { commitment: digest(body)?, opening: None },
            _ => return Err(EntryError),
        };
        Ok(Self {
            seq: number(seq)?,
            stream: text(stream)?,
            version: number(version)?,
            kind: text(kind)?,
            body,
            authority: digest(authority)?,
            recorded_at: Timestamp::from_millis(number(recorded_at)?),
            height: BlockHeight(u32::from_le_bytes(height.try_into().map_err(|_| EntryError)?)),
            prev: digest(prev)?,
            hash: canonical::sha256(entry),
        })
    }
}

/// Bytes that are not the entry of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these bytes are not the entry of a fact")]
pub struct EntryError;

fn digest(bytes: &[u8]) -> Result<Digest32, EntryError> {
    bytes.try_into().map(Digest32).map_err(|_| EntryError)
}

fn number(bytes: &[u8]) -> Result<u64, EntryError> {
    bytes.try_into().map(u64::from_le_bytes).map_err(|_| EntryError)
}

fn text(bytes: &[u8]) -> Result<String, EntryError> {
    String::from_utf8(bytes.to_vec()).map_err(|_| EntryError)
}

/// The digest under which an authority is stored, once, for all facts that it caused. It tells nothing of a private
/// request: the request's signature is in it, which nobody else can guess.
pub fn authority_digest(authority: &Authority) -> Digest32 {
    canonical::digest(AUTHORITY_TAG, &[&canonical::encode(authority)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(body: Body) -> Fact {
        let mut fact = Fact {
            seq: 7,
            stream: "escrow/1".into(),
            version: 2,
            kind: "escrow.task_accepted".into(),
            body,
            authority: Digest32([3; 32]),
            recorded_at: Timestamp::from_millis(1_800_000_000_123),
            height: BlockHeight(800_000),
            prev: Digest32([9; 32]),
            hash: CHAIN_START,
        };
        fact.hash = fact.link();
        fact
    }

    #[test]
    fn an_entry_comes_back_without_what_is_private() {
        let public = fact(Body::Public(b"words".to_vec()));
        assert_eq!(Fact::from_entry(&public.entry()), Ok(public));
        let private = fact(Body::private([5; 32], b"words".to_vec()));
        let read = Fact::from_entry(&private.entry()).unwrap();
        assert_eq!((read.body.content(), read.hash), (None, private.hash));
        assert!(!private.entry().windows(5).any(|window| window == b"words"));
        assert_eq!(private.body.content(), Some(b"words".as_slice()));
    }

    #[test]
    fn erasing_changes_no_hash_and_forging_an_opening_is_seen() {
        let whole = fact(Body::private([5; 32], b"words".to_vec()));
        let Body::Private { commitment, opening: Some(opening) } = whole.body.clone() else { panic!("private") };
        let mut erased = whole.clone();
        erased.body = Body::Private { commitment, opening: None };
        assert_eq!(erased.entry(), whole.entry());
        assert!(erased.body.is_sound() && whole.body.is_sound());
        for forged in [Opening { salt: [6; 32], ..opening.clone() }, Opening { content: b"wordz".to_vec(), ..opening }]
        {
            assert!(!Body::Private { commitment, opening: Some(forged) }.is_sound());
        }
    }

    #[test]
    fn a_commitment_cannot_pass_for_a_public_body() {
        let private = fact(Body::private([5; 32], b"words".to_vec()));
        let Body::Private { commitment, .. } = private.body else { panic!("private") };
        assert_ne!(private.hash, fact(Body::Public(commitment.0.to_vec())).hash);
    }

    #[test]
    fn other_bytes_are_no_entry() {
        let entry = fact(Body::Public(b"words".to_vec())).entry();
        for end in 0..entry.len() {
            assert_eq!(Fact::from_entry(&entry[..end]), Err(EntryError), "{end}");
        }
        assert_eq!(Fact::from_entry(&[entry.as_slice(), &[0]].concat()), Err(EntryError));
        let another = canonical::frame("tallystick/fact/v2", &[b"".as_slice(); 10]);
        assert_eq!(Fact::from_entry(&another), Err(EntryError));
        assert_eq!(Fact::from_entry(&vec![0; ENTRY_BYTES_MAX + 1]), Err(EntryError));
    }

    /// Whatever bit is turned: another fact, or none.
    #[test]
    fn every_bit_of_an_entry_counts() {
        let fact = fact(Body::Public(b"words".to_vec()));
        let entry = fact.entry();
        for bit in 0..entry.len() * 8 {
            let mut turned = entry.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(Fact::from_entry(&turned), Ok(fact.clone()), "bit {bit}");
            if let Ok(read) = Fact::from_entry(&turned) {
                assert_eq!(read.entry(), turned, "one spelling");
            }
        }
    }

    #[test]
    fn the_largest_public_body_fits_into_a_tile() {
        let mut largest = fact(Body::Public(vec![1; PUBLIC_BODY_BYTES_MAX]));
        (largest.stream, largest.kind) = ("s".repeat(255), "k".repeat(255));
        assert!(largest.entry().len() <= ENTRY_BYTES_MAX);
    }

    #[test]
    fn openings_do_not_print() {
        let opening = Opening { salt: [0x2a; 32], content: b"a secret".to_vec() };
        assert_eq!(format!("{opening:?}"), "Opening(8 bytes)");
    }

    /// Computed apart from this code.
    #[test]
    fn golden_bytes() {
        let public = fact(Body::Public(b"words".to_vec()));
        let private = fact(Body::private([5; 32], b"words".to_vec()));
        assert_eq!(public.hash.to_string(), "86025febc553a5310ce35e2396aa7b52f0d3442a783860c0cefc555aa0d6d921");
        assert_eq!(private.hash.to_string(), "98a4e0c28356a217683f14de9abdc19887c51d9062d07f7b2756ef0b7ec5ba67");
    }
}
