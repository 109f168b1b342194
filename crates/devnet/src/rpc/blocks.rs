//! Methods about blocks.

use std::cmp::Reverse;
use std::collections::HashSet;

use bitcoin::BlockHash;
use bitcoin::consensus::encode::serialize_hex;
use serde_json::{Value, json};

use super::Node;
use super::args::Args;
use super::encode::{REGTEST_DIFFICULTY, TxDetail, header_json, tx_json};
use super::error::{Failure, INVALID_ADDRESS_OR_KEY, INVALID_PARAMETER, MISC, Outcome};
use crate::chain::Node as BlockNode;

pub(super) fn block_not_found() -> Failure {
    Failure::new(INVALID_ADDRESS_OR_KEY, "Block not found")
}

pub(super) fn get_blockchain_info(node: &mut Node, _: &Args) -> Outcome {
    let tree = node.chain.tree();
    let (hash, tip) = (tree.tip_hash(), tree.tip());
    let headers = tree.iter().filter(|(_, node)| !node.failed).max_by_key(|(_, node)| node.work);
    Ok(json!({
        "chain": "regtest",
        "blocks": tip.height,
        "headers": headers.map_or(tip.height, |(_, node)| node.height),
        "bestblockhash": hash,
        "bits": format!("{:08x}", tip.header.bits.to_consensus()),
        "target": hex::encode(tip.header.target().to_be_bytes()),
        "difficulty": REGTEST_DIFFICULTY,
        "time": tip.header.time,
        "mediantime": tree.median_time(&hash),
        "verificationprogress": 1,
        "initialblockdownload": tip.height == 0,
        "chainwork": hex::encode(tip.work.to_be_bytes()),
        "size_on_disk": 0,
        "pruned": false,
        "warnings": [],
    }))
}

pub(super) fn get_block_count(node: &mut Node, _: &Args) -> Outcome {
    Ok(json!(node.chain.tree().tip().height))
}

pub(super) fn get_best_block_hash(node: &mut Node, _: &Args) -> Outcome {
    Ok(json!(node.chain.tree().tip_hash()))
}

pub(super) fn get_block_hash(node: &mut Node, args: &Args) -> Outcome {
    let height: i32 = args.int(0)?;
    u32::try_from(height)
        .ok()
        .and_then(|height| node.chain.tree().best_at(height))
        .map(|hash| json!(hash))
        .ok_or_else(|| Failure::new(INVALID_PARAMETER, "Block height out of range"))
}

pub(super) fn get_block_header(node: &mut Node, args: &Args) -> Outcome {
    let hash: BlockHash = args.hash(0, "hash")?;
    let verbose = args.bool_or(1, true)?;
    let tree = node.chain.tree();
    let found = tree.get(&hash).ok_or_else(block_not_found)?;
    if verbose { Ok(Value::Object(header_json(tree, &hash, found))) } else { Ok(json!(serialize_hex(&found.header))) }
}

pub(super) fn get_block(node: &mut Node, args: &Args) -> Outcome {
    let hash: BlockHash = args.hash(0, "blockhash")?;
    let verbosity = args.verbosity(1, 1)?;
    let tree = node.chain.tree();
    let found = tree.get(&hash).ok_or_else(block_not_found)?;
    let stored =
        found.stored.as_ref().ok_or_else(|| Failure::new(MISC, "Block not available (not fully downloaded)"))?;
    if verbosity <= 0 {
        return Ok(json!(serialize_hex(&stored.block)));
    }
    let mut map = header_json(tree, &hash, found);
    let stripped: usize = 80
        + bitcoin::VarInt::from(stored.txids.len()).size()
        + stored.block.txdata.iter().map(bitcoin::Transaction::base_size).sum::<usize>();
    map.insert("strippedsize".to_owned(), json!(stripped));
    map.insert("size".to_owned(), json!(stored.block.total_size()));
    map.insert("weight".to_owned(), json!(stored.block.weight().to_wu()));
    let txs = match verbosity {
        1 => stored.txids.iter().map(|txid| json!(txid)).collect(),
        2 => detailed(found, TxDetail::Fee),
        _ => detailed(found, TxDetail::Spent),
    };
    map.insert("tx".to_owned(), Value::Array(txs));
    Ok(Value::Object(map))
}

fn detailed(found: &BlockNode, detail: TxDetail) -> Vec<Value> {
    let Some(stored) = &found.stored else { return Vec::new() };
    let txs = stored.block.txdata.iter().enumerate();
    txs.map(|(index, tx)| {
        let undo = found.undo.as_ref().zip(index.checked_sub(1));
        let spent = undo.and_then(|(undo, index)| undo.get(index)).map(Vec::as_slice);
        Value::Object(tx_json(tx, spent, detail))
    })
    .collect()
}

pub(super) fn get_chain_tips(node: &mut Node, _: &Args) -> Outcome {
    let tree = node.chain.tree();
    let parents: HashSet<BlockHash> =
        tree.iter().filter(|(hash, _)| !tree.is_best(hash)).map(|(_, node)| node.header.prev_blockhash).collect();
    let mut tips: Vec<(&BlockHash, &BlockNode)> = tree
        .iter()
        .filter(|(hash, _)| **hash == tree.tip_hash() || !tree.is_best(hash) && !parents.contains(*hash))
        .collect();
    tips.sort_unstable_by_key(|(hash, node)| (Reverse(node.height), **hash));
    let tips = tips.into_iter().map(|(hash, node)| {
        let (fork, branch) = tree.path_from_best(hash).unwrap_or((node.height, Vec::new()));
        let complete = branch.iter().all(|hash| tree.get(hash).is_some_and(|node| node.stored.is_some()));
        let status = match () {
            () if tree.is_best(hash) => "active",
            () if node.failed => "invalid",
            () if !complete => "headers-only",
            () if node.undo.is_some() => "valid-fork",
            () => "valid-headers",
        };
        json!({ "height": node.height, "hash": hash, "branchlen": node.height - fork, "status": status })
    });
    Ok(tips.collect())
}

pub(super) fn invalidate_block(node: &mut Node, args: &Args) -> Outcome {
    let hash: BlockHash = args.hash(0, "blockhash")?;
    if node.chain.invalidate(&hash) { Ok(Value::Null) } else { Err(block_not_found()) }
}

pub(super) fn reconsider_block(node: &mut Node, args: &Args) -> Outcome {
    let hash: BlockHash = args.hash(0, "blockhash")?;
    if node.chain.reconsider(&hash) { Ok(Value::Null) } else { Err(block_not_found()) }
}
