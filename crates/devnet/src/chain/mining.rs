//! Block templates and the search for their proof of work.

use bitcoin::absolute::LockTime;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::opcodes::OP_0;
use bitcoin::transaction::Version as TxVersion;
use bitcoin::{
    Amount, Block, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Witness,
    WitnessMerkleNode,
};

use super::block_rules::{has_work, height_script, regtest_bits};
use super::reject::BlockReject;
use super::rules::subsidy;
use super::state::{Chain, Submitted};

/// A block could not be mined.
#[derive(Debug, thiserror::Error)]
pub enum MineError {
    /// No proof of work within the number of tries.
    #[error("no proof of work was found")]
    Exhausted,
    /// The block breaks a rule.
    #[error("{0}")]
    Rejected(BlockReject),
}

/// The value under the witness commitment; any will do (BIP 141).
const WITNESS_RESERVED: [u8; 32] = [0; 32];

impl Chain {
    /// Mines one block from the mempool, with its reward to `script`, and connects it.
    ///
    /// # Errors
    /// [`MineError::Exhausted`] after `tries` hashes; `tries` is lowered by those used.
    pub fn mine(&mut self, script: &ScriptBuf, tries: &mut u64) -> Result<BlockHash, MineError> {
        let (txs, fees) = self.mempool().select_for_block();
        let block = self.assemble(script, txs, fees);
        self.mine_block(block, tries)
    }

    /// A block of the given transactions on top of the tip, without proof of work.
    #[must_use]
    pub fn assemble(&self, script: &ScriptBuf, txs: Vec<Transaction>, fees: Amount) -> Block {
        let parent = self.tree().tip_hash();
        let height = self.tree().tip().height + 1;
        let time_min = self.tree().median_time(&parent).saturating_add(1);
        let coinbase = Transaction {
            version: TxVersion::TWO,
            lock_time: LockTime::ZERO,
            input: vec![TxIn {
                previous_output: OutPoint::null(),
                // The rules ask for two bytes at least, and low heights take one.
                script_sig: height_script(height).push_opcode(OP_0).into_script(),
                sequence: Sequence::MAX,
                witness: Witness::from_slice(&[WITNESS_RESERVED]),
            }],
            output: vec![TxOut { value: subsidy(height) + fees, script_pubkey: script.clone() }],
        };
        let header = Header {
            version: Version::NO_SOFT_FORK_SIGNALLING,
            prev_blockhash: parent,
            merkle_root: TxMerkleNode::all_zeros(),
            time: u32::try_from(self.now()).unwrap_or(u32::MAX).max(time_min),
            bits: regtest_bits(),
            nonce: 0,
        };
        let mut block = Block { header, txdata: std::iter::once(coinbase).chain(txs).collect() };
        commit(&mut block);
        block
    }

    /// Finds the proof of work of an assembled block, and connects it.
    ///
    /// # Errors
    /// [`MineError`].
    pub fn mine_block(&mut self, mut block: Block, tries: &mut u64) -> Result<BlockHash, MineError> {
        find_work(&mut block, tries)?;
        let hash = block.block_hash();
        match self.submit(block) {
            Submitted::Rejected(reject) => Err(MineError::Rejected(reject)),
            Submitted::Duplicate => Err(MineError::Rejected(BlockReject::new("duplicate", ""))),
            Submitted::Connected | Submitted::Inconclusive => Ok(hash),
        }
    }
}

/// Tries nonces until the hash is low enough.
pub(crate) fn find_work(block: &mut Block, tries: &mut u64) -> Result<(), MineError> {
    while !has_work(&block.header) {
        *tries = tries.checked_sub(1).ok_or(MineError::Exhausted)?;
        block.header.nonce = block.header.nonce.checked_add(1).ok_or(MineError::Exhausted)?;
    }
    Ok(())
}

/// Writes the witness commitment (BIP 141) and the Merkle root.
fn commit(block: &mut Block) {
    let root = block.witness_root().unwrap_or_else(WitnessMerkleNode::all_zeros);
    let commitment = Block::compute_witness_commitment(&root, &WITNESS_RESERVED);
    let mut script = vec![0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    script.extend_from_slice(commitment.as_byte_array());
    block.txdata[0].output.push(TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script) });
    block.header.merkle_root = block.compute_merkle_root().unwrap_or_else(TxMerkleNode::all_zeros);
}
