//! Making blocks.

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Amount, Block};
use serde_json::json;
use tallystick_bitcoin::RpcConfig;

use super::fixture::{Bench, FEE, assert_refusal, foreign_address, foreign_script, sats, strings, text};
use super::spend::{Coin, Draft, Lock};

/// `generatetoaddress` answers one hash for each block, from the lowest up.
pub async fn generate_answers_hashes(config: RpcConfig) {
    let bench = Bench::open(config).await;
    assert_eq!(bench.ok("generatetoaddress", json!([0, foreign_address(1)])).await, json!([]));
    let hashes = strings(&bench.ok("generatetoaddress", json!([3, foreign_address(1)])).await);
    assert_eq!(hashes.len(), 3);
    for (height, hash) in (1i64..).zip(&hashes) {
        assert_eq!(bench.ok("getblockhash", json!([height])).await, json!(hash));
        let block = bench.block(hash).await;
        assert_eq!(block.txdata.len(), 1);
        assert!(block.check_merkle_root() && block.check_witness_commitment());
        let reward = &block.txdata[0];
        assert_eq!(reward.output[0].script_pubkey, foreign_script(1));
        assert_eq!(reward.output[0].value, Amount::from_int_btc(50));
        let script = &reward.input[0].script_sig;
        let begin = bitcoin::script::Builder::new().push_int(height).into_script();
        assert!(script.as_bytes().starts_with(begin.as_bytes()), "{script} does not begin with {height}");
    }
    let refusal = bench.err("generatetoaddress", json!([1, "nobody"])).await;
    assert_eq!(refusal, (-5, "Error: Invalid address".to_owned()));
    // Of another network.
    let refusal = bench.err("generatetoaddress", json!([1, "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"])).await;
    assert_eq!(refusal, (-5, "Error: Invalid address".to_owned()));
    assert_eq!(bench.height().await, 3);
    // The reward halves every 150 blocks.
    bench.mine(147).await;
    let hash = bench.tip().await;
    assert_eq!(bench.block(&hash).await.txdata[0].output[0].value, Amount::from_int_btc(25));
}

/// A reward can be spent in the 100th block above its own.
pub async fn rewards_mature_after_100_blocks(config: RpcConfig) {
    let bench = Bench::open(config).await;
    let hash = bench.mine(1).await.remove(0);
    let coin = Coin::of(&bench.block(&hash).await.txdata[0], 0, Lock::Key);
    let tx = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(1), FEE));
    bench.mine(98).await;
    let refusal = bench.refused(&tx).await;
    let reason = "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 99";
    assert_eq!(refusal, (-26, reason.to_owned()));
    let tested = bench.tested(&tx).await;
    assert_eq!(tested["reject-reason"], "bad-txns-premature-spend-of-coinbase");
    let refusal = bench.err("generateblock", json!([foreign_address(2), [serialize_hex(&tx)]])).await;
    assert_refusal(&refusal, -25, "TestBlockValidity failed: bad-txns-premature-spend-of-coinbase");
    bench.mine(1).await;
    bench.send(&tx).await;
}

/// Blocks take what waits, and the reward takes the fees.
pub async fn blocks_take_the_mempool(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 2).await;
    let (first, second) = (bench.coin(), bench.coin());
    let parent = bench.keys.sign(&Draft::new().spend(&first).pay_rest(bench.keys.script(), FEE));
    let between = Coin::of(&parent, 0, Lock::Key);
    let child = bench.keys.sign(&Draft::new().spend(&between).spend(&second).pay_rest(foreign_script(1), 2 * FEE));
    bench.send(&parent).await;
    bench.send(&child).await;
    let hash = bench.mine(1).await.remove(0);
    let block = bench.block(&hash).await;
    let ids: Vec<_> = block.txdata[1..].iter().map(bitcoin::Transaction::compute_txid).collect();
    assert_eq!(ids, [parent.compute_txid(), child.compute_txid()]);
    assert_eq!(block.txdata[0].output[0].value.to_sat(), 50 * 100_000_000 + 3 * FEE);
    assert!(block.check_witness_commitment());
    assert!(bench.mempool().await.is_empty());
}

