//! Methods about transactions: looking them up and handing them in.

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::{Amount, BlockHash, OutPoint, Transaction, Txid};
use serde_json::{Map, Value, json};

use super::Node;
use super::args::{Args, transaction, transactions};
use super::encode::{TxDetail, btc, btc_per_kvb, tx_json};
use super::error::{
    DESERIALIZATION, Failure, INVALID_ADDRESS_OR_KEY, Outcome, VERIFY, VERIFY_ALREADY_IN_UTXO_SET, VERIFY_REJECTED,
};
use super::script::script_json;
use crate::chain::{CoinView, RejectKind, TxReject};
use crate::mempool::{
    Accepted, KvbRate, PACKAGE_COUNT_MAX, PackageOutcome, PackageTxOutcome, Terms, is_child_with_parents_tree,
};

const FEE_EXCEEDED: &str = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)";

pub(super) fn get_tx_out(node: &mut Node, args: &Args) -> Outcome {
    let outpoint = OutPoint { txid: args.hash::<Txid>(0, "txid")?, vout: args.int(1)? };
    let include_mempool = args.bool_or(2, true)?;
    let chain = &node.chain;
    if include_mempool && chain.mempool().spender(&outpoint).is_some() {
        return Ok(Value::Null);
    }
    let pending = if include_mempool { chain.mempool().coin(&outpoint) } else { None };
    let tip = chain.tree().tip().height;
    let (coin, confirmations) = match (pending, chain.coins().coin(&outpoint)) {
        (Some(coin), _) => (coin, 0),
        (None, Some(coin)) => (coin, tip - coin.height + 1),
        (None, None) => return Ok(Value::Null),
    };
    Ok(json!({
        "bestblock": chain.tree().tip_hash(),
        "confirmations": confirmations,
        "value": btc(coin.output.value),
        "scriptPubKey": script_json(&coin.output.script_pubkey),
        "coinbase": coin.coinbase,
    }))
}

pub(super) fn get_raw_transaction(node: &mut Node, args: &Args) -> Outcome {
    let txid: Txid = args.hash(0, "parameter 1")?;
    let tree = node.chain.tree();
    let genesis = tree.best_at(0).and_then(|hash| tree.get(&hash)).and_then(|node| node.stored.as_ref());
    if genesis.is_some_and(|stored| stored.txids.contains(&txid)) {
        return Err(Failure::new(
            INVALID_ADDRESS_OR_KEY,
            "The genesis block coinbase is not considered an ordinary transaction and cannot be retrieved",
        ));
    }
    let verbosity = args.verbosity(1, 0)?;
    let asked = if args.get(2).is_null() { None } else { Some(args.hash::<BlockHash>(2, "parameter 3")?) };
    if asked.is_some_and(|hash| tree.get(&hash).is_none()) {
        return Err(Failure::new(INVALID_ADDRESS_OR_KEY, "Block hash not found"));
    }
    if asked.is_none()
        && let Some(entry) = node.chain.mempool().get(&txid)
    {
        return Ok(if verbosity <= 0 {
            json!(serialize_hex(&*entry.tx))
        } else {
            Value::Object(tx_json(&entry.tx, None, TxDetail::Plain))
        });
    }
    let block = asked.or_else(|| node.chain.block_of(&txid));
    found_in_block(node, txid, block, verbosity, asked.is_some()).ok_or_else(|| {
        let what = if asked.is_some() {
            "No such transaction found in the provided block"
        } else {
            "No such mempool or blockchain transaction"
        };
        Failure::new(INVALID_ADDRESS_OR_KEY, format!("{what}. Use gettransaction for wallet transactions."))
    })
}

