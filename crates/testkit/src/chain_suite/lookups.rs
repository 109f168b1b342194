//! Looking up outputs and transactions.

use bitcoin::consensus::encode::serialize_hex;
use serde_json::{Value, json};
use tallystick_bitcoin::RpcConfig;

use super::fixture::{Bench, FEE, assert_members, foreign_address, foreign_script, sats};
use super::spend::{Draft, Lock};

/// `gettxout`, with and without the mempool.
pub async fn outputs(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let get = async |txid: &Value, vout: u32, mempool: bool| bench.ok("gettxout", json!([txid, vout, mempool])).await;
    let reward = json!(coin.outpoint.txid);
    let out = get(&reward, 0, true).await;
    assert_eq!(out["bestblock"], json!(bench.tip().await));
    assert_eq!((&out["confirmations"], &out["coinbase"]), (&json!(101), &json!(true)));
    assert_eq!(sats(&out["value"]), coin.sats());
    assert_members(&out["scriptPubKey"], &[("asm", 's'), ("desc", 's')]);
    assert_eq!(out["scriptPubKey"]["address"], json!(bench.keys.address()));
    // The witness commitment cannot be spent, so it is not kept.
    assert_eq!(get(&reward, 1, true).await, Value::Null);
    assert_eq!(get(&reward, 9, true).await, Value::Null);

    let taproot = bench.keys.lock_script(&Lock::Taproot);
    let tx = bench.keys.sign(&Draft::new().spend(&coin).pay(foreign_script(1), 5_000).pay_rest(taproot, FEE));
    let txid = json!(bench.send(&tx).await);
    assert_eq!(get(&reward, 0, true).await, Value::Null);
    assert_eq!(get(&reward, 0, false).await["confirmations"], 101);
    assert_eq!(get(&txid, 0, false).await, Value::Null);
    let out = bench.ok("gettxout", json!([txid, 0])).await;
    assert_eq!((&out["confirmations"], &out["coinbase"]), (&json!(0), &json!(false)));
    assert_eq!(out["scriptPubKey"]["address"], json!(foreign_address(1)));
    assert_eq!(get(&txid, 1, true).await["scriptPubKey"]["type"], "witness_v1_taproot");

    bench.mine(1).await;
    assert_eq!(get(&reward, 0, false).await, Value::Null);
    let out = get(&txid, 0, false).await;
    assert_eq!((&out["confirmations"], sats(&out["value"])), (&json!(1), 5_000));
    assert_eq!(get(&json!("11".repeat(32)), 0, true).await, Value::Null);
}

/// `getrawtransaction` in the mempool, in blocks, in blocks that lost.
pub async fn transactions(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let tx = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(1), FEE));
    let txid = bench.send(&tx).await;
    let hex = json!(serialize_hex(&tx));
    assert_eq!(bench.ok("getrawtransaction", json!([txid])).await, hex);
    assert_eq!(bench.ok("getrawtransaction", json!([txid, false])).await, hex);
    let waiting = bench.ok("getrawtransaction", json!([txid, true])).await;
    assert_eq!((&waiting["txid"], &waiting["hex"]), (&json!(txid), &hex));
    assert!(waiting.get("blockhash").is_none() && waiting.get("confirmations").is_none());

    let block = bench.mine(1).await.remove(0);
    bench.mine(2).await;
    assert_eq!(bench.ok("getrawtransaction", json!([txid, 0])).await, hex);
    assert_eq!(bench.ok("getrawtransaction", json!([txid, 0, block])).await, hex);
    let header = bench.ok("getblockheader", json!([block])).await;
    let one = bench.ok("getrawtransaction", json!([txid, 1])).await;
    assert_eq!((&one["blockhash"], &one["confirmations"]), (&json!(block), &json!(3)));
    assert_eq!((&one["time"], &one["blocktime"]), (&header["time"], &header["time"]));
    assert!(one.get("in_active_chain").is_none() && one.get("fee").is_none());
    assert!(one["vin"][0].get("prevout").is_none());
    let two = bench.ok("getrawtransaction", json!([txid, 2])).await;
    assert_eq!(sats(&two["fee"]), FEE);
    assert_eq!(two["vin"][0]["prevout"]["generated"], true);
    assert_eq!(bench.ok("getrawtransaction", json!([txid, 1, block])).await["in_active_chain"], true);

    let suffix = ". Use gettransaction for wallet transactions.";
    let absent = "11".repeat(32);
    let refusal = bench.err("getrawtransaction", json!([absent])).await;
    assert_eq!(refusal, (-5, format!("No such mempool or blockchain transaction{suffix}")));
    let refusal = bench.err("getrawtransaction", json!([absent, 0, block])).await;
    assert_eq!(refusal, (-5, format!("No such transaction found in the provided block{suffix}")));
    let refusal = bench.err("getrawtransaction", json!([txid, 0, absent])).await;
    assert_eq!(refusal, (-5, "Block hash not found".to_owned()));
    // Off the best chain it is back in the mempool, and the block still has it.
    bench.ok("invalidateblock", json!([block])).await;
    let lost = bench.ok("getrawtransaction", json!([txid, 1, block])).await;
    assert_eq!((&lost["in_active_chain"], &lost["confirmations"]), (&json!(false), &json!(0)));
    assert!(bench.ok("getrawtransaction", json!([txid, 1])).await.get("blockhash").is_none());
}
