//! A node under test, and the coins to test it with.

use std::collections::VecDeque;

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash;
use bitcoin::{Address, Amount, Block, Network, OutPoint, ScriptBuf, Transaction, TxOut, Txid, WPubkeyHash};
use serde_json::{Value, json};
use tallystick_bitcoin::{RpcClient, RpcConfig, RpcError};

use super::spend::{Coin, Keys, Lock};

/// The fee of a transaction that should not fail for its fee, in satoshis.
pub const FEE: u64 = 10_000;
/// Blocks before a reward can be spent.
const MATURITY: u64 = 100;

/// A node under test.
pub struct Bench {
    /// The client that the cases talk through.
    pub rpc: RpcClient,
    /// How the node is reached.
    pub config: RpcConfig,
    /// The keys that sign.
    pub keys: Keys,
    /// The version of Bitcoin Core that the node says it is, such as 290000.
    pub version: u64,
    coins: VecDeque<Coin>,
}

impl Bench {
    /// A node with nothing on it.
    pub async fn open(config: RpcConfig) -> Self {
        let rpc = RpcClient::try_new(config.clone()).expect("the configuration is usable");
        let info: Value = rpc.call("getnetworkinfo", json!([])).await.expect("the node answers");
        let version = info["version"].as_u64().expect("a version");
        assert!(version >= 290_000, "the suite knows Bitcoin Core 29 and later, not {version}");
        Self { rpc, config, keys: Keys::new(), version, coins: VecDeque::new() }
    }

    /// A node on which `coins` rewards can be spent.
    pub async fn with_coins(config: RpcConfig, coins: u64) -> Self {
        let mut bench = Self::open(config).await;
        for hash in bench.mine(coins).await {
            let block = bench.block(&hash).await;
            bench.coins.push_back(Coin::of(&block.txdata[0], 0, Lock::Key));
        }
        bench.mine(MATURITY).await;
        bench
    }

    /// The next coin that can be spent with the key.
    pub fn coin(&mut self) -> Coin {
        self.coins.pop_front().expect("the case asked for enough coins")
    }

    /// A call that must succeed.
    pub async fn ok(&self, method: &str, params: Value) -> Value {
        match self.rpc.call(method, params.clone()).await {
            Ok(value) => value,
            Err(error) => panic!("{method} {params} failed: {error}"),
        }
    }

    /// A call that must fail, and its number and message.
    pub async fn err(&self, method: &str, params: Value) -> (i64, String) {
        match self.rpc.call::<Value>(method, params.clone()).await {
            Err(RpcError::Rpc { code, message }) => (code, message),
            other => panic!("{method} {params} should have failed: {other:?}"),
        }
    }

    /// Mines blocks to the key.
    pub async fn mine(&self, blocks: u64) -> Vec<String> {
        let hashes = self.ok("generatetoaddress", json!([blocks, self.keys.address()])).await;
        strings(&hashes)
    }

    /// The height of the tip.
    pub async fn height(&self) -> u64 {
        self.ok("getblockcount", json!([])).await.as_u64().expect("a height")
    }

    /// The hash of the tip.
    pub async fn tip(&self) -> String {
        text(&self.ok("getbestblockhash", json!([])).await)
    }

    /// The median time of the tip.
    pub async fn median_time(&self) -> u32 {
        let info = self.ok("getblockchaininfo", json!([])).await;
        u32::try_from(info["mediantime"].as_u64().expect("a time")).expect("a time of this century")
    }

    /// A whole block.
    pub async fn block(&self, hash: &str) -> Block {
        let hex = text(&self.ok("getblock", json!([hash, 0])).await);
        bitcoin::consensus::encode::deserialize_hex(&hex).expect("a block")
    }

    /// The ids in the mempool.
    pub async fn mempool(&self) -> Vec<String> {
        let mut txids = strings(&self.ok("getrawmempool", json!([])).await);
        txids.sort();
        txids
    }

    /// Broadcasts a transaction that must be accepted.
    pub async fn send(&self, tx: &Transaction) -> Txid {
        let txid = text(&self.ok("sendrawtransaction", json!([serialize_hex(tx)])).await);
        assert_eq!(txid, tx.compute_txid().to_string());
        tx.compute_txid()
    }

    /// Broadcasts a transaction that must be refused.
    pub async fn refused(&self, tx: &Transaction) -> (i64, String) {
        self.err("sendrawtransaction", json!([serialize_hex(tx)])).await
    }

    /// What the node says about a transaction that it is only shown.
    pub async fn tested(&self, tx: &Transaction) -> Value {
        let results = self.ok("testmempoolaccept", json!([[serialize_hex(tx)]])).await;
        let result = results[0].clone();
        assert_eq!(result["txid"], json!(tx.compute_txid()));
        assert_eq!(result["wtxid"], json!(tx.compute_wtxid()));
        result
    }

    /// The lowest rate that is relayed, in satoshis for 1000 virtual bytes.
    pub async fn relay_rate(&self) -> u64 {
        sats(&self.ok("getmempoolinfo", json!([])).await["minrelaytxfee"])
    }

    /// What a replacement pays more, in satoshis for 1000 virtual bytes.
    pub async fn incremental_rate(&self) -> u64 {
        sats(&self.ok("getmempoolinfo", json!([])).await["incrementalrelayfee"])
    }
}

/// A number of BTC in an answer, as satoshis.
pub fn sats(value: &Value) -> u64 {
    let number = value.as_f64().unwrap_or_else(|| panic!("{value} is not an amount"));
    Amount::from_btc(number).expect("an amount").to_sat()
}

/// Text in an answer.
pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not text")).to_owned()
}

/// A list of text in an answer.
pub fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap_or_else(|| panic!("{value} is not a list")).iter().map(text).collect()
}

/// Asserts that a refusal has a number and begins with a reason.
#[track_caller]
pub fn assert_refusal(refusal: &(i64, String), code: i64, reason: &str) {
    assert!(refusal.0 == code && refusal.1.starts_with(reason), "{refusal:?} is not {code} {reason}");
}

/// Asserts that members exist and are of a kind: `s`tring, `n`umber, `b`ool, `a`rray, `o`bject.
#[track_caller]
pub fn assert_members(value: &Value, members: &[(&str, char)]) {
    for (name, kind) in members {
        let member = &value[*name];
        let fits = match kind {
            's' => member.is_string(),
            'n' => member.is_number(),
            'b' => member.is_boolean(),
            'a' => member.is_array(),
            'o' => member.is_object(),
            _ => panic!("unknown kind {kind}"),
        };
        assert!(fits, "{name} of {value} is not {kind}");
    }
}

/// A script that nobody knows the key of.
pub fn foreign_script(tag: u8) -> ScriptBuf {
    ScriptBuf::new_p2wpkh(&WPubkeyHash::from_byte_array([tag; 20]))
}

/// The address of [`foreign_script`].
pub fn foreign_address(tag: u8) -> String {
    Address::from_script(&foreign_script(tag), Network::Regtest).expect("P2WPKH has an address").to_string()
}

/// An output that does not exist.
pub fn missing_coin() -> Coin {
    let outpoint = OutPoint { txid: Txid::from_byte_array([7; 32]), vout: 0 };
    let output = TxOut { value: Amount::ONE_BTC, script_pubkey: Keys::new().script() };
    Coin { outpoint, output, lock: Lock::Key }
}
