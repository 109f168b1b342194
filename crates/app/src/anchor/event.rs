//! The facts of the stream `anchor`. All of them are public.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_core::{Fact, canonical};

use crate::port::journal::StoreError;

/// The stream.
pub const STREAM: &str = "anchor";

/// A version of an anchor, before it is broadcast.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Made {
    /// Which anchor, from 1.
    pub number: u64,
    /// The checkpoint's text that it commits to.
    pub checkpoint: String,
    /// The signed transaction, as consensus encodes it.
    pub tx: Vec<u8>,
    /// What its output 0 holds, in satoshi.
    pub seal_sat: u64,
    /// What it pays, in satoshi.
    pub fee_sat: u64,
}

/// An anchor is six blocks deep.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Confirmed {
    /// Which anchor.
    pub number: u64,
    /// Which of its versions, in the order of its hash's bytes.
    pub txid: [u8; 32],
    /// Its block's height.
    pub height: u32,
    /// Its block.
    pub block: [u8; 32],
    /// Where it stands in its block.
    pub index: u32,
    /// The siblings on the way to the block's Merkle root, from below.
    pub siblings: Vec<[u8; 32]>,
}

/// A confirmed anchor's block is no longer in the best chain.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Dropped {
    /// Which anchor.
    pub number: u64,
    /// The block that is gone.
    pub block: [u8; 32],
    /// Its height.
    pub height: u32,
}

/// One fact.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum AnchorEvent {
    /// The first version of an anchor.
    Made(Made),
    /// A version that takes the place of the one before.
    Replaced(Made),
    /// It counts.
    Confirmed(Confirmed),
    /// It does not count any more.
    Dropped(Dropped),
}

impl AnchorEvent {
    /// The kind of its fact.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Made(_) => "anchor.made",
            Self::Replaced(_) => "anchor.replaced",
            Self::Confirmed(_) => "anchor.confirmed",
            Self::Dropped(_) => "anchor.dropped",
        }
    }

    /// The canonical bytes of its fact.
    pub fn body(&self) -> Vec<u8> {
        match self {
            Self::Made(made) | Self::Replaced(made) => canonical::encode(made),
            Self::Confirmed(confirmed) => canonical::encode(confirmed),
            Self::Dropped(dropped) => canonical::encode(dropped),
        }
    }

    /// What a fact of the stream says.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`].
    pub fn of(fact: &Fact) -> Result<Self, StoreError> {
        let damaged = || StoreError::Corrupt(format!("fact {} is no anchor's", fact.seq));
        let content = fact.body.content().filter(|_| fact.stream == STREAM).ok_or_else(damaged)?;
        let read = match fact.kind.as_str() {
            "anchor.made" => canonical::decode("anchor", content).map(Self::Made),
            "anchor.replaced" => canonical::decode("anchor", content).map(Self::Replaced),
            "anchor.confirmed" => canonical::decode("anchor's block", content).map(Self::Confirmed),
            "anchor.dropped" => canonical::decode("anchor's loss", content).map(Self::Dropped),
            _ => return Err(damaged()),
        };
        read.map_err(|_| damaged())
    }
}
