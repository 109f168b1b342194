//! The shape of an anchor: a transaction that spends the seal and commits to a checkpoint.

use super::AnchorError;
use crate::Hash;
use alloc::vec::Vec;
use bitcoin::{OutPoint, Script, ScriptBuf, Transaction, Txid, Witness, consensus::encode, opcodes::all::OP_RETURN};
use sha2::{Digest, Sha256};

/// Most bytes of an anchor without its witnesses: OpenTimestamps takes no longer message.
pub const TX_BYTES_MAX: usize = 4_096;
/// Where the seal of the next anchor is.
const SEAL_OUTPUT: u32 = 0;
/// Where the commitment is.
const COMMITMENT_OUTPUT: usize = 1;
/// `OP_RETURN` and a push of 32 bytes.
const COMMITMENT_START: [u8; 2] = [0x6a, 0x20];

/// What an anchor commits to: SHA-256 of the checkpoint's text, as it is signed.
#[must_use]
pub fn commitment(text: &[u8]) -> Hash {
    Sha256::digest(text).into()
}

/// The script of output 1.
#[must_use]
pub fn commitment_script(commitment: &Hash) -> ScriptBuf {
    ScriptBuf::from_bytes([COMMITMENT_START.as_slice(), commitment].concat())
}

/// A transaction with the shape of an anchor, without its witnesses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorTx {
    tx: Transaction,
    commitment: Hash,
}

impl AnchorTx {
    /// Reads a transaction without witnesses (its id is the hash of these bytes), at most [`TX_BYTES_MAX`].
    ///
    /// # Errors
    /// [`AnchorError::TooLarge`], [`AnchorError::BadTransaction`].
    pub fn parse(bytes: &[u8]) -> Result<Self, AnchorError> {
        if bytes.len() > TX_BYTES_MAX {
            return Err(AnchorError::TooLarge { max: TX_BYTES_MAX });
        }
        let tx: Transaction = encode::deserialize(bytes).map_err(|_| AnchorError::BadTransaction)?;
        let anchor = Self::try_new(tx)?;
        // With witnesses it would have another spelling.
        if anchor.to_bytes() == bytes { Ok(anchor) } else { Err(AnchorError::BadTransaction) }
    }

    /// Takes a transaction, and leaves its witnesses away.
    ///
    /// # Errors
    /// [`AnchorError::BadTransaction`], [`AnchorError::TooLarge`].
    pub fn try_new(mut tx: Transaction) -> Result<Self, AnchorError> {
        tx.input.iter_mut().for_each(|input| input.witness = Witness::new());
        let commits = |script: &Script| script.as_bytes().first() == Some(&OP_RETURN.to_u8());
        let alone = tx.output.iter().filter(|output| commits(&output.script_pubkey)).count() == 1;
        let output = tx.output.get(COMMITMENT_OUTPUT).filter(|_| alone && !tx.is_coinbase() && !tx.input.is_empty());
        let commitment = output
            .and_then(|output| output.script_pubkey.as_bytes().strip_prefix(&COMMITMENT_START))
            .and_then(|bytes| Hash::try_from(bytes).ok())
            .ok_or(AnchorError::BadTransaction)?;
        let anchor = Self { tx, commitment };
        if anchor.tx.base_size() > TX_BYTES_MAX {
            return Err(AnchorError::TooLarge { max: TX_BYTES_MAX });
        }
        Ok(anchor)
    }

    /// Reads a signed transaction, and leaves its witnesses away.
    ///
    /// # Errors
    /// [`AnchorError::BadTransaction`], [`AnchorError::TooLarge`].
    pub fn from_signed(bytes: &[u8]) -> Result<Self, AnchorError> {
        Self::try_new(encode::deserialize(bytes).map_err(|_| AnchorError::BadTransaction)?)
    }

    /// The bytes whose double SHA-256 is the id.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        encode::serialize(&self.tx)
    }

    /// Its id.
    #[must_use]
    pub fn txid(&self) -> Txid {
        self.tx.compute_txid()
    }

    /// The outpoint that input 0 spends: output 0 of the anchor before, or the genesis outpoint.
    #[must_use]
    pub fn seal(&self) -> OutPoint {
        self.tx.input.first().map(|input| input.previous_output).unwrap_or_default()
    }

    /// The outpoint that the next anchor must spend.
    #[must_use]
    pub fn next_seal(&self) -> OutPoint {
        OutPoint { txid: self.txid(), vout: SEAL_OUTPUT }
    }

    /// What it commits to.
    #[must_use]
    pub const fn commitment(&self) -> &Hash {
        &self.commitment
    }
}
