//! What the mempool takes, and what it tells.

use bitcoin::ScriptBuf;
use bitcoin::consensus::encode::serialize_hex;
use serde_json::{Value, json};
use tallystick_bitcoin::RpcConfig;

use super::fixture::{Bench, FEE, assert_members, assert_refusal, foreign_script, missing_coin, sats, strings};
use super::spend::{Coin, Draft, Lock};

/// The way of a transaction from being shown to being buried.
pub async fn sending_and_mining(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let draft = Draft::new().spend(&coin).pay_rest(bench.keys.script(), FEE);
    let tx = bench.keys.sign(&draft);
    let tested = bench.tested(&tx).await;
    assert_eq!((&tested["allowed"], &tested["vsize"]), (&json!(true), &json!(tx.vsize())));
    assert_eq!(sats(&tested["fees"]["base"]), FEE);
    assert_eq!(sats(&tested["fees"]["effective-feerate"]), FEE * 1_000 / tx.vsize() as u64);
    assert_eq!(tested["fees"]["effective-includes"], json!([tx.compute_wtxid()]));
    assert!(tested.get("reject-reason").is_none());
    assert!(bench.mempool().await.is_empty());

    bench.send(&tx).await;
    // Again is no error, with other signatures neither: the first stays.
    bench.send(&tx).await;
    let other = bench.keys.sign_with(&draft, &[9; 32]);
    assert_ne!(other.compute_wtxid(), tx.compute_wtxid());
    bench.send(&other).await;
    let tested = bench.tested(&tx).await;
    assert_eq!((&tested["allowed"], &tested["reject-reason"]), (&json!(false), &json!("txn-already-in-mempool")));
    assert_eq!(bench.tested(&other).await["reject-reason"], "txn-same-nonwitness-data-in-mempool");
    let entry = bench.ok("getmempoolentry", json!([tx.compute_txid()])).await;
    assert_eq!(entry["wtxid"], json!(tx.compute_wtxid()));

    bench.mine(1).await;
    assert!(bench.mempool().await.is_empty());
    let refusal = bench.refused(&tx).await;
    assert_eq!(refusal, (-27, "Transaction outputs already in utxo set".to_owned()));
    assert_eq!(bench.tested(&tx).await["reject-reason"], "txn-already-known");

    // Once its outputs are spent too, nothing tells that it was ever there.
    let next = Draft::new().spend(&Coin::of(&tx, 0, Lock::Key)).pay_rest(foreign_script(1), FEE);
    bench.send(&bench.keys.sign(&next)).await;
    bench.mine(1).await;
    assert_eq!(bench.refused(&tx).await, (-25, "bad-txns-inputs-missingorspent".to_owned()));
}

/// `getmempoolentry` and the verbose `getrawmempool`.
pub async fn entries_tell_the_family(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let parent = bench
        .keys
        .sign(&Draft::new().spend(&coin).pay(bench.keys.script(), 100_000).pay_rest(bench.keys.script(), FEE));
    let child =
        bench.keys.sign(&Draft::new().spend(&Coin::of(&parent, 0, Lock::Key)).pay_rest(foreign_script(1), 2 * FEE));
    let (parent_id, child_id) = (bench.send(&parent).await, bench.send(&child).await);
    let (parent_size, child_size) = (parent.vsize(), child.vsize());
    let entry = bench.ok("getmempoolentry", json!([parent_id])).await;
    assert_members(&entry, &[("time", 'n'), ("unbroadcast", 'b')]);
    assert_eq!((&entry["vsize"], &entry["weight"]), (&json!(parent_size), &json!(parent.weight().to_wu())));
    assert_eq!(entry["height"], bench.height().await);
    assert_eq!((&entry["ancestorcount"], &entry["ancestorsize"]), (&json!(1), &json!(parent_size)));
    assert_eq!((&entry["descendantcount"], &entry["descendantsize"]), (&json!(2), &json!(parent_size + child_size)));
    assert_eq!((&entry["depends"], &entry["spentby"]), (&json!([]), &json!([child_id])));
    let fees = |entry: &Value| ["base", "modified", "ancestor", "descendant"].map(|name| sats(&entry["fees"][name]));
    assert_eq!(fees(&entry), [FEE, FEE, FEE, 3 * FEE]);

    let entry = bench.ok("getmempoolentry", json!([child_id])).await;
    assert_eq!((&entry["ancestorcount"], &entry["ancestorsize"]), (&json!(2), &json!(parent_size + child_size)));
    assert_eq!((&entry["descendantcount"], &entry["descendantsize"]), (&json!(1), &json!(child_size)));
    assert_eq!((&entry["depends"], &entry["spentby"]), (&json!([parent_id]), &json!([])));
    assert_eq!(fees(&entry), [2 * FEE, 2 * FEE, 3 * FEE, 2 * FEE]);

    let all = bench.ok("getrawmempool", json!([true])).await;
    assert_eq!(all[child_id.to_string()], entry);
    assert_eq!(all.as_object().map(serde_json::Map::len), Some(2));
    bench.mine(1).await;
    let refusal = bench.err("getmempoolentry", json!([child_id])).await;
    assert_eq!(refusal, (-5, "Transaction not in mempool".to_owned()));
}