fn found_in_block(node: &Node, txid: Txid, hash: Option<BlockHash>, verbosity: i32, asked: bool) -> Option<Value> {
    let tree = node.chain.tree();
    let hash = hash?;
    let block = tree.get(&hash)?;
    let stored = block.stored.as_ref()?;
    let index = stored.txids.iter().position(|other| *other == txid)?;
    let tx = &stored.block.txdata[index];
    if verbosity <= 0 {
        return Some(json!(serialize_hex(tx)));
    }
    let undo = block.undo.as_ref().zip(index.checked_sub(1));
    let spent = undo.and_then(|(undo, index)| undo.get(index)).map(Vec::as_slice).filter(|_| verbosity > 1);
    let mut map = tx_json(tx, spent, TxDetail::Spent);
    let best = tree.is_best(&hash);
    if asked {
        map.insert("in_active_chain".to_owned(), json!(best));
    }
    map.insert("blockhash".to_owned(), json!(hash));
    if best {
        map.insert("confirmations".to_owned(), json!(tree.tip().height - block.height + 1));
        map.insert("time".to_owned(), json!(block.header.time));
        map.insert("blocktime".to_owned(), json!(block.header.time));
    } else {
        map.insert("confirmations".to_owned(), json!(0));
    }
    Some(Value::Object(map))
}

pub(super) fn send_raw_transaction(node: &mut Node, args: &Args) -> Outcome {
    let burn_max = args.amount_or(2, Amount::ZERO)?;
    let tx = transaction(args.text(0)?)
        .ok_or_else(|| Failure::new(DESERIALIZATION, "TX decode failed. Make sure the tx has at least one input."))?;
    check_burn(&tx, burn_max)?;
    let rate_max = args.fee_rate_max(1)?;
    let txid = tx.compute_txid();
    let tx = Arc::new(tx);
    let vouts = 0..u32::try_from(tx.output.len()).unwrap_or(u32::MAX);
    if vouts.into_iter().any(|vout| node.chain.coins().coin(&OutPoint { txid, vout }).is_some()) {
        return Err(Failure::new(VERIFY_ALREADY_IN_UTXO_SET, "Transaction outputs already in utxo set"));
    }
    let (pool, site) = node.chain.mempool_mut();
    if pool.get(&txid).is_some() {
        return Ok(json!(txid));
    }
    if let Some(rate_max) = rate_max {
        let fee = pool.accept(&tx, &site, Terms::SINGLE, true).map_err(|reject| refused(&reject))?.fee;
        if fee > rate_max.fee(tx.vsize() as u64) {
            return Err(Failure::new(VERIFY, FEE_EXCEEDED));
        }
    }
    pool.accept(&tx, &site, Terms::SINGLE, false).map_err(|reject| refused(&reject))?;
    Ok(json!(txid))
}

fn refused(reject: &TxReject) -> Failure {
    let code = if reject.kind == RejectKind::MissingInputs { VERIFY } else { VERIFY_REJECTED };
    Failure::new(code, reject.to_string())
}

/// Refuses to destroy more than the caller allows.
fn check_burn(tx: &Transaction, burn_max: Amount) -> Result<(), Failure> {
    if tx.output.iter().any(|output| output.script_pubkey.is_op_return() && output.value > burn_max) {
        let message = "Unspendable output exceeds maximum configured by user (maxburnamount)";
        return Err(Failure::new(VERIFY, message));
    }
    Ok(())
}

