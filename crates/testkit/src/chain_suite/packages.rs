//! A child with the parents that it pays for.

use bitcoin::Transaction;
use bitcoin::consensus::encode::serialize_hex;
use serde_json::{Value, json};
use tallystick_bitcoin::RpcConfig;

use super::fixture::{Bench, FEE, assert_refusal, foreign_script, sats};
use super::spend::{Coin, Draft, Lock};

async fn submit(bench: &Bench, txs: &[&Transaction]) -> Value {
    bench.ok("submitpackage", json!([hex(txs)])).await
}

fn hex(txs: &[&Transaction]) -> Vec<String> {
    txs.iter().map(|tx| serialize_hex(*tx)).collect()
}

fn result<'a>(answer: &'a Value, tx: &Transaction) -> &'a Value {
    &answer["tx-results"][tx.compute_wtxid().to_string()]
}

/// A version 3 parent that pays nothing and has an anchor, and a child that pays for both through it.
fn anchored(bench: &Bench, coin: &Coin, funds: &Coin, fee: u64) -> (Transaction, Transaction) {
    let anchor = bench.keys.lock_script(&Lock::Anchor);
    let parent = Draft::new().version(3).spend(coin).pay(anchor, 0).pay_rest(bench.keys.script(), 0);
    let parent = bench.keys.sign(&parent);
    let child = Draft::new().version(3).spend(&Coin::of(&parent, 0, Lock::Anchor)).spend(funds);
    let child = bench.keys.sign(&child.pay_rest(foreign_script(1), fee));
    (parent, child)
}

/// A parent that pays nothing gets in with a child that pays for both.
pub async fn a_child_pays_for_its_parent(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 2).await;
    let (coin, funds) = (bench.coin(), bench.coin());
    let (parent, child) = anchored(&bench, &coin, &funds, FEE);
    assert_refusal(&bench.refused(&parent).await, -26, "min relay fee not met, 0 < ");
    assert_eq!(bench.refused(&child).await, (-25, "bad-txns-inputs-missingorspent".to_owned()));
    let answer = submit(&bench, &[&parent, &child]).await;
    assert_eq!(answer["package_msg"], "success");
    assert_eq!(answer["replaced-transactions"], json!([]));
    let vsize = (parent.vsize() + child.vsize()) as u64;
    let wtxids = json!([parent.compute_wtxid(), child.compute_wtxid()]);
    for (tx, fee) in [(&parent, 0), (&child, FEE)] {
        let result = result(&answer, tx);
        assert_eq!(result["txid"], json!(tx.compute_txid()));
        assert_eq!(result["vsize"], tx.vsize());
        assert_eq!(sats(&result["fees"]["base"]), fee);
        assert_eq!(sats(&result["fees"]["effective-feerate"]), FEE * 1_000 / vsize);
        assert_eq!(result["fees"]["effective-includes"], wtxids);
        assert!(result.get("error").is_none());
    }
    assert_eq!(bench.mempool().await.len(), 2);
    // Another child may take the place of the first if it pays more.
    let (_, better) = anchored(&bench, &coin, &funds, 3 * FEE);
    bench.send(&better).await;
    let hash = bench.mine(1).await.remove(0);
    let ids: Vec<_> = bench.block(&hash).await.txdata[1..].iter().map(Transaction::compute_txid).collect();
    assert_eq!(ids, [parent.compute_txid(), better.compute_txid()]);
}