/// `getmempoolinfo`, and the number that grows with every change.
pub async fn the_mempool_tells_about_itself(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let info = bench.ok("getmempoolinfo", json!([])).await;
    let numbers = ["usage", "maxmempool", "mempoolminfee", "minrelaytxfee", "incrementalrelayfee", "unbroadcastcount"];
    assert_members(&info, &numbers.map(|name| (name, 'n')));
    assert_eq!((&info["loaded"], &info["size"], &info["bytes"]), (&json!(true), &json!(0), &json!(0)));
    assert_eq!(sats(&info["total_fee"]), 0);
    let before = bench.ok("getrawmempool", json!([false, true])).await;
    assert_eq!(before["txids"], json!([]));
    let coin = bench.coin();
    let tx = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(1), FEE));
    let txid = bench.send(&tx).await;
    let after = bench.ok("getrawmempool", json!([false, true])).await;
    assert_eq!(after["txids"], json!([txid]));
    assert!(after["mempool_sequence"].as_u64() > before["mempool_sequence"].as_u64());
    let info = bench.ok("getmempoolinfo", json!([])).await;
    assert_eq!((&info["size"], &info["bytes"]), (&json!(1), &json!(tx.vsize())));
    assert_eq!(sats(&info["total_fee"]), FEE);
    let refusal = bench.err("getrawmempool", json!([true, true])).await;
    assert_eq!(refusal, (-8, "Verbose results cannot contain mempool sequence values.".to_owned()));
}

/// The lowest fee that is relayed, and the highest that the caller wants to pay.
pub async fn fees_have_bounds(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 2).await;
    let (first, second) = (bench.coin(), bench.coin());
    let pay = |fee: u64| bench.keys.sign(&Draft::new().spend(&first).pay_rest(foreign_script(1), fee));
    let vsize = pay(1_000).vsize() as u64;
    let needed = (bench.relay_rate().await * vsize).div_ceil(1_000);
    let refusal = bench.refused(&pay(needed - 1)).await;
    assert_eq!(refusal, (-26, format!("min relay fee not met, {} < {needed}", needed - 1)));
    let tested = bench.tested(&pay(needed - 1)).await;
    assert_eq!(tested["reject-reason"], "min relay fee not met");
    bench.send(&pay(needed)).await;

    // 0.1 BTC for 1000 vbytes is the limit unless the caller says otherwise.
    let most = 10_000 * vsize;
    let tx = bench.keys.sign(&Draft::new().spend(&second).pay_rest(foreign_script(2), most + 1));
    let reason = "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)";
    assert_eq!(bench.refused(&tx).await, (-25, reason.to_owned()));
    let tested = bench.tested(&tx).await;
    assert_eq!((&tested["allowed"], &tested["reject-reason"]), (&json!(false), &json!("max-fee-exceeded")));
    let hex = serialize_hex(&tx);
    let refusal = bench.err("sendrawtransaction", json!([hex, 1.0])).await;
    assert_eq!(refusal, (-8, "Fee rates larger than or equal to 1BTC/kvB are not accepted".to_owned()));
    assert_eq!(
        bench.err("sendrawtransaction", json!([hex, true])).await,
        (-3, "Amount is not a number or string".to_owned())
    );
    assert_eq!(bench.err("sendrawtransaction", json!([hex, "x"])).await, (-3, "Invalid amount".to_owned()));
    assert_eq!(bench.err("sendrawtransaction", json!([hex, -1])).await, (-3, "Amount out of range".to_owned()));
    assert_eq!(bench.err("sendrawtransaction", json!([hex, "0.00001"])).await.0, -25);
    let txid = bench.ok("sendrawtransaction", json!([hex, 0])).await;
    assert_eq!(txid, json!(tx.compute_txid()));
}

