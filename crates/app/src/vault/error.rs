//! What can go wrong with evidence.

use tallystick_civics::dispute::Rejection;
use tallystick_core::{Code, Coded, Digest32, NostrKey};

use crate::{error::AppError, port::journal::StoreError};

/// Why the vault did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The rules of disputes refuse it.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The road, or the store.
    #[error(transparent)]
    App(#[from] AppError),
    /// There is no such dispute.
    #[error("there is no such dispute, or what its task held was erased")]
    NoDispute,
    /// There is no such piece, or it is none of the author's.
    #[error("evidence {hash} is not kept here, or is not yours: upload it first")]
    NoPiece {
        /// The piece.
        hash: Digest32,
    },
    /// Its keys were damaged.
    #[error(
        "the keys of evidence {hash} are not those that were given any more: give all of them anew, your own among them; with `tally`, by adding the same file again"
    )]
    DamagedKeys {
        /// The piece.
        hash: Digest32,
    },
    /// Neither a party nor seated.
    #[error("{reader} is neither a party of the dispute nor seated on its panel: only they read its evidence")]
    NotReader {
        /// Who.
        reader: NostrKey,
    },
    /// The bytes are not those that were announced.
    #[error("the bytes are those of {found}, not of {hash}")]
    OtherBytes {
        /// What was announced.
        hash: Digest32,
        /// What they are.
        found: Digest32,
    },
    /// It has another length than was said.
    #[error("evidence {hash} has {kept} bytes, not {bytes}")]
    OtherLength {
        /// The piece.
        hash: Digest32,
        /// What was said.
        bytes: u64,
        /// What is kept.
        kept: u64,
    },
    /// The dispute goes on.
    #[error("evidence is erased once its dispute is over")]
    Running,
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        Self::App(error.into())
    }
}

impl Coded for VaultError {
    fn code(&self) -> Code {
        Code(match self {
            Self::Rejected(rejection) => return rejection.code(),
            Self::App(error) => return error.code(),
            Self::NoDispute => "evidence.no_dispute",
            Self::NoPiece { .. } => "evidence.no_piece",
            Self::DamagedKeys { .. } => "evidence.damaged_keys",
            Self::NotReader { .. } => "evidence.not_reader",
            Self::OtherBytes { .. } => "evidence.other_bytes",
            Self::OtherLength { .. } => "evidence.other_length",
            Self::Running => "evidence.running",
        })
    }
}
