//! Transactions that push out others.

use bitcoin::consensus::encode::serialize_hex;
use serde_json::json;
use tallystick_bitcoin::RpcConfig;

use super::fixture::{Bench, FEE, assert_refusal, foreign_script};
use super::spend::{Coin, Draft, Lock};

/// The one that pays enough more wins, whether or not the first said that it may be replaced.
pub async fn paying_more_replaces(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let pay = |tag: u8, fee: u64| {
        bench.keys.sign(&Draft::new().spend_at(&coin, 0xffff_ffff).pay_rest(foreign_script(tag), fee))
    };
    let first = pay(1, FEE);
    let first_id = bench.send(&first).await;
    let vsize = first.vsize() as u64;
    for (tag, fee) in [(2, FEE), (2, FEE - 1_000)] {
        let refusal = bench.refused(&pay(tag, fee)).await;
        assert_refusal(&refusal, -26, "insufficient fee, rejecting replacement");
        assert_eq!(bench.tested(&pay(tag, fee)).await["reject-reason"], "insufficient fee");
    }
    // It also pays for its own way through the network.
    let more = (bench.incremental_rate().await * vsize).div_ceil(1_000);
    let refusal = bench.refused(&pay(2, FEE + more - 1)).await;
    assert_refusal(&refusal, -26, "insufficient fee, rejecting replacement");
    assert!(refusal.1.contains("not enough additional fees to relay"), "{refusal:?}");
    assert_eq!(bench.mempool().await, [first_id.to_string()]);
    let second_id = bench.send(&pay(2, FEE + more)).await;
    assert_eq!(bench.mempool().await, [second_id.to_string()]);
    assert_eq!(bench.err("getmempoolentry", json!([first_id])).await.0, -5);
    // The replaced one is just another that pays too little now.
    assert_refusal(&bench.refused(&first).await, -26, "insufficient fee");
}

/// What is replaced takes its descendants along, and they must be paid for too.
pub async fn descendants_go_too(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let parent = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(bench.keys.script(), FEE));
    let child = Draft::new().spend(&Coin::of(&parent, 0, Lock::Key)).pay_rest(foreign_script(1), 5 * FEE);
    let child = bench.keys.sign(&child);
    bench.send(&parent).await;
    bench.send(&child).await;
    let pay = |fee: u64| bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(2), fee));
    let refusal = bench.refused(&pay(6 * FEE - 1)).await;
    assert_refusal(&refusal, -26, "insufficient fee, rejecting replacement");
    assert!(refusal.1.contains("less fees than conflicting txs; 0.00059999 < 0.0006"), "{refusal:?}");
    let winner = bench.send(&pay(7 * FEE)).await;
    assert_eq!(bench.mempool().await, [winner.to_string()]);
    assert_eq!(bench.refused(&child).await, (-25, "bad-txns-inputs-missingorspent".to_owned()));

    // A transaction cannot replace what it spends from.
    bench.mine(1).await;
    let block = bench.block(&bench.tip().await).await;
    assert_eq!(block.txdata.len(), 2);
}

/// A list that is only tried may not push out anything.
pub async fn a_list_may_not_replace(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 2).await;
    let (first, second) = (bench.coin(), bench.coin());
    let pay = |coin: &Coin, fee: u64| bench.keys.sign(&Draft::new().spend(coin).pay_rest(foreign_script(1), fee));
    bench.send(&pay(&first, FEE)).await;
    let list = [pay(&first, 5 * FEE), pay(&second, FEE)];
    let hex: Vec<String> = list.iter().map(serialize_hex).collect();
    let results = bench.ok("testmempoolaccept", json!([hex])).await;
    assert_eq!(results[0]["allowed"], false);
    assert_eq!(results[0]["reject-reason"], "bip125-replacement-disallowed");
    assert!(results[1].get("allowed").is_none());
    assert_eq!(results[1]["txid"], json!(list[1].compute_txid()));
}
