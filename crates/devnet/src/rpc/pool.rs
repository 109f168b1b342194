//! Methods about the mempool.

use bitcoin::Txid;
use serde_json::{Map, Value, json};

use super::Node;
use super::args::Args;
use super::encode::{btc, btc_per_kvb};
use super::error::{Failure, INVALID_ADDRESS_OR_KEY, INVALID_PARAMETER, Outcome};
use crate::mempool::{Entry, Mempool};

/// The furthest block that a fee is estimated for.
const CONFIRMATION_BLOCKS_MAX: i32 = 1_008;

pub(super) fn get_mempool_info(node: &mut Node, _: &Args) -> Outcome {
    let pool = node.chain.mempool();
    Ok(json!({
        "loaded": true,
        "size": pool.len(),
        "bytes": pool.vsize(),
        "usage": pool.vsize(),
        "total_fee": btc(pool.total_fee()),
        "maxmempool": 300_000_000,
        "mempoolminfee": btc_per_kvb(pool.min_fee_rate()),
        "minrelaytxfee": btc_per_kvb(pool.min_fee_rate()),
        "incrementalrelayfee": btc_per_kvb(pool.incremental_fee_rate()),
        "unbroadcastcount": pool.len(),
        "fullrbf": true,
    }))
}

pub(super) fn get_mempool_entry(node: &mut Node, args: &Args) -> Outcome {
    let txid: Txid = args.hash(0, "txid")?;
    let pool = node.chain.mempool();
    let entry = pool.get(&txid).ok_or_else(|| Failure::new(INVALID_ADDRESS_OR_KEY, "Transaction not in mempool"))?;
    Ok(entry_json(pool, &txid, entry))
}

pub(super) fn get_raw_mempool(node: &mut Node, args: &Args) -> Outcome {
    let (verbose, with_sequence) = (args.bool_or(0, false)?, args.bool_or(1, false)?);
    let pool = node.chain.mempool();
    if verbose {
        if with_sequence {
            let message = "Verbose results cannot contain mempool sequence values.";
            return Err(Failure::new(INVALID_PARAMETER, message));
        }
        let entries = pool.iter().map(|(txid, entry)| (txid.to_string(), entry_json(pool, txid, entry)));
        return Ok(Value::Object(entries.collect::<Map<_, _>>()));
    }
    let txids: Vec<&Txid> = pool.iter().map(|(txid, _)| txid).collect();
    if with_sequence {
        return Ok(json!({ "txids": txids, "mempool_sequence": pool.sequence() }));
    }
    Ok(json!(txids))
}

fn entry_json(pool: &Mempool, txid: &Txid, entry: &Entry) -> Value {
    let ancestors = pool.ancestors(txid);
    let with_ancestors = pool.totals(ancestors.iter().chain([txid]));
    let with_descendants = pool.totals(pool.descendants(txid).iter().chain([txid]));
    let signals = |entry: &Entry| entry.tx.input.iter().any(|input| input.sequence.is_rbf());
    let replaceable = signals(entry) || ancestors.iter().filter_map(|txid| pool.get(txid)).any(signals);
    json!({
        "vsize": entry.vsize,
        "weight": entry.weight,
        "time": entry.time,
        "height": entry.height,
        "descendantcount": with_descendants.count,
        "descendantsize": with_descendants.vsize,
        "ancestorcount": with_ancestors.count,
        "ancestorsize": with_ancestors.vsize,
        "wtxid": entry.wtxid,
        "fees": {
            "base": btc(entry.fee),
            "modified": btc(entry.fee),
            "ancestor": btc(with_ancestors.fee),
            "descendant": btc(with_descendants.fee),
        },
        "depends": entry.parents,
        "spentby": entry.children,
        "bip125-replaceable": replaceable,
        "unbroadcast": true,
    })
}

/// There is never enough data on a private chain, and Bitcoin Core says the same there.
pub(super) fn estimate_smart_fee(_: &mut Node, args: &Args) -> Outcome {
    let target: i32 = args.int(0)?;
    if !(1..=CONFIRMATION_BLOCKS_MAX).contains(&target) {
        let message = format!("Invalid conf_target, must be between 1 and {CONFIRMATION_BLOCKS_MAX}");
        return Err(Failure::new(INVALID_PARAMETER, message));
    }
    let mode = if args.get(1).is_null() { "economical" } else { args.text(1)? };
    if !["unset", "economical", "conservative"].contains(&mode.to_lowercase().as_str()) {
        let message = "Invalid estimate_mode parameter, must be one of: \"unset\", \"economical\", \"conservative\"";
        return Err(Failure::new(INVALID_PARAMETER, message));
    }
    Ok(json!({ "errors": ["Insufficient data or no feerate found"], "blocks": 0 }))
}
