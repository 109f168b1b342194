//! Changes of the best chain.

use serde_json::{Value, json};
use tallystick_bitcoin::RpcConfig;

use super::blocks::Forge;
use super::fixture::{Bench, FEE, foreign_address, foreign_script, strings};
use super::spend::{Coin, Draft, Lock};

/// What was in blocks that are invalidated waits again, and goes back with them.
pub async fn transactions_come_back(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let parent = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(bench.keys.script(), FEE));
    let child = Draft::new().spend(&Coin::of(&parent, 0, Lock::Key)).pay_rest(foreign_script(1), FEE);
    let child = bench.keys.sign(&child);
    let parent_id = bench.send(&parent).await.to_string();
    let first = bench.mine(1).await.remove(0);
    let child_id = bench.send(&child).await.to_string();
    let second = bench.mine(1).await.remove(0);
    let height = bench.height().await;
    let mut both = vec![parent_id.clone(), child_id.clone()];
    both.sort();

    assert_eq!(bench.ok("invalidateblock", json!([second])).await, Value::Null);
    assert_eq!(bench.tip().await, first);
    assert_eq!(bench.mempool().await, std::slice::from_ref(&child_id));
    assert_eq!(bench.ok("invalidateblock", json!([first])).await, Value::Null);
    assert_eq!(bench.height().await, height - 2);
    assert_eq!(bench.mempool().await, both);
    assert_eq!(bench.ok("getmempoolentry", json!([child_id])).await["depends"], json!([parent_id]));
    let reward = bench.ok("gettxout", json!([coin.outpoint.txid, 0, false])).await;
    assert_eq!(reward["confirmations"], height - 2);
    // What the lost blocks minted is gone.
    let minted = bench.block(&second).await.txdata[0].compute_txid();
    assert_eq!(bench.ok("gettxout", json!([minted, 0])).await, Value::Null);

    assert_eq!(bench.ok("reconsiderblock", json!([first])).await, Value::Null);
    assert_eq!(bench.tip().await, second);
    assert!(bench.mempool().await.is_empty());
    assert_eq!(bench.ok("gettxout", json!([minted, 0])).await["confirmations"], 1);
    for method in ["invalidateblock", "reconsiderblock"] {
        assert_eq!(bench.err(method, json!(["11".repeat(32)])).await, (-5, "Block not found".to_owned()));
    }
}

/// A branch with more work wins as soon as it is there, and takes transactions in or leaves them out.
pub async fn a_longer_branch_wins(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let tx = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(1), FEE));
    let fork = bench.tip().await;
    let txid = bench.send(&tx).await.to_string();
    let old = bench.mine(3).await;
    let mut parent = fork;
    for round in 0..4 {
        let mut forge = Forge::on(&bench, &parent).await;
        forge.block.header.time += 30;
        let answer = forge.submit(&bench).await;
        assert_eq!(answer, if round < 3 { json!("inconclusive") } else { Value::Null });
        parent = forge.block.block_hash().to_string();
    }
    assert_eq!(bench.tip().await, parent);
    assert_eq!(bench.mempool().await, std::slice::from_ref(&txid));
    assert_eq!(bench.ok("getrawtransaction", json!([txid, 0, old[0]])).await.as_str().map(str::is_empty), Some(false));
    let hash = bench.mine(1).await.remove(0);
    assert_eq!(strings(&bench.ok("getblock", json!([hash])).await["tx"])[1], txid);
    // The old branch can still come back, with less work it does not.
    bench.ok("reconsiderblock", json!([old[0]])).await;
    assert_eq!(bench.tip().await, hash);
}

/// A rival that the new branch took keeps the old transaction out, with all that spent from it, and rewards of lost
/// blocks cannot be spent.
pub async fn conflicts_of_the_new_branch_stay_out(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let mine = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(bench.keys.script(), FEE));
    let child = Draft::new().spend(&Coin::of(&mine, 0, Lock::Key)).pay_rest(foreign_script(2), FEE);
    let child = bench.keys.sign(&child);
    let rival = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(3), FEE));
    let fork = bench.tip().await;
    bench.send(&mine).await;
    bench.mine(1).await;
    bench.send(&child).await;
    let mut first = Forge::on(&bench, &fork).await;
    first.block.header.time += 30;
    first.block.txdata.push(rival.clone());
    first.commit();
    assert_eq!(first.submit(&bench).await, "inconclusive");
    assert_eq!(bench.mempool().await.len(), 1);
    let mut second = Forge::on(&bench, &first.block.block_hash().to_string()).await;
    assert_eq!(second.submit(&bench).await, Value::Null);
    assert!(bench.mempool().await.is_empty());
    assert_eq!(bench.ok("gettxout", json!([rival.compute_txid(), 0])).await["confirmations"], 2);
    assert_eq!(bench.ok("gettxout", json!([mine.compute_txid(), 0])).await, Value::Null);
    assert_eq!(bench.refused(&mine).await, (-25, "bad-txns-inputs-missingorspent".to_owned()));

    // A reward that was just mature is not after the chain became shorter.
    let young = bench.ok("getblockhash", json!([bench.height().await - 99])).await;
    let young = Coin::of(&bench.block(young.as_str().expect("a hash")).await.txdata[0], 0, Lock::Key);
    let spend = bench.keys.sign(&Draft::new().spend(&young).pay_rest(foreign_script(4), FEE));
    bench.send(&spend).await;
    bench.ok("invalidateblock", json!([second.block.block_hash()])).await;
    assert!(bench.mempool().await.is_empty());
}

/// `getchaintips` tells all branches apart.
pub async fn tips_are_told(config: RpcConfig) {
    let bench = Bench::open(config).await;
    bench.mine(2).await;
    let fork = bench.tip().await;
    let tip = bench.mine(2).await.remove(1);
    let only = json!([{ "height": 4, "hash": tip, "branchlen": 0, "status": "active" }]);
    assert_eq!(bench.ok("getchaintips", json!([])).await, only);
    let mut side = Forge::on(&bench, &fork).await;
    side.block.header.time += 30;
    assert_eq!(side.submit(&bench).await, "inconclusive");
    let side = side.block.block_hash().to_string();
    let tips = bench.ok("getchaintips", json!([])).await;
    assert_eq!(tips[0], only[0]);
    assert_eq!(tips[1], json!({ "height": 3, "hash": side, "branchlen": 1, "status": "valid-headers" }));

    bench.ok("invalidateblock", json!([tip])).await;
    let status = async |hash: &str| {
        let tips = bench.ok("getchaintips", json!([])).await;
        let tip = tips.as_array().expect("a list").iter().find(|tip| tip["hash"] == *hash).cloned();
        tip.map(|tip| tip["status"].clone())
    };
    assert_eq!(status(&tip).await, Some(json!("invalid")));
    bench.ok("generatetoaddress", json!([2, foreign_address(3)])).await;
    bench.ok("reconsiderblock", json!([tip])).await;
    assert_eq!(status(&tip).await, Some(json!("valid-fork")));
    let info = bench.ok("getblockchaininfo", json!([])).await;
    assert_eq!((&info["blocks"], &info["headers"]), (&json!(5), &json!(5)));
}
