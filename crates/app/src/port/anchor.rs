//! What anchoring needs of Bitcoin: a wallet that pays, and a view of the chain.

use async_trait::async_trait;
use tallystick_core::{BlockHeight, Code, Coded, Sat};
use tallystick_log::{
    Hash,
    anchor::{BlockHash, MerklePath, OutPoint, Txid},
};

/// The output that an anchor must spend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seal {
    /// Output 0 of the anchor before.
    pub outpoint: OutPoint,
    /// What it holds.
    pub value: Sat,
}

/// An anchor to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorOrder {
    /// What it commits to, in output 1.
    pub commitment: Hash,
    /// What input 0 spends. Nothing for the first anchor: the wallet chooses a coin that is six blocks deep, the genesis
    /// outpoint of the chain.
    pub seal: Option<Seal>,
    /// A signed transaction that it is to replace (BIP 125): with the same inputs, and a higher fee.
    pub replaces: Option<Vec<u8>>,
    /// The most that it may pay, in satoshi per vbyte.
    pub fee_rate_max_sat_vb: u64,
}

/// A signed anchor. Nobody knows of it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedAnchor {
    /// The transaction with its witnesses, as consensus encodes it.
    pub tx: Vec<u8>,
    /// What output 0 holds.
    pub seal_value: Sat,
    /// What it pays.
    pub fee: Sat,
}

/// Where a transaction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Nowhere that the node can see.
    Nowhere,
    /// In the mempool.
    Mempool {
        /// Which of those asked for.
        txid: Txid,
    },
    /// In a block of the best chain.
    Block {
        /// Which of those asked for.
        txid: Txid,
        /// The block.
        block: BlockHash,
        /// Its height.
        height: BlockHeight,
        /// The way from the transaction to its header.
        path: MerklePath,
    },
}

/// What became of a broadcast.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// It is in the mempool or in a block.
    There,
    /// What it spends is not there, or spent by another.
    Orphan,
    /// It was not taken, for the reason told.
    Refused(String),
}

/// The wallet and the chain, as anchoring needs them.
#[async_trait]
pub trait AnchorRail: Send + Sync {
    /// Builds and signs an anchor. Output 0 pays to the seal's key, which is used for nothing else. What the seal does
    /// not hold is paid from confirmed coins of the wallet, whose reserve for channels stays.
    ///
    /// # Errors
    /// [`AnchorRailError`]; nothing is spoken for then.
    async fn sign(&self, order: &AnchorOrder) -> Result<SignedAnchor, AnchorRailError>;

    /// Sends a transaction. One that is there already is fine.
    ///
    /// # Errors
    /// [`AnchorRailError::Unavailable`]; whether it went out is unknown then.
    async fn send(&self, tx: &[u8]) -> Result<Sent, AnchorRailError>;

    /// Looks for transactions that spend the same output, of which one block at most can have one, in blocks from
    /// `since` on and in the mempool.
    ///
    /// # Errors
    /// [`AnchorRailError::Unavailable`].
    async fn find(&self, txids: &[Txid], since: BlockHeight) -> Result<Place, AnchorRailError>;

    /// The block of the best chain at a height; nothing above its tip.
    ///
    /// # Errors
    /// [`AnchorRailError::Unavailable`].
    async fn block_at(&self, height: BlockHeight) -> Result<Option<BlockHash>, AnchorRailError>;

    /// The height of the best chain's tip.
    ///
    /// # Errors
    /// [`AnchorRailError::Unavailable`].
    async fn tip(&self) -> Result<BlockHeight, AnchorRailError>;
}

/// Why an anchor was not signed or sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorRailError {
    /// Not now: try again later.
    #[error("anchoring cannot go on now: {0}")]
    Unavailable(String),
    /// The wallet has too little besides its reserve.
    #[error("the on-chain wallet has too little for an anchor: {0}")]
    Poor(String),
    /// It would cost more than the configuration allows.
    #[error("an anchor would take {needed} sat/vB, and {limit} are allowed")]
    TooDear {
        /// What it would take, in satoshi per vbyte.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// The order makes no sense; asking again will not help.
    #[error("this anchor cannot be built: {0}")]
    Refused(String),
}

impl Coded for AnchorRailError {
    fn code(&self) -> Code {
        match self {
            Self::Unavailable(_) => Code("anchor.unavailable"),
            Self::Poor(_) => Code("anchor.poor"),
            Self::TooDear { .. } => Code("anchor.too_dear"),
            Self::Refused(_) => Code("anchor.refused"),
        }
    }
}
