//! The Merkle tree of RFC 6962 §2.1 and RFC 9162 §2.1: hashing, appending, verifying, proving.

mod prove;
mod range;
mod verify;

pub use prove::{ProveError, Prover};
pub use range::{CompactRange, Node, root_of_entries, root_of_hashes};
pub use verify::{
    CONSISTENCY_HASHES_MAX, INCLUSION_HASHES_MAX, Subtree, root_from_inclusion, verify_consistency, verify_inclusion,
    verify_subtree_consistency, verify_subtree_inclusion,
};
