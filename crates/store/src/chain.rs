//! The chain, whatever holds it: its end, and whether one fact follows another.

pub(crate) use tallystick_app::port::journal::Head;
use tallystick_app::port::journal::StoreError;
use tallystick_core::fact::authority_digest;
use tallystick_core::{Authority, Body, Digest32, Fact, NostrKey, canonical};

use crate::error::Result;

impl Kept {
    /// The authority, if it is still there.
    pub(crate) fn whole(self) -> Option<Authority> {
        match self {
            Self::Whole(authority) => Some(authority),
            Self::Erased => None,
        }
    }
}

/// The head that the last fact makes, checked: the fact's own hash, and that it is the one that was written last.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(crate) fn checked(last: Option<Fact>, written: Head) -> Result<Head> {
    let head = match last {
        Some(last) if last.link() != last.hash => return Err(bad(last.seq, "does not match its hash")),
        Some(last) if !last.body.is_sound() => return Err(bad(last.seq, OPENS_NOTHING)),
        Some(last) => Head { seq: last.seq, hash: last.hash },
        None => Head::START,
    };
    check_end(head, written)?;
    Ok(head)
}

/// Checks that the chain ends where it was written last.
///
/// # Errors
/// [`StoreError::Corrupt`].
pub(crate) fn check_end(end: Head, written: Head) -> Result<()> {
    if end == written {
        return Ok(());
    }
    Err(StoreError::Corrupt(format!(
        "the chain ends with fact {} ({}), but written last was fact {} ({})",
        end.seq, end.hash, written.seq, written.hash
    )))
}

/// The head after `fact`, which must follow this one.
///
/// # Errors
/// [`StoreError::Corrupt`], naming the fact.
pub(crate) fn link(head: Head, fact: &Fact) -> Result<Head> {
    if fact.seq != head.seq + 1 {
        return Err(bad(head.seq + 1, "is missing"));
    }
    if fact.prev != head.hash {
        return Err(bad(fact.seq, "does not follow the fact before it"));
    }
    if fact.hash != fact.link() {
        return Err(bad(fact.seq, "does not match its hash"));
    }
    if !fact.body.is_sound() {
        return Err(bad(fact.seq, OPENS_NOTHING));
    }
    Ok(Head { seq: fact.seq, hash: fact.hash })
}

/// A key in a row.
pub(crate) fn key(bytes: [u8; 32]) -> Result<NostrKey> {
    NostrKey::try_new(bytes).map_err(|_| StoreError::Corrupt("a key that is none".into()))
}

/// The head is not there at all.
pub(crate) fn no_head() -> StoreError {
    StoreError::Corrupt("the head of the chain is missing".into())
}

/// Where to begin, so that facts after `before` are checked: the head that the fact `before` makes.
pub(crate) fn tail_from(before: u64, found: Option<Fact>) -> Result<Head> {
    match found {
        Some(fact) if fact.seq == before => Ok(Head { seq: fact.seq, hash: fact.hash }),
        _ => Err(bad(before, "is missing")),
    }
}

/// Checks that the version before the fact's own is there, in a fact before it.
pub(crate) fn check_predecessor(fact: &Fact, predecessor: Option<u64>) -> Result<()> {
    if fact.version == 1 || predecessor.is_some_and(|seq| seq < fact.seq) {
        return Ok(());
    }
    Err(bad(fact.seq, "skips a version of its stream"))
}

/// An authority as the table holds it.
pub(crate) enum Kept {
    /// Whole.
    Whole(Authority),
    /// Its bytes were erased.
    Erased,
}

/// Checks the authority that was read for a fact. It may be erased if the fact's body is.
pub(crate) fn check_authority(fact: &Fact, read: Result<Option<Kept>>) -> Result<()> {
    let seq = fact.seq;
    match read {
        Ok(Some(Kept::Whole(authority))) if authority_digest(&authority) == fact.authority => Ok(()),
        Ok(Some(Kept::Whole(_))) => Err(bad(seq, "has an authority that does not match its digest")),
        Ok(Some(Kept::Erased)) if matches!(fact.body, Body::Private { opening: None, .. }) => Ok(()),
        Ok(Some(Kept::Erased)) => Err(bad(seq, "has an authority that was erased without it")),
        Ok(None) => Err(bad(seq, "has no authority")),
        Err(StoreError::Corrupt(_)) => Err(bad(seq, "has an authority that cannot be read")),
        Err(error) => Err(error),
    }
}

/// Decodes an authority, which may be erased.
///
/// # Errors
/// [`StoreError::Corrupt`]. The digest is public, the bytes may hold a user's words: only the first is named.
pub(crate) fn decode_authority(digest: Digest32, bytes: Option<&[u8]>) -> Result<Kept> {
    let Some(bytes) = bytes else { return Ok(Kept::Erased) };
    let decoded = canonical::decode("authority", bytes);
    decoded.map(Kept::Whole).map_err(|error| StoreError::Corrupt(format!("authority {digest}: {error}")))
}

const OPENS_NOTHING: &str = "has a body that does not open its commitment";

fn bad(seq: u64, what: &str) -> StoreError {
    StoreError::Corrupt(format!("fact {seq} {what}"))
}
