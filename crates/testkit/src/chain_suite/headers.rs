//! Chain information, headers and blocks.

use bitcoin::block::Header;
use bitcoin::consensus::encode::deserialize_hex;
use serde_json::{Value, json};
use tallystick_bitcoin::RpcConfig;

use super::fixture::{Bench, FEE, assert_members, foreign_address, foreign_script, sats, strings, text};
use super::spend::Draft;

const GENESIS: &str = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206";
const HEADER_MEMBERS: [(&str, char); 14] = [
    ("hash", 's'),
    ("confirmations", 'n'),
    ("height", 'n'),
    ("version", 'n'),
    ("versionHex", 's'),
    ("merkleroot", 's'),
    ("time", 'n'),
    ("mediantime", 'n'),
    ("nonce", 'n'),
    ("bits", 's'),
    ("target", 's'),
    ("difficulty", 'n'),
    ("chainwork", 's'),
    ("nTx", 'n'),
];

/// A chain with only the first block of regtest.
pub async fn an_empty_chain(config: RpcConfig) {
    let bench = Bench::open(config).await;
    let info = bench.ok("getblockchaininfo", json!([])).await;
    assert_members(
        &info,
        &[
            ("time", 'n'),
            ("mediantime", 'n'),
            ("difficulty", 'n'),
            ("verificationprogress", 'n'),
            ("size_on_disk", 'n'),
            ("target", 's'),
            ("warnings", 'a'),
        ],
    );
    assert_eq!(info["chain"], "regtest");
    assert_eq!((&info["blocks"], &info["headers"]), (&json!(0), &json!(0)));
    assert_eq!(info["bestblockhash"], GENESIS);
    assert_eq!(info["bits"], "207fffff");
    assert_eq!(info["chainwork"], "0000000000000000000000000000000000000000000000000000000000000002");
    assert_eq!((&info["initialblockdownload"], &info["pruned"]), (&json!(true), &json!(false)));
    assert_eq!(bench.ok("getblockhash", json!([0])).await, GENESIS);
    assert_eq!(bench.tip().await, GENESIS);
    let header = bench.ok("getblockheader", json!([GENESIS])).await;
    assert_members(&header, &HEADER_MEMBERS);
    assert!(header.get("previousblockhash").is_none() && header.get("nextblockhash").is_none());
    assert_eq!(header["time"], 1_296_688_602);
    assert_eq!(header["nTx"], 1);
    let coinbase = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b";
    assert_eq!(header["merkleroot"], coinbase);
    let refusal = bench.err("getrawtransaction", json!([coinbase])).await;
    assert_eq!(refusal.0, -5);
    assert!(refusal.1.contains("genesis block coinbase"), "{refusal:?}");
    assert_eq!(bench.ok("gettxout", json!([coinbase, 0])).await, Value::Null);
}

/// Headers form a chain, and the short form is the header itself.
pub async fn headers_link(config: RpcConfig) {
    let bench = Bench::open(config).await;
    let hashes = bench.mine(12).await;
    assert_eq!(bench.height().await, 12);
    assert_eq!(bench.tip().await, hashes[11]);
    let mut times = vec![1_296_688_602];
    for (index, hash) in hashes.iter().enumerate() {
        let header = bench.ok("getblockheader", json!([hash, true])).await;
        assert_members(&header, &HEADER_MEMBERS);
        let height = index as u64 + 1;
        assert_eq!(bench.ok("getblockhash", json!([height])).await, json!(hash));
        assert_eq!(header["height"], height);
        assert_eq!(header["confirmations"], 13 - height);
        assert_eq!(header["previousblockhash"], if index == 0 { GENESIS } else { hashes[index - 1].as_str() });
        assert_eq!(header.get("nextblockhash"), hashes.get(index + 1).map(|hash| json!(hash)).as_ref());
        assert_eq!(header["chainwork"], format!("{:064x}", 2 * (height + 1)));
        let raw = text(&bench.ok("getblockheader", json!([hash, false])).await);
        let raw: Header = deserialize_hex(&raw).expect("a header");
        assert_eq!(raw.block_hash().to_string(), *hash);
        assert_eq!(header["version"], raw.version.to_consensus());
        assert_eq!(header["versionHex"], format!("{:08x}", raw.version.to_consensus()));
        assert_eq!(header["merkleroot"], json!(raw.merkle_root));
        assert_eq!((&header["time"], &header["nonce"]), (&json!(raw.time), &json!(raw.nonce)));
        assert_eq!(header["bits"], format!("{:08x}", raw.bits.to_consensus()));
        // The median of the last 11 times, and every time is above the median before it.
        assert!(raw.time > median(&times));
        times.push(raw.time);
        assert_eq!(header["mediantime"], median(&times));
    }
    let info = bench.ok("getblockchaininfo", json!([])).await;
    assert_eq!((&info["blocks"], &info["headers"]), (&json!(12), &json!(12)));
    assert_eq!(info["initialblockdownload"], false);
    assert_eq!(info["mediantime"], median(&times));
}