/// `generateblock` leaves the mempool alone and checks what it is given.
pub async fn generateblock_takes_what_it_is_given(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 3).await;
    let (first, second, third) = (bench.coin(), bench.coin(), bench.coin());
    let waiting = bench.keys.sign(&Draft::new().spend(&first).pay_rest(foreign_script(1), FEE));
    let unknown = bench.keys.sign(&Draft::new().spend(&second).pay_rest(foreign_script(2), FEE));
    bench.send(&waiting).await;
    let empty = bench.ok("generateblock", json!([foreign_address(9), []])).await;
    assert_eq!(bench.block(&text(&empty["hash"])).await.txdata.len(), 1);
    assert_eq!(bench.mempool().await.len(), 1);

    let list = json!([waiting.compute_txid(), serialize_hex(&unknown)]);
    let kept = bench.ok("generateblock", json!([foreign_address(9), list, false])).await;
    let block: Block = deserialize_hex(&text(&kept["hex"])).expect("a block");
    assert_eq!(kept["hash"], json!(block.block_hash()));
    assert_eq!(block.txdata.len(), 3);
    assert_ne!(bench.tip().await, text(&kept["hash"]));

    let made = bench.ok("generateblock", json!([foreign_address(9), list])).await;
    assert_eq!(bench.tip().await, text(&made["hash"]));
    assert!(made.get("hex").is_none());
    // The fees are nobody's.
    let block = bench.block(&text(&made["hash"])).await;
    assert_eq!(block.txdata[0].output[0].value, Amount::from_int_btc(50));
    assert!(bench.mempool().await.is_empty());

    let absent = "11".repeat(32);
    let refusal = bench.err("generateblock", json!([foreign_address(9), [absent]])).await;
    assert_eq!(refusal, (-5, format!("Transaction {absent} not in mempool.")));
    let refusal = bench.err("generateblock", json!([foreign_address(9), ["00ff"]])).await;
    assert_refusal(&refusal, -22, "Transaction decode failed for 00ff.");
    let refusal = bench.err("generateblock", json!(["nobody", []])).await;
    assert_eq!(refusal, (-5, "Error: Invalid address or descriptor".to_owned()));
    // Its output is still there, and would be overwritten.
    let again = json!([foreign_address(9), [serialize_hex(&unknown)]]);
    assert_refusal(&bench.err("generateblock", again).await, -25, "TestBlockValidity failed: bad-txns-BIP30");
    let greedy = bench.keys.sign(&Draft::new().spend(&third).pay(foreign_script(3), third.sats() + 1));
    let refusal = bench.err("generateblock", json!([foreign_address(9), [serialize_hex(&greedy)]])).await;
    assert_refusal(&refusal, -25, "TestBlockValidity failed: bad-txns-in-belowout");
}

/// When not everything fits at once is rare on regtest, but the order shows what is preferred.
pub async fn better_paying_transactions_come_first(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 3).await;
    let mut sent = Vec::new();
    for fee in [2_000, 50_000, 9_000] {
        let coin = bench.coin();
        let tx = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(bench.keys.script(), fee));
        sent.push((fee, bench.send(&tx).await, tx));
    }
    // A generous child takes its parent with it to the front.
    let child = Draft::new().spend(&Coin::of(&sent[0].2, 0, Lock::Key)).pay_rest(foreign_script(1), 900_000);
    let child = bench.keys.sign(&child);
    bench.send(&child).await;
    let hash = bench.mine(1).await.remove(0);
    let ids: Vec<_> = bench.block(&hash).await.txdata[1..].iter().map(bitcoin::Transaction::compute_txid).collect();
    assert_eq!(ids, [sent[0].1, child.compute_txid(), sent[1].1, sent[2].1]);
    let reward = bench.ok("getblock", json!([hash, 2])).await["tx"][0]["vout"][0]["value"].clone();
    assert_eq!(sats(&reward), 50 * 100_000_000 + 961_000);
}
