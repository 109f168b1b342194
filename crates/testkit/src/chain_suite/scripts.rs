//! Signatures and scripts.

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::opcodes::all::OP_EQUALVERIFY;
use bitcoin::{Transaction, Witness};
use serde_json::json;
use tallystick_bitcoin::RpcConfig;

use super::fixture::{Bench, FEE, assert_refusal, foreign_address, foreign_script};
use super::spend::{Coin, Draft, Lock};

/// What every refusal for a script has in common; before and after it versions differ.
const SCRIPT_FAILED: &str = "script-verify-flag-failed (";

async fn assert_script_fails(bench: &Bench, tx: &Transaction) {
    let refusal = bench.refused(tx).await;
    assert!(refusal.0 == -26 && refusal.1.contains(SCRIPT_FAILED), "{refusal:?}");
    let tested = bench.tested(tx).await;
    assert_eq!(tested["allowed"], false);
    // Mining it is no way around.
    let refusal = bench.err("generateblock", json!([foreign_address(9), [serialize_hex(tx)]])).await;
    assert_refusal(&refusal, -25, "TestBlockValidity failed: ");
    assert!(refusal.1.contains(SCRIPT_FAILED), "{refusal:?}");
}

/// One changed bit anywhere breaks a signature.
pub async fn signatures_must_be_right(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let good = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(1), FEE));
    let mut other_amount = good.clone();
    other_amount.output[0].value -= bitcoin::Amount::ONE_SAT;
    assert_script_fails(&bench, &other_amount).await;
    let mut other_signature = good.clone();
    let mut items: Vec<Vec<u8>> = good.input[0].witness.to_vec();
    items[0][20] ^= 1;
    other_signature.input[0].witness = Witness::from_slice(&items);
    assert_script_fails(&bench, &other_signature).await;
    let mut unsigned = good.clone();
    unsigned.input[0].witness = Witness::new();
    assert_script_fails(&bench, &unsigned).await;
    bench.send(&good).await;
}

/// Every kind of lock that Lightning and its wallet use.
pub async fn taproot_and_scripts_spend(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let guarded = bench.keys.guarded(7, OP_EQUALVERIFY);
    let Lock::Script(script) = &guarded else { panic!("a script") };
    let locks = [Lock::Key, Lock::Taproot, guarded.clone()];
    let draft =
        locks.iter().fold(Draft::new().spend(&coin), |draft, lock| draft.pay(bench.keys.lock_script(lock), 1_000_000));
    let funding = bench.keys.sign(&draft.pay_rest(bench.keys.script(), FEE));
    bench.send(&funding).await;
    bench.mine(1).await;

    let taproot = Coin::of(&funding, 1, Lock::Taproot);
    let both = Draft::new().spend(&Coin::of(&funding, 0, Lock::Key)).spend(&taproot).pay_rest(foreign_script(1), FEE);
    let both = bench.keys.sign(&both);
    let mut broken = both.clone();
    let mut signature = broken.input[1].witness.to_vec().remove(0);
    signature[40] ^= 1;
    broken.input[1].witness = Witness::from_slice(&[signature]);
    assert_script_fails(&bench, &broken).await;
    // A Taproot signature covers the amounts of all inputs.
    let mut wrong = taproot.clone();
    wrong.output.value -= bitcoin::Amount::ONE_SAT;
    let lied = Draft::new().spend(&wrong).pay_rest(foreign_script(2), FEE);
    assert_script_fails(&bench, &bench.keys.sign(&lied)).await;
    bench.send(&both).await;

    // The script asks for a 7 below the signature.
    let spend = Draft::new().spend(&Coin::of(&funding, 2, guarded.clone())).pay_rest(foreign_script(3), FEE);
    let mut tx = bench.keys.sign(&spend);
    assert_script_fails(&bench, &tx).await;
    let signature = tx.input[0].witness.to_vec().remove(0);
    // The condition is met, but OP_DROP then takes the signature away: it must be there twice.
    tx.input[0].witness = Witness::from_slice(&[signature.clone(), signature, vec![7], script.to_bytes()]);
    bench.send(&tx).await;
    bench.mine(1).await;
    assert!(bench.mempool().await.is_empty());
}

/// A pay-to-anchor output needs no signature, and takes no witness.
pub async fn anchors_are_for_everyone(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 2).await;
    let (coin, more) = (bench.coin(), bench.coin());
    let draft = Draft::new().spend(&coin).pay(bench.keys.lock_script(&Lock::Anchor), 10_000);
    let parent = bench.keys.sign(&draft.pay_rest(bench.keys.script(), FEE));
    bench.send(&parent).await;
    let anchor = Coin::of(&parent, 0, Lock::Anchor);
    let out = bench.ok("gettxout", json!([parent.compute_txid(), 0])).await;
    assert_eq!(out["scriptPubKey"]["type"], "anchor");
    assert_eq!(out["scriptPubKey"]["address"], "bcrt1pfeesnyr2tx");
    let child = bench.keys.sign(&Draft::new().spend(&anchor).spend(&more).pay_rest(foreign_script(1), FEE));
    let mut stuffed = child.clone();
    stuffed.input[0].witness = Witness::from_slice(&[[1u8]]);
    assert_eq!(bench.refused(&stuffed).await, (-26, "bad-witness-nonstandard".to_owned()));
    bench.send(&child).await;
    bench.mine(1).await;
    assert!(bench.mempool().await.is_empty());
}