fn median(times: &[u32]) -> u32 {
    let mut last: Vec<u32> = times.iter().rev().take(11).copied().collect();
    last.sort_unstable();
    last[last.len() / 2]
}

/// `getblock` from bytes to everything.
pub async fn a_block_in_every_verbosity(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let tx = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(1), FEE));
    let txid = bench.send(&tx).await.to_string();
    let hash = bench.mine(1).await.remove(0);
    let block = bench.block(&hash).await;
    assert_eq!(block.block_hash().to_string(), hash);

    let one = bench.ok("getblock", json!([hash])).await;
    assert_eq!(one, bench.ok("getblock", json!([hash, 1])).await);
    assert_eq!(one, bench.ok("getblock", json!([hash, true])).await);
    assert_eq!(bench.ok("getblock", json!([hash, 0])).await, bench.ok("getblock", json!([hash, false])).await);
    assert_members(&one, &HEADER_MEMBERS);
    assert_eq!((&one["nTx"], &one["confirmations"]), (&json!(2), &json!(1)));
    assert_eq!(strings(&one["tx"]), [block.txdata[0].compute_txid().to_string(), txid.clone()]);
    assert_eq!(one["size"], block.total_size());
    assert_eq!(one["weight"], block.weight().to_wu());
    assert_eq!(one["strippedsize"].as_u64().map(|bytes| bytes * 3 + block.total_size() as u64), one["weight"].as_u64());

    let two = bench.ok("getblock", json!([hash, 2])).await;
    let (reward, spend) = (&two["tx"][0], &two["tx"][1]);
    assert_eq!(reward["vin"][0]["coinbase"], json!(block.txdata[0].input[0].script_sig.to_hex_string()));
    assert!(reward.get("fee").is_none() && reward["vin"][0].get("txid").is_none());
    assert_eq!(spend["txid"], json!(txid));
    assert_eq!(spend["hash"], json!(tx.compute_wtxid()));
    assert_eq!((&spend["version"], &spend["locktime"]), (&json!(2), &json!(0)));
    assert_eq!((&spend["vsize"], &spend["weight"]), (&json!(tx.vsize()), &json!(tx.weight().to_wu())));
    assert_eq!(spend["size"], tx.total_size());
    assert_eq!(sats(&spend["fee"]), FEE);
    assert_eq!(spend["hex"], json!(bitcoin::consensus::encode::serialize_hex(&tx)));
    let input = &spend["vin"][0];
    assert_eq!(input["txid"], json!(coin.outpoint.txid));
    assert_eq!((&input["vout"], &input["sequence"]), (&json!(0), &json!(0xffff_fffd_u32)));
    assert_eq!(input["scriptSig"], json!({ "asm": "", "hex": "" }));
    assert_eq!(input["txinwitness"].as_array().map(Vec::len), Some(2));
    assert!(input.get("prevout").is_none());
    let output = &spend["vout"][0];
    assert_eq!((sats(&output["value"]), &output["n"]), (coin.sats() - FEE, &json!(0)));
    let script = &output["scriptPubKey"];
    assert_eq!(script["hex"], json!(foreign_script(1).to_hex_string()));
    assert_eq!(script["type"], "witness_v0_keyhash");
    assert_eq!(script["address"], json!(foreign_address(1)));
    assert_eq!(script["asm"], format!("0 {}", "01".repeat(20)));
    let descriptor = text(&script["desc"]);
    assert!(descriptor.starts_with(&format!("addr({})#", foreign_address(1))), "{descriptor}");

    let three = bench.ok("getblock", json!([hash, 3])).await;
    let prevout = &three["tx"][1]["vin"][0]["prevout"];
    assert_eq!((&prevout["generated"], &prevout["height"]), (&json!(true), &json!(1)));
    assert_eq!(sats(&prevout["value"]), coin.sats());
    assert_eq!(prevout["scriptPubKey"]["address"], json!(bench.keys.address()));
}