/// Unknown and doubly spent inputs.
pub async fn inputs_must_exist(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let tx = bench.keys.sign(&Draft::new().spend(&missing_coin()).pay_rest(foreign_script(1), FEE));
    assert_eq!(bench.refused(&tx).await, (-25, "bad-txns-inputs-missingorspent".to_owned()));
    let tested = bench.tested(&tx).await;
    assert_eq!((&tested["allowed"], &tested["reject-reason"]), (&json!(false), &json!("missing-inputs")));
    assert!(tested.get("reject-details").is_none() && tested.get("fees").is_none());
    let twice = bench.keys.sign(&Draft::new().spend(&coin).spend(&coin).pay_rest(foreign_script(1), FEE));
    assert_eq!(bench.refused(&twice).await, (-26, "bad-txns-inputs-duplicate".to_owned()));
    let first = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(1), FEE));
    bench.send(&first).await;
    bench.mine(1).await;
    let second = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(2), FEE));
    assert_eq!(bench.refused(&second).await, (-25, "bad-txns-inputs-missingorspent".to_owned()));
}

/// Nobody pays out more than comes in.
pub async fn amounts_must_add_up(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let more = bench.keys.sign(&Draft::new().spend(&coin).pay(foreign_script(1), coin.sats() + 1));
    let reason = "bad-txns-in-belowout, value in (50.00) < value out (50.00000001)";
    assert_eq!(bench.refused(&more).await, (-26, reason.to_owned()));
    let tested = bench.tested(&more).await;
    assert_eq!((&tested["reject-reason"], &tested["reject-details"]), (&json!("bad-txns-in-belowout"), &json!(reason)));
    let all = 21_000_000 * 100_000_000;
    let huge = bench.keys.sign(&Draft::new().spend(&coin).pay(foreign_script(1), all + 1));
    assert_eq!(bench.refused(&huge).await, (-26, "bad-txns-vout-toolarge".to_owned()));
    let negative = bench.keys.sign(&Draft::new().spend(&coin).pay(foreign_script(1), u64::MAX));
    assert_eq!(bench.refused(&negative).await, (-26, "bad-txns-vout-negative".to_owned()));
    let sum = bench.keys.sign(&Draft::new().spend(&coin).pay(foreign_script(1), all).pay(foreign_script(2), 1));
    assert_eq!(bench.refused(&sum).await, (-26, "bad-txns-txouttotal-toolarge".to_owned()));
}

