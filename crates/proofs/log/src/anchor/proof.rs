//! The proof that a checkpoint is in a block.

use super::{AnchorError, AnchorTx, CONFIRMATIONS_MIN, Headers, MerklePath, PATH_HASHES_MAX, TX_BYTES_MAX, commitment};
use crate::{HASH_BYTES, Hash};
use alloc::vec::Vec;
use bitcoin::{BlockHash, OutPoint, Txid, hashes::Hash as _};

const MAGIC: &[u8; 13] = b"tally-anchor\x01";
/// Most bytes of a proof.
pub const PROOF_BYTES_MAX: usize = MAGIC.len() + 4 + 2 + TX_BYTES_MAX + 4 + 1 + PATH_HASHES_MAX * HASH_BYTES;

/// A transaction, the block that it is in, and the way to that block's header.
///
/// Its bytes: `tally-anchor` and 1; the block's height (4); the transaction's length (2) and bytes without witnesses;
/// its index in the block (4); the number of siblings (1) and these. Numbers are little-endian.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorProof {
    tx: AnchorTx,
    height: u32,
    path: MerklePath,
}

/// What a verified anchor shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchored {
    /// The anchor's transaction.
    pub txid: Txid,
    /// The outpoint that it spends.
    pub seal: OutPoint,
    /// The outpoint that the next one must spend.
    pub next_seal: OutPoint,
    /// Its block.
    pub block: BlockHash,
    /// Its block's height.
    pub height: u32,
    /// The time in its block's header, seconds since 1970: true to about two hours.
    pub time: u32,
    /// Headers from its block to the last one, both counted.
    pub confirmations: u32,
}

impl AnchorProof {
    /// Puts a proof together. Nothing is verified by that.
    #[must_use]
    pub const fn new(tx: AnchorTx, height: u32, path: MerklePath) -> Self {
        Self { tx, height, path }
    }

    /// Reads a proof, at most [`PROOF_BYTES_MAX`] bytes. What is read writes the same bytes.
    ///
    /// # Errors
    /// [`AnchorError::BadProof`], [`AnchorError::TooLarge`], and those of its parts.
    pub fn parse(bytes: &[u8]) -> Result<Self, AnchorError> {
        if bytes.len() > PROOF_BYTES_MAX {
            return Err(AnchorError::TooLarge { max: PROOF_BYTES_MAX });
        }
        let mut rest = bytes.strip_prefix(MAGIC).ok_or(AnchorError::BadProof)?;
        let height = u32::from_le_bytes(take(&mut rest)?);
        let length = usize::from(u16::from_le_bytes(take(&mut rest)?));
        let (tx, after) = rest.split_at_checked(length).ok_or(AnchorError::BadProof)?;
        rest = after;
        let tx = AnchorTx::parse(tx)?;
        let index = u32::from_le_bytes(take(&mut rest)?);
        let [count] = take::<1>(&mut rest)?;
        if rest.len() != usize::from(count) * HASH_BYTES {
            return Err(AnchorError::BadProof);
        }
        let siblings = rest.chunks_exact(HASH_BYTES).filter_map(|chunk| Hash::try_from(chunk).ok()).collect();
        Ok(Self { tx, height, path: MerklePath::try_new(index, siblings)? })
    }

    /// The proof's bytes.
    ///
    /// # Panics
    /// Never: its parts were checked against their limits when they were made.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let tx = self.tx.to_bytes();
        let length = u16::try_from(tx.len()).expect("an anchor has 4096 bytes at most");
        let count = u8::try_from(self.path.siblings().len()).expect("a path has 24 hashes at most");
        let mut bytes = Vec::with_capacity(PROOF_BYTES_MAX);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.height.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&tx);
        bytes.extend_from_slice(&self.path.index().to_le_bytes());
        bytes.push(count);
        self.path.siblings().iter().for_each(|sibling| bytes.extend_from_slice(sibling));
        bytes
    }

    /// The height that the first of these headers would have if the anchor were under one of them; nothing if it is under
    /// none. For whoever was told another height, and [`Self::verify`] refused.
    #[must_use]
    pub fn would_begin(&self, headers: &Headers) -> Option<u32> {
        let root = self.path.root(self.tx.txid()).ok()?;
        let index = headers.as_slice().iter().position(|header| header.merkle_root.to_byte_array() == root)?;
        self.height.checked_sub(u32::try_from(index).ok()?)
    }

    /// Verifies that a checkpoint's text is anchored under these headers.
    ///
    /// # Errors
    /// [`AnchorError::WrongCommitment`], [`AnchorError::NoHeader`], [`AnchorError::BadPath`],
    /// [`AnchorError::TooFewConfirmations`] below [`CONFIRMATIONS_MIN`].
    pub fn verify(&self, text: &[u8], headers: &Headers) -> Result<Anchored, AnchorError> {
        if *self.tx.commitment() != commitment(text) {
            return Err(AnchorError::WrongCommitment);
        }
        let (header, confirmations) = headers.at(self.height)?;
        let txid = self.tx.txid();
        if self.path.root(txid)? != header.merkle_root.to_byte_array() {
            return Err(AnchorError::BadPath);
        }
        if confirmations < CONFIRMATIONS_MIN {
            return Err(AnchorError::TooFewConfirmations { have: confirmations, need: CONFIRMATIONS_MIN });
        }
        Ok(Anchored {
            txid,
            seal: self.tx.seal(),
            next_seal: self.tx.next_seal(),
            block: header.block_hash(),
            height: self.height,
            time: header.time,
            confirmations,
        })
    }

    /// The transaction.
    #[must_use]
    pub const fn tx(&self) -> &AnchorTx {
        &self.tx
    }

    /// The height of its block.
    #[must_use]
    pub const fn height(&self) -> u32 {
        self.height
    }

    /// The way up to its block's root.
    #[must_use]
    pub const fn path(&self) -> &MerklePath {
        &self.path
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], AnchorError> {
    let (taken, after) = rest.split_first_chunk::<N>().ok_or(AnchorError::BadProof)?;
    *rest = after;
    Ok(*taken)
}
