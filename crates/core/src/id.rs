//! Typed identifiers: UUIDv7 (RFC 9562), minted outside the rules.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::{cmp::Ordering, fmt, hash::Hash, hash::Hasher, marker::PhantomData, str::FromStr};
use uuid::{Uuid, Variant};

/// Text or bytes that are no UUID of version 7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a UUID of version 7 (RFC 9562)")]
pub struct IdError;

/// An identifier of a `T`. It sorts by the time at which it was minted.
#[derive(Serialize, Deserialize)]
#[serde(try_from = "Uuid", into = "Uuid", bound = "")]
pub struct Id<T> {
    uuid: Uuid,
    of: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// Takes a UUID.
    ///
    /// # Errors
    /// [`IdError`] for any version but 7, and for any variant but that of RFC 9562: there the version means nothing.
    pub fn try_new(uuid: Uuid) -> Result<Self, IdError> {
        let is_v7 = uuid.get_variant() == Variant::RFC4122 && uuid.get_version_num() == 7;
        if is_v7 { Ok(Self { uuid, of: PhantomData }) } else { Err(IdError) }
    }

    /// An identifier from a time in Unix milliseconds and ten bytes of randomness, both passed in.
    pub fn from_parts(unix_millis: u64, random: [u8; 10]) -> Self {
        Self { uuid: uuid::Builder::from_unix_timestamp_millis(unix_millis, &random).into_uuid(), of: PhantomData }
    }

    /// The same id of another view of the same thing.
    pub fn same<U>(self) -> Id<U> {
        Id { uuid: self.uuid, of: PhantomData }
    }

    /// The UUID's 16 bytes, big-endian.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.uuid.as_bytes()
    }
}

impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uuid.cmp(&other.uuid)
    }
}
impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}
impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uuid.fmt(f)
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uuid.fmt(f)
    }
}
impl<T> FromStr for Id<T> {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        Self::try_new(Uuid::try_parse(text).map_err(|_| IdError)?)
    }
}
impl<T> TryFrom<Uuid> for Id<T> {
    type Error = IdError;
    fn try_from(uuid: Uuid) -> Result<Self, IdError> {
        Self::try_new(uuid)
    }
}
impl<T> From<Id<T>> for Uuid {
    fn from(id: Id<T>) -> Self {
        id.uuid
    }
}
impl<T> BorshSerialize for Id<T> {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(self.as_bytes())
    }
}
impl<T> BorshDeserialize for Id<T> {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        let bytes = <[u8; 16]>::deserialize_reader(reader)?;
        Self::try_new(Uuid::from_bytes(bytes)).map_err(std::io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Thing;

    #[test]
    fn sorts_by_time_and_reads_back() {
        let early = Id::<Thing>::from_parts(1_000, [0xff; 10]);
        let late = Id::<Thing>::from_parts(1_001, [0; 10]);
        assert!(early < late);
        assert_eq!(early.to_string().parse(), Ok(early));
        assert_eq!(borsh::from_slice::<Id<Thing>>(&borsh::to_vec(&late).unwrap()).unwrap(), late);
    }

    #[test]
    fn other_versions_are_refused() {
        assert_eq!("00000000-0000-4000-8000-000000000000".parse::<Id<Thing>>(), Err(IdError));
        assert_eq!("nonsense".parse::<Id<Thing>>(), Err(IdError));
        assert!(borsh::from_slice::<Id<Thing>>(&[0; 16]).is_err());
    }

    #[test]
    fn other_variants_are_refused() {
        let id = |variant: char| format!("018cc251-f400-7000-{variant}000-000000000000").parse::<Id<Thing>>();
        for variant in "0123456789abcdef".chars() {
            assert_eq!(id(variant).is_ok(), "89ab".contains(variant), "{variant}");
        }
    }
}