/// Outputs that are not worth spending.
pub async fn dust_is_refused(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let pay = |script: ScriptBuf, sats: u64| {
        bench.keys.sign(&Draft::new().spend(&coin).pay(script, sats).pay_rest(bench.keys.script(), FEE))
    };
    let one_dust = (-26, "dust, tx with dust output must be 0-fee".to_owned());
    // A P2WPKH output is dust below 294 satoshis, a P2TR output below 330, an anchor below 240.
    let taproot = bench.keys.lock_script(&Lock::Taproot);
    let anchor = bench.keys.lock_script(&Lock::Anchor);
    for (script, least) in [(foreign_script(1), 294), (taproot, 330), (anchor, 240)] {
        assert_eq!(bench.refused(&pay(script.clone(), least - 1)).await, one_dust);
        assert_eq!(bench.tested(&pay(script, least)).await["allowed"], true);
    }
    let two =
        Draft::new().spend(&coin).pay(foreign_script(1), 1).pay(foreign_script(2), 1).pay_rest(foreign_script(3), FEE);
    assert_eq!(bench.refused(&bench.keys.sign(&two)).await, (-26, "dust".to_owned()));
    // Data is not dust, but what it carries is lost.
    let data = ScriptBuf::from_bytes(vec![0x6a, 0x02, 0xbe, 0xef]);
    assert_eq!(bench.tested(&pay(data.clone(), 0)).await["allowed"], true);
    let burn = serialize_hex(&pay(data, 1_000));
    let reason = "Unspendable output exceeds maximum configured by user (maxburnamount)";
    assert_eq!(bench.err("sendrawtransaction", json!([burn])).await, (-25, reason.to_owned()));
    bench.ok("sendrawtransaction", json!([burn, 0.1, "0.00001"])).await;
}

/// Transactions whose form is refused.
pub async fn forms_that_are_refused(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let draft = || Draft::new().spend(&coin);
    for version in [0, 4] {
        let tx = bench.keys.sign(&draft().version(version).pay_rest(foreign_script(1), FEE));
        assert_eq!(bench.refused(&tx).await, (-26, "version".to_owned()));
    }
    let odd = bench.keys.sign(&draft().pay_rest(ScriptBuf::from_bytes(vec![0x51]), FEE));
    assert_eq!(bench.refused(&odd).await, (-26, "scriptpubkey".to_owned()));
    let small = bench.keys.sign(&draft().pay_rest(ScriptBuf::from_bytes(vec![0x6a]), coin.sats()));
    assert_eq!(bench.refused(&small).await, (-26, "tx-size-small".to_owned()));
    let empty = bench.keys.sign(&draft());
    assert_eq!(bench.refused(&empty).await, (-26, "bad-txns-vout-empty".to_owned()));
    let hash = bench.tip().await;
    let reward = bench.block(&hash).await.txdata.remove(0);
    assert_eq!(bench.tested(&reward).await["reject-reason"], "coinbase");
    for hex in ["", "00", "zz"] {
        let refusal = bench.err("sendrawtransaction", json!([hex])).await;
        let reason = "TX decode failed. Make sure the tx has at least one input.";
        assert_eq!(refusal, (-22, reason.to_owned()));
    }
    assert_refusal(&bench.err("testmempoolaccept", json!([["00"]])).await, -22, "TX decode failed: 00 Make sure");
    let count = "Array must contain between 1 and 25 transactions.".to_owned();
    assert_eq!(bench.err("testmempoolaccept", json!([[]])).await, (-8, count.clone()));
    assert_eq!(bench.err("testmempoolaccept", json!([vec!["00"; 26]])).await, (-8, count));
    assert_eq!(strings(&bench.ok("getrawmempool", json!([])).await), Vec::<String>::new());
}

/// A chain of unconfirmed transactions ends somewhere: at 25 transactions up to version 30, at 64 since.
pub async fn chains_have_a_limit(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let (limit, reason) =
        if bench.version < 309_900 { (25, "too-long-mempool-chain") } else { (64, "too-large-cluster") };
    let mut coin = bench.coin();
    for _ in 0..limit {
        let tx = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(bench.keys.script(), FEE));
        bench.send(&tx).await;
        coin = Coin::of(&tx, 0, Lock::Key);
    }
    let tx = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(bench.keys.script(), FEE));
    assert_refusal(&bench.refused(&tx).await, -26, reason);
    bench.mine(1).await;
    bench.send(&tx).await;
}
