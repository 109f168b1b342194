//! What blocks, transactions and amounts look like in answers.

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Amount, BlockHash, Transaction, TxOut};
use serde_json::{Map, Number, Value, json};

use super::script::{asm_of_input, script_json};
use crate::chain::{BlockTree, Coin, Node as BlockNode};
use crate::mempool::KvbRate;

/// The difficulty that goes with regtest's bits.
pub(super) const REGTEST_DIFFICULTY: f64 = 4.656_542_373_906_925e-10;

/// How much is told about the transactions of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TxDetail {
    /// Without the outputs that it spends.
    Plain,
    /// With its fee.
    Fee,
    /// With its fee and the outputs that it spends.
    Spent,
}

/// An amount as a JSON number of BTC.
pub(super) fn btc(amount: Amount) -> Value {
    decimal(amount.to_sat())
}

/// A fee rate as a JSON number of BTC for 1000 virtual bytes.
pub(super) fn btc_per_kvb(rate: KvbRate) -> Value {
    decimal(rate.0)
}

/// Eight decimals of an integer are exact in a JSON number, as amounts stay below 2^53.
fn decimal(sats: u64) -> Value {
    let text = format!("{}.{:08}", sats / 100_000_000, sats % 100_000_000);
    text.parse().ok().and_then(Number::from_f64).map_or(Value::Null, Value::Number)
}

/// The answer to `getblockheader`, and the beginning of that to `getblock`.
pub(super) fn header_json(tree: &BlockTree, hash: &BlockHash, node: &BlockNode) -> Map<String, Value> {
    let next = tree.best_at(node.height + 1).filter(|_| tree.is_best(hash));
    let confirmations = if tree.is_best(hash) { i64::from(tree.tip().height) - i64::from(node.height) + 1 } else { -1 };
    let version = node.header.version.to_consensus();
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    put("hash", json!(hash));
    put("confirmations", json!(confirmations));
    put("height", json!(node.height));
    put("version", json!(version));
    put("versionHex", json!(format!("{version:08x}")));
    put("merkleroot", json!(node.header.merkle_root));
    put("time", json!(node.header.time));
    put("mediantime", json!(tree.median_time(hash)));
    put("nonce", json!(node.header.nonce));
    put("bits", json!(format!("{:08x}", node.header.bits.to_consensus())));
    put("target", json!(hex::encode(node.header.target().to_be_bytes())));
    put("difficulty", json!(REGTEST_DIFFICULTY));
    put("chainwork", json!(hex::encode(node.work.to_be_bytes())));
    put("nTx", json!(node.stored.as_ref().map_or(0, |stored| stored.txids.len())));
    if node.height > 0 {
        put("previousblockhash", json!(node.header.prev_blockhash));
    }
    if let Some(next) = next {
        put("nextblockhash", json!(next));
    }
    map
}

/// A transaction. `spent` are the outputs that it spends, if they are known.
pub(super) fn tx_json(tx: &Transaction, spent: Option<&[Coin]>, detail: TxDetail) -> Map<String, Value> {
    let weight = tx.weight();
    let inputs: Vec<Value> = (0..tx.input.len())
        .map(|index| input_json(tx, index, spent.and_then(|spent| spent.get(index)), detail))
        .collect();
    let outputs: Vec<Value> = tx.output.iter().enumerate().map(|(index, output)| output_json(index, output)).collect();
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    put("txid", json!(tx.compute_txid()));
    put("hash", json!(tx.compute_wtxid()));
    put("version", json!(tx.version.0.cast_unsigned()));
    put("size", json!(tx.total_size()));
    put("vsize", json!(weight.to_vbytes_ceil()));
    put("weight", json!(weight.to_wu()));
    put("locktime", json!(tx.lock_time.to_consensus_u32()));
    put("vin", Value::Array(inputs));
    put("vout", Value::Array(outputs));
    if let (Some(spent), true) = (spent, detail != TxDetail::Plain) {
        let paid_in: Amount = spent.iter().map(|coin| coin.output.value).sum();
        let paid_out: Amount = tx.output.iter().map(|output| output.value).sum();
        if let Some(fee) = paid_in.checked_sub(paid_out) {
            put("fee", btc(fee));
        }
    }
    put("hex", json!(serialize_hex(tx)));
    map
}

fn input_json(tx: &Transaction, index: usize, spent: Option<&Coin>, detail: TxDetail) -> Value {
    let input = &tx.input[index];
    let mut map = Map::new();
    let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
    let script_hex = hex::encode(input.script_sig.as_bytes());
    if tx.is_coinbase() {
        put("coinbase", json!(script_hex));
    } else {
        put("txid", json!(input.previous_output.txid));
        put("vout", json!(input.previous_output.vout));
        put("scriptSig", json!({ "asm": asm_of_input(&input.script_sig), "hex": script_hex }));
    }
    if !input.witness.is_empty() {
        put("txinwitness", input.witness.iter().map(hex::encode).collect());
    }
    if let (Some(coin), TxDetail::Spent) = (spent, detail) {
        let prevout = json!({
            "generated": coin.coinbase,
            "height": coin.height,
            "value": btc(coin.output.value),
            "scriptPubKey": script_json(&coin.output.script_pubkey),
        });
        put("prevout", prevout);
    }
    put("sequence", json!(input.sequence.to_consensus_u32()));
    Value::Object(map)
}

fn output_json(index: usize, output: &TxOut) -> Value {
    json!({ "value": btc(output.value), "n": index, "scriptPubKey": script_json(&output.script_pubkey) })
}