pub(super) fn test_mempool_accept(node: &mut Node, args: &Args) -> Outcome {
    let rate_max = args.fee_rate_max(1)?;
    let txs = transactions(args.list(0)?, PACKAGE_COUNT_MAX)?;
    let (pool, site) = node.chain.mempool_mut();
    let outcome = if let [tx] = txs.as_slice() {
        let outcome = match pool.accept(tx, &site, Terms::SINGLE, true) {
            Ok(accepted) => PackageTxOutcome::Accepted(accepted),
            Err(reject) => PackageTxOutcome::Rejected(reject),
        };
        PackageOutcome { failure: None, txs: [(tx.compute_wtxid(), outcome)].into() }
    } else {
        pool.test_list(&txs, &site)
    };
    let mut stopped = false;
    let results = txs.iter().map(|tx| {
        let mut map = Map::new();
        let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
        put("txid", json!(tx.compute_txid()));
        put("wtxid", json!(tx.compute_wtxid()));
        if let Some(failure) = outcome.failure.as_ref().filter(|failure| failure.is_policy) {
            put("package-error", json!(failure.message));
        }
        match outcome.txs.get(&tx.compute_wtxid()).filter(|_| !stopped) {
            Some(PackageTxOutcome::Accepted(accepted)) => {
                stopped = put_tested(&mut map, tx, accepted, rate_max);
            }
            Some(PackageTxOutcome::Rejected(reject)) => {
                put("allowed", json!(false));
                if reject.kind == RejectKind::MissingInputs {
                    put("reject-reason", json!("missing-inputs"));
                } else {
                    put("reject-reason", json!(reject.reason));
                    put("reject-details", json!(reject.to_string()));
                }
            }
            _ => {}
        }
        Value::Object(map)
    });
    Ok(results.collect())
}

/// An accepted transaction in `testmempoolaccept`. True if it pays more than the caller wants.
fn put_tested(map: &mut Map<String, Value>, tx: &Transaction, accepted: &Accepted, rate_max: Option<KvbRate>) -> bool {
    let too_much = rate_max.is_some_and(|rate_max| accepted.fee > rate_max.fee(accepted.vsize));
    map.insert("allowed".to_owned(), json!(!too_much));
    if too_much {
        map.insert("reject-reason".to_owned(), json!("max-fee-exceeded"));
    } else {
        debug_assert!(accepted.vsize >= tx.vsize() as u64, "signature checks only ever add to the size");
        map.insert("vsize".to_owned(), json!(accepted.vsize));
        map.insert("fees".to_owned(), fees_json(accepted));
    }
    too_much
}

fn fees_json(accepted: &Accepted) -> Value {
    json!({
        "base": btc(accepted.fee),
        "effective-feerate": btc_per_kvb(accepted.effective_rate),
        "effective-includes": accepted.effective_includes,
    })
}

pub(super) fn submit_package(node: &mut Node, args: &Args) -> Outcome {
    let rate_max = args.fee_rate_max(1)?;
    let burn_max = args.amount_or(2, Amount::ZERO)?;
    let txs = transactions(args.list(0)?, PACKAGE_COUNT_MAX)?;
    for tx in &txs {
        check_burn(tx, burn_max)?;
    }
    if txs.len() > 1 && !is_child_with_parents_tree(&txs) {
        let message = "package topology disallowed. not child-with-parents or parents depend on each other.";
        return Err(Failure::new(VERIFY, message));
    }
    let (pool, site) = node.chain.mempool_mut();
    let outcome = pool.accept_package(&txs, &site, rate_max);
    let message = outcome.failure.as_ref().map_or("success", |failure| failure.message.as_str());
    let mut replaced: BTreeSet<Txid> = BTreeSet::new();
    let mut results = Map::new();
    for tx in &txs {
        let mut map = Map::new();
        let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
        put("txid", json!(tx.compute_txid()));
        match outcome.txs.get(&tx.compute_wtxid()) {
            Some(PackageTxOutcome::Accepted(accepted)) => {
                put("vsize", json!(accepted.vsize));
                put("fees", fees_json(accepted));
                replaced.extend(&accepted.replaced);
            }
            Some(PackageTxOutcome::Known { vsize, fee }) => {
                put("vsize", json!(vsize));
                put("fees", json!({ "base": btc(*fee) }));
            }
            Some(PackageTxOutcome::OtherWitness(wtxid)) => {
                put("other-wtxid", json!(wtxid));
            }
            Some(PackageTxOutcome::Rejected(reject)) => {
                put("error", json!(reject.to_string()));
            }
            None => {
                put("error", json!("package-not-validated"));
            }
        }
        results.insert(tx.compute_wtxid().to_string(), Value::Object(map));
    }
    Ok(json!({ "package_msg": message, "tx-results": results, "replaced-transactions": replaced }))
}
