//! Nostr keys (NIP-01): x-only public keys on secp256k1 with BIP-340 signatures.

use borsh::{BorshDeserialize, BorshSerialize};
use secp256k1::{Message, SECP256K1, XOnlyPublicKey, schnorr};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

use crate::hash::Digest32;

/// Why a key or a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not 64 hexadecimal digits that name a point on the curve.
    #[error("expected the 64 hexadecimal digits of an x-only public key")]
    Malformed,
    /// The signature does not belong to this key and message.
    #[error("the signature does not match")]
    BadSignature,
}

/// A user's or a node's public key: 32 bytes, always a point on the curve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NostrKey(XOnlyPublicKey);

impl NostrKey {
    /// Takes the key's 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] if no point has this x coordinate.
    pub fn try_new(bytes: [u8; 32]) -> Result<Self, KeyError> {
        XOnlyPublicKey::from_slice(&bytes).map(Self).map_err(|_| KeyError::Malformed)
    }

    /// The key's 32 bytes.
    pub fn to_bytes(self) -> [u8; 32] {
        self.0.serialize()
    }

    /// Checks a BIP-340 signature over a digest.
    ///
    /// # Errors
    /// [`KeyError::BadSignature`] if it does not match.
    pub fn verify(self, digest: &Digest32, signature: &Signature) -> Result<(), KeyError> {
        let signature = schnorr::Signature::from_slice(&signature.0).map_err(|_| KeyError::BadSignature)?;
        SECP256K1
            .verify_schnorr(&signature, &Message::from_digest(digest.0), &self.0)
            .map_err(|_| KeyError::BadSignature)
    }
}

impl From<XOnlyPublicKey> for NostrKey {
    fn from(key: XOnlyPublicKey) -> Self {
        Self(key)
    }
}

impl fmt::Display for NostrKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for NostrKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NostrKey({self})")
    }
}

impl FromStr for NostrKey {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digest: Digest32 = text.parse().map_err(|_| KeyError::Malformed)?;
        Self::try_new(digest.0)
    }
}

impl TryFrom<String> for NostrKey {
    type Error = KeyError;
    fn try_from(text: String) -> Result<Self, KeyError> {
        text.parse()
    }
}

impl From<NostrKey> for String {
    fn from(key: NostrKey) -> Self {
        key.to_string()
    }
}

impl BorshSerialize for NostrKey {
    fn serialize<W: std::io::Write>(&self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(&self.to_bytes())
    }
}

impl BorshDeserialize for NostrKey {
    fn deserialize_reader<R: std::io::Read>(reader: &mut R) -> std::io::Result<Self> {
        Self::try_new(<[u8; 32]>::deserialize_reader(reader)?).map_err(std::io::Error::other)
    }
}

/// A BIP-340 signature: 64 bytes, checked only by [`NostrKey::verify`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, BorshSerialize, BorshDeserialize)]
pub struct Signature(pub [u8; 64]);

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", hex::encode(self.0))
    }
}