/// What is in the mempool already is told apart, and what is good by itself needs no package.
pub async fn a_package_that_is_known(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let draft = Draft::new().spend(&coin).pay_rest(bench.keys.script(), FEE);
    let (parent, twin) = (bench.keys.sign(&draft), bench.keys.sign_with(&draft, &[9; 32]));
    let child = Draft::new().spend(&Coin::of(&parent, 0, Lock::Key)).pay_rest(foreign_script(1), FEE);
    let child = bench.keys.sign(&child);
    let answer = submit(&bench, &[&parent, &child]).await;
    assert_eq!(answer["package_msg"], "success");
    let fees = &result(&answer, &parent)["fees"];
    assert_eq!(sats(&fees["effective-feerate"]), FEE * 1_000 / parent.vsize() as u64);
    assert_eq!(fees["effective-includes"], json!([parent.compute_wtxid()]));

    let answer = submit(&bench, &[&parent, &child]).await;
    assert_eq!(answer["package_msg"], "success");
    let known = result(&answer, &child);
    assert_eq!((&known["vsize"], sats(&known["fees"]["base"])), (&json!(child.vsize()), FEE));
    assert!(known["fees"].get("effective-feerate").is_none());

    let answer = submit(&bench, &[&twin, &child]).await;
    assert_eq!(answer["package_msg"], "success");
    assert_eq!(result(&answer, &twin)["other-wtxid"], json!(parent.compute_wtxid()));
    // One transaction is a package too.
    let answer = submit(&bench, &[&parent]).await;
    assert_eq!(answer["package_msg"], "success");
}

/// Only a child with its parents, in this order, is a package.
pub async fn topologies_that_are_refused(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 2).await;
    let (first, second) = (bench.coin(), bench.coin());
    let pay = |coin: &Coin| bench.keys.sign(&Draft::new().spend(coin).pay_rest(bench.keys.script(), FEE));
    let (parent, stranger) = (pay(&first), pay(&second));
    let child = pay(&Coin::of(&parent, 0, Lock::Key));
    let grandchild = pay(&Coin::of(&child, 0, Lock::Key));
    let reason = "package topology disallowed. not child-with-parents or parents depend on each other.";
    for list in [vec![&parent, &stranger], vec![&child, &parent], vec![&parent, &child, &grandchild]] {
        assert_eq!(bench.err("submitpackage", json!([hex(&list)])).await, (-25, reason.to_owned()));
    }
    let count = "Array must contain between 1 and 25 transactions.".to_owned();
    assert_eq!(bench.err("submitpackage", json!([[]])).await, (-8, count.clone()));
    assert_eq!(bench.err("submitpackage", json!([vec!["00"; 26]])).await, (-8, count));
    assert_refusal(&bench.err("submitpackage", json!([["00"]])).await, -22, "TX decode failed: 00 Make sure");
    assert!(bench.mempool().await.is_empty());
    // A parent that can never be good spoils the rest.
    let mut broken = parent.clone();
    broken.input[0].witness.clear();
    let answer = submit(&bench, &[&broken, &child]).await;
    assert_eq!(answer["package_msg"], "transaction failed");
    let error = result(&answer, &broken)["error"].as_str().map(str::to_owned);
    assert!(error.is_some_and(|error| error.contains("script-verify-flag-failed (")), "{answer}");
    assert_eq!(result(&answer, &child)["error"], "bad-txns-inputs-missingorspent");
}

/// Dust may be made only to be spent at once.
pub async fn dust_must_be_spent(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 2).await;
    let (coin, funds) = (bench.coin(), bench.coin());
    let (parent, child) = anchored(&bench, &coin, &funds, FEE);
    // A child that takes the change and leaves the anchor.
    let taker = Draft::new().version(3).spend(&Coin::of(&parent, 1, Lock::Key)).pay_rest(foreign_script(1), FEE);
    let taker = bench.keys.sign(&taker);
    let answer = submit(&bench, &[&parent, &taker]).await;
    assert_eq!(answer["package_msg"], "unspent-dust");
    let error = result(&answer, &taker)["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.starts_with("missing-ephemeral-spends, tx "), "{answer}");
    assert!(bench.mempool().await.is_empty());
    // A child that pays too little leaves everything outside.
    let (_, poor) = anchored(&bench, &coin, &funds, 1);
    let answer = submit(&bench, &[&parent, &poor]).await;
    assert_eq!(answer["package_msg"], "transaction failed");
    let error = result(&answer, &poor)["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.starts_with("min relay fee not met, 1 < "), "{answer}");
    assert!(
        result(&answer, &parent)["error"]
            .as_str()
            .is_some_and(|error| error.starts_with("min relay fee not met, 0 < "))
    );
    let answer = submit(&bench, &[&parent, &child]).await;
    assert_eq!(answer["package_msg"], "success");
}

/// A package replaces what it conflicts with only if blocks are better for it: more fee alone is not enough.
pub async fn a_package_must_pay_a_better_rate(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 2).await;
    let (coin, funds) = (bench.coin(), bench.coin());
    let small = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(1), 5 * FEE));
    bench.send(&small).await;
    // Parent and child pay more than it, but they are more than twice as large.
    let (parent, child) = anchored(&bench, &coin, &funds, 7 * FEE);
    let answer = submit(&bench, &[&parent, &child]).await;
    assert_eq!(answer["package_msg"], "package RBF failed: insufficient feerate: does not improve feerate diagram");
    assert_eq!(bench.mempool().await, [small.compute_txid().to_string()]);
    let (parent, child) = anchored(&bench, &coin, &funds, 30 * FEE);
    let answer = submit(&bench, &[&parent, &child]).await;
    assert_eq!(answer["package_msg"], "success");
    assert_eq!(answer["replaced-transactions"], json!([small.compute_txid()]));
    assert_eq!(bench.mempool().await.len(), 2);
}

