//! The miner, against the chain of this crate and against Bitcoin Core.

use bitcoin::{Address, Amount, Network, OutPoint, ScriptBuf, Txid};
use tallystick_bitcoin::RpcClient;
use tallystick_devnet::{Branch, MinerError, REGTEST_BLOCKS_START, RegtestChain};

fn address(tag: u8) -> Address {
    let script =
        ScriptBuf::new_p2wpkh(&bitcoin::WPubkeyHash::from_raw_hash(bitcoin::hashes::Hash::from_byte_array([tag; 20])));
    Address::from_script(&script, Network::Regtest).expect("P2WPKH has an address")
}

/// The output of a faucet transaction, if it exists: confirmations and value.
async fn paid(rpc: &RpcClient, txid: Txid) -> Option<(u32, Amount)> {
    let out = rpc.get_tx_out(&OutPoint { txid, vout: 0 }, true).await.expect("gettxout answers");
    out.map(|out| (out.confirmations, out.value))
}

#[tokio::test]
async fn the_faucet_pays_many_times_before_a_block() {
    pay_many_times(RegtestChain::start().await.expect("it starts")).await;
}

#[tokio::test]
async fn the_faucet_pays_many_times_before_a_block_of_core() {
    pay_many_times(RegtestChain::start_core().await.expect("it starts")).await;
}

async fn pay_many_times(chain: RegtestChain) {
    let rpc = chain.rpc();
    let mut txids = Vec::new();
    for tag in 0..20 {
        txids.push(chain.miner().faucet(&address(tag), Amount::from_sat(1_000_000)).await.expect("it pays"));
    }
    assert_eq!(paid(rpc, txids[0]).await, Some((0, Amount::from_sat(1_000_000))));
    chain.miner().mine(1).await.expect("a block");
    for txid in txids {
        assert_eq!(paid(rpc, txid).await, Some((1, Amount::from_sat(1_000_000))));
    }
    assert!(rpc.get_raw_mempool().await.expect("mempool").is_empty());
    // One payment that needs several coins, and one that no coins suffice for.
    let large = Amount::from_sat(120 * 100_000_000);
    let txid = chain.miner().faucet(&address(99), large).await.expect("several coins");
    assert_eq!(paid(rpc, txid).await, Some((0, large)));
    let dry = chain.miner().faucet(&address(98), Amount::from_sat(90_000 * 100_000_000)).await;
    assert!(matches!(dry, Err(MinerError::Dry { .. })), "{dry:?}");
    chain.stop().await;
}

#[tokio::test]
async fn a_reorganisation_keeps_or_leaves_out_transactions() {
    reorganise(RegtestChain::start().await.expect("it starts")).await;
}

#[tokio::test]
async fn a_reorganisation_of_core_keeps_or_leaves_out_transactions() {
    reorganise(RegtestChain::start_core().await.expect("it starts")).await;
}

async fn reorganise(chain: RegtestChain) {
    let (rpc, miner) = (chain.rpc(), chain.miner());
    let amount = Amount::from_sat(70_000);
    let txid = miner.faucet(&address(1), amount).await.expect("it pays");
    let old = miner.mine(3).await.expect("blocks");
    assert_eq!(paid(rpc, txid).await, Some((3, amount)));

    let kept = miner.reorg(3, 4, Branch::KeepTransactions).await.expect("a longer branch");
    assert_eq!(rpc.get_best_block_hash().await.expect("tip"), kept[3]);
    assert_eq!(paid(rpc, txid).await, Some((4, amount)));
    assert_eq!(rpc.get_block_header(&old[2]).await.expect("old header").confirmations, -1);

    miner.reorg(4, 6, Branch::Empty).await.expect("an empty branch");
    assert_eq!(paid(rpc, txid).await, Some((0, amount)));
    assert_eq!(rpc.get_raw_mempool().await.expect("mempool"), [txid]);
    assert_eq!(rpc.get_block_count().await.expect("height"), REGTEST_BLOCKS_START + 6);

    // The purse notices, and goes on paying.
    miner.faucet(&address(2), amount).await.expect("it pays after a reorganisation");
    miner.mine(1).await.expect("a block");
    assert_eq!(paid(rpc, txid).await, Some((1, amount)));
    let short = miner.reorg(2, 2, Branch::Empty).await;
    assert!(matches!(short, Err(MinerError::BranchTooShort { depth: 2, length: 2 })), "{short:?}");
    let deep = miner.reorg(500, 501, Branch::Empty).await;
    assert!(matches!(deep, Err(MinerError::TooDeep { depth: 500, .. })), "{deep:?}");
}

#[tokio::test]
async fn a_stopped_chain_frees_its_port() {
    stop(RegtestChain::start_empty().await.expect("it starts")).await;
}

#[tokio::test]
async fn a_stopped_core_frees_its_port() {
    stop(RegtestChain::start_core_empty().await.expect("it starts")).await;
}

async fn stop(chain: RegtestChain) {
    let rpc = chain.rpc().clone();
    assert_eq!(rpc.get_block_count().await.expect("height"), 0);
    assert_eq!(rpc.call::<String>("stop", serde_json::json!([])).await.expect("stops"), "Bitcoin Core stopping");
    chain.stop().await;
    let error = rpc.get_block_count().await.expect_err("nobody listens");
    assert!(error.is_transient(), "{error}");
}
