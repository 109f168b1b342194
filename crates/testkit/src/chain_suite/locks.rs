//! Absolute and relative time locks (BIP 65, 68, 112, 113).

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::opcodes::all::{OP_CLTV, OP_CSV};
use serde_json::json;
use tallystick_bitcoin::RpcConfig;

use super::blocks::Forge;
use super::fixture::{Bench, FEE, assert_refusal, foreign_address, foreign_script};
use super::spend::{Coin, Draft, Lock};

/// The unit of relative lock times by time: 512 seconds (BIP 68).
const UNIT_SECONDS: u32 = 512;
/// The bit that says so.
const BY_TIME: u32 = 1 << 22;

async fn assert_early(bench: &Bench, tx: &bitcoin::Transaction, reason: &str) {
    assert_eq!(bench.refused(tx).await, (-26, reason.to_owned()));
    assert_eq!(bench.tested(tx).await["reject-reason"], reason);
    let refusal = bench.err("generateblock", json!([foreign_address(9), [serialize_hex(tx)]])).await;
    assert_refusal(&refusal, -25, "TestBlockValidity failed: bad-txns-nonfinal");
}

/// Mines until the median time is at least `time`, with blocks from the future.
async fn advance_median_time(bench: &Bench, time: u32) {
    // The median of 11 is the sixth.
    for _ in 0..6 {
        let mut forge = Forge::on_tip(bench).await;
        forge.block.header.time = forge.block.header.time.max(time);
        assert_eq!(forge.submit(bench).await, json!(null));
    }
    assert!(bench.median_time().await >= time);
}

/// A transaction may be in the first block above its lock time.
pub async fn height_locks(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 2).await;
    let (coin, other) = (bench.coin(), bench.coin());
    let height = u32::try_from(bench.height().await).expect("a height");
    let draft = |lock: u32, sequence: u32| {
        Draft::new().spend_at(&coin, sequence).lock_time(lock).pay_rest(foreign_script(1), FEE)
    };
    let tx = bench.keys.sign(&draft(height + 1, 0xffff_fffe));
    assert_early(&bench, &tx, "non-final").await;
    // Without a sequence number that lets it count, the lock does nothing.
    let open = bench.keys.sign(&draft(height + 1, 0xffff_ffff));
    assert_eq!(bench.tested(&open).await["allowed"], true);
    let now = Draft::new().spend_at(&other, 0).lock_time(height).pay_rest(foreign_script(2), FEE);
    bench.send(&bench.keys.sign(&now)).await;
    bench.mine(1).await;
    bench.send(&tx).await;
}

/// The same by time, measured by the median of the last 11 blocks.
pub async fn time_locks(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 2).await;
    let (coin, other) = (bench.coin(), bench.coin());
    let median = bench.median_time().await;
    let until = |coin: &Coin, time: u32| {
        bench.keys.sign(&Draft::new().spend_at(coin, 0).lock_time(time).pay_rest(foreign_script(1), FEE))
    };
    assert_early(&bench, &until(&coin, median), "non-final").await;
    bench.send(&until(&other, median - 1)).await;
    let later = median + 600;
    let tx = until(&coin, later);
    assert_early(&bench, &tx, "non-final").await;
    advance_median_time(&bench, later + 1).await;
    bench.send(&tx).await;
    bench.mine(1).await;
    assert!(bench.mempool().await.is_empty());
}

/// A coin can be asked to be some blocks old.
pub async fn relative_height_locks(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let funding = bench
        .keys
        .sign(&Draft::new().spend(&coin).pay(bench.keys.script(), 1_000_000).pay_rest(bench.keys.script(), FEE));
    bench.send(&funding).await;
    let young = Coin::of(&funding, 0, Lock::Key);
    let after = |blocks: u32, version: i32| {
        bench.keys.sign(&Draft::new().version(version).spend_at(&young, blocks).pay_rest(foreign_script(1), FEE))
    };
    // Unconfirmed, it would be in the same block: zero blocks old.
    assert_eq!(bench.refused(&after(1, 2)).await, (-26, "non-BIP68-final".to_owned()));
    assert_eq!(bench.tested(&after(0, 2)).await["allowed"], true);
    // Version 1 does not know relative locks, and the highest bit turns them off.
    assert_eq!(bench.tested(&after(9, 1)).await["allowed"], true);
    assert_eq!(bench.tested(&after(1 << 31 | 9, 2)).await["allowed"], true);
    bench.mine(1).await;
    let tx = after(3, 2);
    bench.mine(1).await;
    assert_early(&bench, &tx, "non-BIP68-final").await;
    bench.mine(1).await;
    bench.send(&tx).await;
    bench.mine(1).await;
    assert!(bench.mempool().await.is_empty());
}

/// The same by time, in units of 512 seconds.
pub async fn relative_time_locks(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let funding = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(bench.keys.script(), FEE));
    // Measured from the median time of the block before that of the coin.
    let since = bench.median_time().await;
    bench.send(&funding).await;
    bench.mine(1).await;
    let spend = Draft::new().spend_at(&Coin::of(&funding, 0, Lock::Key), BY_TIME | 1).pay_rest(foreign_script(1), FEE);
    let tx = bench.keys.sign(&spend);
    assert_early(&bench, &tx, "non-BIP68-final").await;
    advance_median_time(&bench, since + UNIT_SECONDS).await;
    bench.send(&tx).await;
    bench.mine(1).await;
    assert!(bench.mempool().await.is_empty());
}

/// Scripts can ask for lock times of the transaction that spends them.
pub async fn script_locks(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let height = u32::try_from(bench.height().await).expect("a height");
    let (absolute, relative) = (bench.keys.guarded(height + 4, OP_CLTV), bench.keys.guarded(4, OP_CSV));
    let draft = Draft::new()
        .spend(&coin)
        .pay(bench.keys.lock_script(&absolute), 1_000_000)
        .pay(bench.keys.lock_script(&relative), 1_000_000)
        .pay_rest(bench.keys.script(), FEE);
    let funding = bench.keys.sign(&draft);
    bench.send(&funding).await;
    bench.mine(1).await;
    let (absolute, relative) = (Coin::of(&funding, 0, absolute), Coin::of(&funding, 1, relative));
    let spend = |coin: &Coin, sequence: u32, lock: u32| {
        bench.keys.sign(&Draft::new().spend_at(coin, sequence).lock_time(lock).pay_rest(foreign_script(1), FEE))
    };
    for tx in [spend(&absolute, 0, 0), spend(&absolute, 0, height + 1), spend(&relative, 0, 0), spend(&relative, 1, 0)]
    {
        let refusal = bench.refused(&tx).await;
        assert!(refusal.0 == -26 && refusal.1.contains("script-verify-flag-failed ("), "{refusal:?}");
    }
    let (by_height, by_age) = (spend(&absolute, 0, height + 4), spend(&relative, 4, 0));
    assert_eq!(bench.refused(&by_height).await, (-26, "non-final".to_owned()));
    assert_eq!(bench.refused(&by_age).await, (-26, "non-BIP68-final".to_owned()));
    bench.mine(3).await;
    bench.send(&by_height).await;
    bench.send(&by_age).await;
    bench.mine(1).await;
    assert!(bench.mempool().await.is_empty());
}
