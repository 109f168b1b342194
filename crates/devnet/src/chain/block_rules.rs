//! Consensus rules about whole blocks: those that need nothing else, and those that need the parent.

use bitcoin::block::Header;
use bitcoin::consensus::Params;
use bitcoin::hashes::Hash;
use bitcoin::script::Builder;
use bitcoin::{Block, CompactTarget, Network, Transaction, TxMerkleNode, WitnessMerkleNode};

use super::reject::BlockReject;
use super::rules::{BLOCK_SIGOPS_COST_MAX, BLOCK_WEIGHT_MAX, WITNESS_SCALE, check_transaction, is_final, merkle_root};
use super::tree::StoredBlock;

/// How far ahead of our clock a block may be, in seconds.
const FUTURE_SECONDS_MAX: u64 = 2 * 60 * 60;
/// The lowest version since BIP 34, 65 and 66.
const VERSION_MIN: i32 = 4;

/// The difficulty of regtest; it never changes.
#[must_use]
pub fn regtest_bits() -> CompactTarget {
    Params::new(Network::Regtest).max_attainable_target.to_compact_lossy()
}

/// Whether the hash of a header is low enough.
pub(crate) fn has_work(header: &Header) -> bool {
    header.target().is_met_by(header.block_hash())
}

/// What can be said about a block without knowing anything else.
pub(crate) fn check_block(stored: &StoredBlock) -> Result<(), BlockReject> {
    let StoredBlock { block, txids } = stored;
    check_work(&block.header)?;
    let (root, mutated) = merkle_root(txids);
    if block.header.merkle_root != TxMerkleNode::from_raw_hash(root.to_raw_hash()) {
        return Err(BlockReject::mutated("bad-txnmrklroot", "hashMerkleRoot mismatch"));
    }
    if mutated {
        return Err(BlockReject::mutated("bad-txns-duplicate", "duplicate transaction"));
    }
    check_body(stored)
}

/// The same for the transactions alone.
pub(crate) fn check_body(stored: &StoredBlock) -> Result<(), BlockReject> {
    let StoredBlock { block, txids } = stored;
    let stripped_bytes: u64 = 80 + block.txdata.iter().map(|tx| tx.base_size() as u64).sum::<u64>();
    if block.txdata.is_empty() || stripped_bytes * WITNESS_SCALE > BLOCK_WEIGHT_MAX {
        return Err(BlockReject::new("bad-blk-length", "size limits failed"));
    }
    if !block.txdata[0].is_coinbase() {
        return Err(BlockReject::new("bad-cb-missing", "first tx is not coinbase"));
    }
    if block.txdata[1..].iter().any(Transaction::is_coinbase) {
        return Err(BlockReject::new("bad-cb-multiple", "more than one coinbase"));
    }
    for (tx, txid) in block.txdata.iter().zip(txids) {
        check_transaction(tx).map_err(|reject| {
            BlockReject::new(reject.reason, format!("Transaction check failed (tx hash {txid}) {}", reject.details))
        })?;
    }
    // Without the spent outputs only the signature checks in plain sight can be counted.
    let sigops: usize = block.txdata.iter().map(|tx| tx.total_sigop_cost(|_| None)).sum();
    if sigops > BLOCK_SIGOPS_COST_MAX {
        return Err(BlockReject::new("bad-blk-sigops", "out-of-bounds SigOpCount"));
    }
    Ok(())
}

/// The target of the header itself, which must also be one that regtest allows.
fn check_work(header: &Header) -> Result<(), BlockReject> {
    let allowed = header.target() <= Params::new(Network::Regtest).max_attainable_target;
    if allowed && has_work(header) { Ok(()) } else { Err(BlockReject::new("high-hash", "proof of work failed")) }
}

/// What a header must keep to above its parent, which has the median time `median_time`.
pub(crate) fn check_header_above(header: &Header, median_time: u32, now: u64) -> Result<(), BlockReject> {
    if header.bits != regtest_bits() {
        return Err(BlockReject::new("bad-diffbits", "incorrect proof of work"));
    }
    if header.time <= median_time {
        return Err(BlockReject::new("time-too-old", "block's timestamp is too early"));
    }
    if u64::from(header.time) > now.saturating_add(FUTURE_SECONDS_MAX) {
        return Err(BlockReject::new("time-too-new", "block timestamp too far in the future"));
    }
    let version = header.version.to_consensus();
    if version < VERSION_MIN {
        return Err(BlockReject::new(
            format!("bad-version(0x{version:08x})"),
            format!("rejected nVersion=0x{version:08x} block"),
        ));
    }
    Ok(())
}

/// What a block must keep to at `height`, above a parent with the median time `median_time`.
pub(crate) fn check_block_above(block: &Block, height: u32, median_time: u32) -> Result<(), BlockReject> {
    if !block.txdata.iter().all(|tx| is_final(tx, height, median_time)) {
        return Err(BlockReject::new("bad-txns-nonfinal", "non-final transaction"));
    }
    let script = block.txdata[0].input[0].script_sig.as_bytes();
    if !script.starts_with(height_script(height).into_script().as_bytes()) {
        return Err(BlockReject::new("bad-cb-height", "block height mismatch in coinbase"));
    }
    check_witness(block)?;
    if block.weight().to_wu() > BLOCK_WEIGHT_MAX {
        return Err(BlockReject::new("bad-blk-weight", "ContextualCheckBlock : weight limit failed"));
    }
    Ok(())
}

/// How the first script of a block begins (BIP 34).
pub(crate) fn height_script(height: u32) -> Builder {
    Builder::new().push_int(i64::from(height))
}

/// The witness commitment (BIP 141).
fn check_witness(block: &Block) -> Result<(), BlockReject> {
    let coinbase = &block.txdata[0];
    let Some(committed) = witness_commitment(coinbase) else {
        let has_witness = |tx: &Transaction| tx.input.iter().any(|input| !input.witness.is_empty());
        return if block.txdata.iter().any(has_witness) {
            Err(BlockReject::mutated("unexpected-witness", "CheckWitnessMalleation : unexpected witness data found"))
        } else {
            Ok(())
        };
    };
    let witness = &coinbase.input[0].witness;
    let reserved = match (witness.len(), witness.nth(0)) {
        (1, Some(reserved)) if reserved.len() == 32 => reserved,
        _ => {
            return Err(BlockReject::mutated(
                "bad-witness-nonce-size",
                "CheckWitnessMalleation : invalid witness reserved value size",
            ));
        }
    };
    let root = block.witness_root().unwrap_or_else(WitnessMerkleNode::all_zeros);
    if Block::compute_witness_commitment(&root, reserved).to_byte_array() == committed {
        Ok(())
    } else {
        Err(BlockReject::mutated(
            "bad-witness-merkle-match",
            "CheckWitnessMalleation : witness merkle commitment mismatch",
        ))
    }
}

/// The commitment in the last output of the first transaction that has the form of one.
pub(crate) fn witness_commitment(coinbase: &Transaction) -> Option<[u8; 32]> {
    const PREFIX: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
    coinbase.output.iter().rev().find_map(|output| {
        let bytes = output.script_pubkey.as_bytes().strip_prefix(&PREFIX)?;
        bytes.get(..32)?.try_into().ok()
    })
}
