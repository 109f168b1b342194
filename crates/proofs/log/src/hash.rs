//! Leaf and node hashes (RFC 6962 §2.1, RFC 9162 §2.1.1) with SHA-256.

use crate::LogError;
use sha2::{Digest, Sha256};

/// A SHA-256 hash: of a leaf, a node or a root.
pub type Hash = [u8; 32];

/// Bytes of a hash.
pub const HASH_BYTES: usize = 32;

/// The hash of a leaf: SHA-256 of `0x00` and the entry.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(entry);
    hasher.finalize().into()
}

/// The hash of an inner node: SHA-256 of `0x01` and both children.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([1]);
    hasher.update(left);
    hasher.update(right);
    hasher.finalize().into()
}

/// The root of a tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    Sha256::digest([]).into()
}

/// Takes foreign bytes for a hash.
///
/// # Errors
/// [`LogError::BadHash`] unless there are exactly 32 bytes.
pub fn hash_from_slice(bytes: &[u8]) -> Result<Hash, LogError> {
    Hash::try_from(bytes).map_err(|_| LogError::BadHash)
}
