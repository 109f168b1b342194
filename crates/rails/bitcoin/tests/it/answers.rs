//! Answers become values of the `bitcoin` crate, and are checked on the way.

use bitcoin::hashes::Hash;
use bitcoin::{Amount, BlockHash, FeeRate, Network, OutPoint, Txid};
use tallystick_bitcoin::EstimateMode;
use tallystick_core::Coded;

use crate::server::{Answer, client};

/// The first block of regtest.
const GENESIS: &str = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";

fn genesis_header(nonce: u32) -> String {
    format!(
        "{{\"hash\":\"{GENESIS}\",\"confirmations\":1,\"height\":0,\"version\":1,\"versionHex\":\"00000001\",\
         \"merkleroot\":\"4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b\",\"time\":1296688602,\
         \"mediantime\":1296688602,\"nonce\":{nonce},\"bits\":\"207fffff\",\"difficulty\":4.656542373906925e-10,\
         \"chainwork\":\"0000000000000000000000000000000000000000000000000000000000000002\",\"nTx\":1}}"
    )
}

#[tokio::test]
async fn headers_must_hash_to_what_was_asked_for() {
    let genesis = bitcoin::constants::genesis_block(Network::Regtest);
    let (good, _) = client(vec![Answer::result(&genesis_header(2))]).await;
    let info = good.get_block_header(&genesis.block_hash()).await.expect("a header");
    assert_eq!((info.header, info.height, info.confirmations), (genesis.header, 0, 1));
    assert_eq!((info.chain_work, info.next_block_hash), (genesis.header.work(), None));
    let (forged, _) = client(vec![Answer::result(&genesis_header(3))]).await;
    let error = forged.get_block_header(&genesis.block_hash()).await.expect_err("another nonce");
    assert_eq!(error.code().0, "bitcoin.rpc_decode");
    let (other, _) = client(vec![Answer::result(&genesis_header(2))]).await;
    let error = other.get_block_header(&BlockHash::all_zeros()).await.expect_err("another block");
    assert_eq!(error.code().0, "bitcoin.rpc_decode");
}

#[tokio::test]
async fn blocks_must_be_what_was_asked_for() {
    let genesis = bitcoin::constants::genesis_block(Network::Regtest);
    let hash = genesis.block_hash();
    let hex = |block: &bitcoin::Block| format!("\"{}\"", bitcoin::consensus::encode::serialize_hex(block));
    let (good, _) = client(vec![Answer::result(&hex(&genesis))]).await;
    assert_eq!(good.get_block(&hash).await.expect("a block"), genesis);
    let mut changed = genesis.clone();
    changed.txdata[0].output[0].value = Amount::ZERO;
    for answer in
        [hex(&changed), "\"\"".to_owned(), "\"zz\"".to_owned(), format!("{}00\"", hex(&genesis).trim_end_matches('"'))]
    {
        let (bad, _) = client(vec![Answer::result(&answer)]).await;
        let error = bad.get_block(&hash).await.expect_err("not that block");
        assert_eq!(error.code().0, "bitcoin.rpc_decode");
    }
}

#[tokio::test]
async fn chain_information_is_typed() {
    let answer = format!(
        "{{\"chain\":\"regtest\",\"blocks\":3,\"headers\":4,\"bestblockhash\":\"{GENESIS}\",\"mediantime\":5,\
         \"chainwork\":\"{:064x}\",\"initialblockdownload\":true,\"pruned\":false,\"something\":[1]}}",
        8
    );
    let (good, _) = client(vec![Answer::result(&answer)]).await;
    let info = good.get_blockchain_info().await.expect("information");
    assert_eq!((info.network, info.blocks, info.headers, info.median_time), (Network::Regtest, 3, 4, 5));
    let (odd, _) = client(vec![Answer::result(&answer.replace("regtest", "moonnet"))]).await;
    assert_eq!(odd.get_blockchain_info().await.expect_err("no such network").code().0, "bitcoin.rpc_decode");
}

#[tokio::test]
async fn amounts_and_rates_are_exact() {
    let out = |value: &str| {
        format!(
            "{{\"bestblock\":\"{GENESIS}\",\"confirmations\":2,\"value\":{value},\
             \"scriptPubKey\":{{\"asm\":\"1\",\"hex\":\"51\",\"type\":\"nonstandard\"}},\"coinbase\":true}}"
        )
    };
    let outpoint = OutPoint { txid: Txid::all_zeros(), vout: 0 };
    for (text, sats) in
        [("0.00000001", 1), ("20999999.97690000", 2_099_999_997_690_000), ("1e-8", 1), ("50", 5_000_000_000)]
    {
        let (client, _) = client(vec![Answer::result(&out(text))]).await;
        let found = client.get_tx_out(&outpoint, false).await.expect("an answer").expect("an output");
        assert_eq!(
            (found.value, found.coinbase, found.script_pubkey.as_bytes()),
            (Amount::from_sat(sats), true, &[0x51][..])
        );
    }
    for text in ["0.000000001", "-1.0", "\"1.0\"", "1e300"] {
        let (client, _) = client(vec![Answer::result(&out(text))]).await;
        assert_eq!(client.get_tx_out(&outpoint, false).await.expect_err(text).code().0, "bitcoin.rpc_decode");
    }
    let (none, _) = client(vec![Answer::result("null")]).await;
    assert!(none.get_tx_out(&outpoint, true).await.expect("an answer").is_none());

    let (known, _) = client(vec![Answer::result("{\"feerate\":0.00001001,\"blocks\":6}")]).await;
    let estimate = known.estimate_smart_fee(6, EstimateMode::Economical).await.expect("an estimate");
    // 1.001 sat/vB is 250.25 sat/kwu, rounded up so that it is still relayed.
    assert_eq!(estimate.fee_rate, Some(FeeRate::from_sat_per_kwu(251)));
    let (unknown, _) =
        client(vec![Answer::result("{\"errors\":[\"Insufficient data or no feerate found\"],\"blocks\":0}")]).await;
    let estimate = unknown.estimate_smart_fee(6, EstimateMode::Conservative).await.expect("an answer");
    assert_eq!((estimate.fee_rate, estimate.errors.len()), (None, 1));
}
