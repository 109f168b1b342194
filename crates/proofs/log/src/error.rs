//! What can be wrong with a proof, a tile, a note or a bundle.

use thiserror::Error;

/// Why something was refused. Each kind has a stable [`code`](Self::code).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LogError {
    /// A hash is not 32 bytes, or not canonical base64.
    #[error("a hash is not 32 bytes in base64")]
    BadHash,
    /// A number is not plain decimal, has a leading zero, or does not fit 64 bits.
    #[error("a number is not plain decimal of 64 bits")]
    BadNumber,
    /// A leaf's index is not below the tree's size.
    #[error("index {index} is not in a tree of {size} leaves")]
    IndexOutOfRange {
        /// Zero-based index of the leaf.
        index: u64,
        /// Leaves in the tree.
        size: u64,
    },
    /// The older tree is larger than the newer, or is empty where that proves nothing.
    #[error("no consistency can be shown from size {old} to size {new}")]
    SizesOutOfOrder {
        /// Leaves in the older tree.
        old: u64,
        /// Leaves in the newer tree.
        new: u64,
    },
    /// `[start, end)` is no subtree of the tree.
    #[error("{start} to {end} is no subtree")]
    BadSubtree {
        /// First leaf.
        start: u64,
        /// The leaf after the last.
        end: u64,
    },
    /// A proof has too few or too many hashes.
    #[error("the proof has too few or too many hashes")]
    ProofLength,
    /// The hashes do not lead to the root.
    #[error("the proof does not lead to the root")]
    RootMismatch,
    /// The tree would have more leaves than 64 bits can count.
    #[error("the tree is full")]
    TreeFull,
    /// Parts that do not make a tree: the wrong number of peaks or hashes at its right edge.
    #[error("the parts do not make a tree of this size")]
    BadRange,
    /// A path is not one of `tlog-tiles`.
    #[error("the path is not that of a tile")]
    BadTilePath,
    /// A tile has the wrong length, or a width, level or index that no tile has.
    #[error("the tile has a wrong length or place")]
    BadTile,
    /// A bundle of entries is cut off, too long, or has the wrong number of entries.
    #[error("the bundle of entries is malformed")]
    BadEntries,
    /// An entry is longer than its length field of 16 bits can tell.
    #[error("an entry is longer than 65535 bytes")]
    EntryTooLong,
    /// The text is not a signed note.
    #[error("the text is not a signed note")]
    BadNote,
    /// A verifier key is malformed, its id wrong, its kind unknown or unfit, or its point weak.
    #[error("the verifier key is malformed or of the wrong kind")]
    BadKey,
    /// A signature that names a known key does not verify.
    #[error("a signature by a known key is wrong")]
    BadSignature,
    /// The note has no signature by the key.
    #[error("the note is not signed by this key")]
    NotSigned,
    /// The note's text is not a checkpoint.
    #[error("the text is not a checkpoint")]
    BadCheckpoint,
    /// The checkpoint is of another log.
    #[error("the checkpoint is of another log")]
    WrongOrigin,
    /// A cosignature's time is above 2^63 − 1.
    #[error("the time of a cosignature is out of range")]
    BadTime,
    /// The policy asks for more witnesses than it names, or names one twice.
    #[error("the witness policy cannot be met or names a witness twice")]
    BadPolicy,
    /// Fewer witnesses cosigned than the policy asks for.
    #[error("{have} witnesses cosigned, {need} are needed")]
    TooFewWitnesses {
        /// Witnesses whose cosignature is there and right.
        have: usize,
        /// Witnesses that the policy asks for.
        need: usize,
    },
    /// The body is not an `add-checkpoint` request, or not its answer.
    #[error("the text is not an add-checkpoint request or its answer")]
    BadRequest,
    /// The request starts from another size than the witness last cosigned.
    #[error("the request starts from {old}, the last cosigned size is {known}")]
    OldSize {
        /// Size that the request starts from.
        old: u64,
        /// Size that the witness knows.
        known: u64,
    },
    /// The log signed two trees of one size: that proves two histories.
    #[error("the log signed two different trees of {size} leaves")]
    TwoTrees {
        /// Leaves in both.
        size: u64,
    },
    /// The text is not a `tlog-proof` bundle.
    #[error("the text is not a proof bundle")]
    BadBundle,
    /// The input is longer than its limit.
    #[error("the input is longer than {max} bytes")]
    TooLarge {
        /// Most bytes that are read.
        max: usize,
    },
}

impl LogError {
    /// The stable code; `docs/errors.md` tells what each means.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BadHash => "log.bad_hash",
            Self::BadNumber => "log.bad_number",
            Self::IndexOutOfRange { .. } => "log.index_out_of_range",
            Self::SizesOutOfOrder { .. } => "log.sizes_out_of_order",
            Self::BadSubtree { .. } => "log.bad_subtree",
            Self::ProofLength => "log.proof_length",
            Self::RootMismatch => "log.root_mismatch",
            Self::TreeFull => "log.tree_full",
            Self::BadRange => "log.bad_range",
            Self::BadTilePath => "log.bad_tile_path",
            Self::BadTile => "log.bad_tile",
            Self::BadEntries => "log.bad_entries",
            Self::EntryTooLong => "log.entry_too_long",
            Self::BadNote => "log.bad_note",
            Self::BadKey => "log.bad_key",
            Self::BadSignature => "log.bad_signature",
            Self::NotSigned => "log.not_signed",
            Self::BadCheckpoint => "log.bad_checkpoint",
            Self::WrongOrigin => "log.wrong_origin",
            Self::BadTime => "log.bad_time",
            Self::BadPolicy => "log.bad_policy",
            Self::TooFewWitnesses { .. } => "log.too_few_witnesses",
            Self::BadRequest => "log.bad_request",
            Self::OldSize { .. } => "log.old_size",
            Self::TwoTrees { .. } => "log.two_trees",
            Self::BadBundle => "log.bad_bundle",
            Self::TooLarge { .. } => "log.too_large",
        }
    }
}