/// Version 3 (BIP 431): one parent, one child, both small.
pub async fn version_3_families_are_small(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 2).await;
    let (coin, other) = (bench.coin(), bench.coin());
    let pay = |version: i32, coin: &Coin| {
        bench.keys.sign(&Draft::new().version(version).spend(coin).pay_rest(bench.keys.script(), FEE))
    };
    let parent = pay(3, &coin);
    bench.send(&parent).await;
    let mixed = pay(2, &Coin::of(&parent, 0, Lock::Key));
    assert_refusal(&bench.refused(&mixed).await, -26, "TRUC-violation, non-version=3 tx");
    let child = pay(3, &Coin::of(&parent, 0, Lock::Key));
    bench.send(&child).await;
    let grandchild = pay(3, &Coin::of(&child, 0, Lock::Key));
    let refusal = bench.refused(&grandchild).await;
    assert_refusal(&refusal, -26, "TRUC-violation, tx ");
    assert!(refusal.1.ends_with("would have too many ancestors"), "{refusal:?}");
    assert_eq!(bench.tested(&grandchild).await["reject-reason"], "TRUC-violation");
    // In blocks the restriction ends.
    let plain = pay(2, &other);
    bench.send(&plain).await;
    let mixed = pay(3, &Coin::of(&plain, 0, Lock::Key));
    assert_refusal(&bench.refused(&mixed).await, -26, "TRUC-violation, version=3 tx");
    bench.mine(1).await;
    bench.send(&mixed).await;
    bench.send(&grandchild).await;
}

/// `testmempoolaccept` with several: later ones may spend from earlier ones.
pub async fn lists_are_tried_together(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let pay = |coin: &Coin| bench.keys.sign(&Draft::new().spend(coin).pay_rest(bench.keys.script(), FEE));
    let parent = pay(&coin);
    let child = pay(&Coin::of(&parent, 0, Lock::Key));
    let grandchild = pay(&Coin::of(&child, 0, Lock::Key));
    let list = [&parent, &child, &grandchild];
    let results = bench.ok("testmempoolaccept", json!([hex(&list)])).await;
    for (result, tx) in results.as_array().expect("a list").iter().zip(list) {
        assert_eq!((&result["wtxid"], &result["allowed"]), (&json!(tx.compute_wtxid()), &json!(true)));
        assert_eq!(sats(&result["fees"]["base"]), FEE);
        assert_eq!(result["fees"]["effective-includes"], json!([tx.compute_wtxid()]));
    }
    assert!(bench.mempool().await.is_empty());
    let results = bench.ok("testmempoolaccept", json!([hex(&[&child, &parent])])).await;
    assert_eq!(results[0]["package-error"], "package-not-sorted");
    let results = bench.ok("testmempoolaccept", json!([hex(&[&parent, &parent])])).await;
    assert_eq!(results[1]["package-error"], "package-contains-duplicates");
    let rival = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(5), FEE));
    let results = bench.ok("testmempoolaccept", json!([hex(&[&parent, &rival])])).await;
    assert_eq!(results[0]["package-error"], "conflict-in-package");
    assert!(results[0].get("allowed").is_none());
}
