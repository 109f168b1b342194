//! Methods that make blocks.

use std::str::FromStr;

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Address, Amount, Block, Network, ScriptBuf, Txid};
use serde_json::{Value, json};

use super::Node;
use super::args::{Args, transaction, wrong_type};
use super::error::{DESERIALIZATION, Failure, INVALID_ADDRESS_OR_KEY, MISC, Outcome, VERIFY};
use crate::chain::{MineError, Submitted, find_work};

/// How many hashes are tried by default.
const TRIES_DEFAULT: i64 = 1_000_000;

fn address_script(text: &str) -> Option<ScriptBuf> {
    let address = Address::from_str(text).ok()?.require_network(Network::Regtest).ok()?;
    Some(address.script_pubkey())
}

pub(super) fn generate_to_address(node: &mut Node, args: &Args) -> Outcome {
    let count: i32 = args.int(0)?;
    let mut tries = u64::try_from(args.int_or(2, TRIES_DEFAULT)?).unwrap_or(0);
    let script =
        address_script(args.text(1)?).ok_or_else(|| Failure::new(INVALID_ADDRESS_OR_KEY, "Error: Invalid address"))?;
    let mut hashes = Vec::new();
    for _ in 0..count {
        match node.chain.mine(&script, &mut tries) {
            Ok(hash) => hashes.push(json!(hash)),
            Err(MineError::Exhausted) => break,
            Err(MineError::Rejected(reject)) => {
                return Err(Failure::new(-32603, format!("ProcessNewBlock, block not accepted ({reject})")));
            }
        }
    }
    Ok(Value::Array(hashes))
}

pub(super) fn generate_block(node: &mut Node, args: &Args) -> Outcome {
    let script = address_script(args.text(0)?)
        .ok_or_else(|| Failure::new(INVALID_ADDRESS_OR_KEY, "Error: Invalid address or descriptor"))?;
    let mut txs = Vec::new();
    for item in args.list(1)? {
        let text = item.as_str().ok_or_else(|| wrong_type(item, "string"))?;
        let tx = if let Ok(txid) = text.parse::<Txid>() {
            let entry = node.chain.mempool().get(&txid);
            let missing = || Failure::new(INVALID_ADDRESS_OR_KEY, format!("Transaction {text} not in mempool."));
            (*entry.ok_or_else(missing)?.tx).clone()
        } else {
            transaction(text).ok_or_else(|| {
                let message = format!("Transaction decode failed for {text}. Make sure the tx has at least one input.");
                Failure::new(DESERIALIZATION, message)
            })?
        };
        txs.push(tx);
    }
    let submit = args.bool_or(2, true)?;
    let mut block = node.chain.assemble(&script, txs, Amount::ZERO);
    node.chain
        .test_on_tip(&block)
        .map_err(|reject| Failure::new(VERIFY, format!("TestBlockValidity failed: {reject}")))?;
    let mut tries = u64::try_from(TRIES_DEFAULT).unwrap_or(0);
    let failed = |_| Failure::new(MISC, "Failed to make block.");
    if submit {
        let hash = node.chain.mine_block(block, &mut tries).map_err(failed)?;
        return Ok(json!({ "hash": hash }));
    }
    find_work(&mut block, &mut tries).map_err(failed)?;
    Ok(json!({ "hash": block.block_hash(), "hex": serialize_hex(&block) }))
}

pub(super) fn submit_block(node: &mut Node, args: &Args) -> Outcome {
    let block: Block =
        deserialize_hex(args.text(0)?).map_err(|_| Failure::new(DESERIALIZATION, "Block decode failed"))?;
    Ok(match node.chain.submit(block) {
        Submitted::Connected => Value::Null,
        Submitted::Duplicate => json!("duplicate"),
        Submitted::Inconclusive => json!("inconclusive"),
        Submitted::Rejected(reject) => json!(reject.reason),
    })
}
