//! The log: evidence that anyone can check, without trusting who shows it.
//!
//! | module | what it holds | standard |
//! | --- | --- | --- |
//! | [`hash`] | leaf and node hashes | RFC 6962 §2.1 |
//! | [`tree`] | appending, proofs made and verified | RFC 6962 §2.1, RFC 9162 §2.1 |
//! | [`tile`] | the tree as files, their paths, bundles of entries | C2SP tlog-tiles |
//! | [`note`] | signed texts and their keys | C2SP signed-note, tlog-cosignature |
//! | [`checkpoint`] | what a log says about its tree | C2SP tlog-checkpoint |
//! | [`policy`] | which witnesses count, and how many are needed | |
//! | [`witness`] | the call with which a witness is asked | C2SP tlog-witness |
//! | [`bundle`] | an entry's proof in one text | C2SP tlog-proof |
//! | [`anchor`] | checkpoints that Bitcoin vouches for | OpenTimestamps |
//!
//! [`anchor`] is a feature, on unless it is turned off: it needs a C compiler for the machine, the rest needs none.
//!
//! # Invariants
//! * No std, no IO, no clock, no randomness: all comes in as arguments.
//! * Every input is hostile: it has a limit, and no number up to 2^64 − 1 overflows or panics.
//! * One value has one spelling: what a parser takes, printing gives back byte for byte.
//! * A proof has exactly its right length. Nothing is proved from an empty tree.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(feature = "anchor")]
pub mod anchor;
pub mod bundle;
pub mod checkpoint;
pub mod error;
pub mod hash;
pub mod note;
pub mod policy;
mod text;
pub mod tile;
pub mod tree;
pub mod witness;

pub use bundle::{BUNDLE_BYTES_MAX, EXTRA_BYTES_MAX, ProofBundle, Verified};
pub use checkpoint::{Checkpoint, EXTENSIONS_MAX, SignedCheckpoint};
pub use error::LogError;
pub use hash::{HASH_BYTES, Hash, empty_root, hash_from_slice, leaf_hash, node_hash};
pub use note::{
    KeyKind, KeyName, NAME_BYTES_MAX, NOTE_BYTES_MAX, Note, NoteSignature, SIGNATURES_MAX, SigningKey, VerifierKey,
};
pub use policy::{Cosigned, WITNESSES_MAX, WitnessPolicy};
pub use text::{parse_hashes, print_hashes};
pub use tile::{
    ENTRY_BYTES_MAX, LogPath, TILE_HEIGHT, TILE_LEVELS, TILE_WIDTH, Tile, TileEdge, TileId, encode_entries, new_tiles,
    parse_entries, parse_tile, tiles_in_level,
};
pub use tree::{
    CONSISTENCY_HASHES_MAX, CompactRange, INCLUSION_HASHES_MAX, Node, ProveError, Prover, Subtree, root_from_inclusion,
    root_of_entries, root_of_hashes, verify_consistency, verify_inclusion, verify_subtree_consistency,
    verify_subtree_inclusion,
};
pub use witness::{AddCheckpoint, REQUEST_BYTES_MAX, REQUEST_HASHES_MAX, TreeHead};
