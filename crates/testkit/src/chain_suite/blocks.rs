//! Blocks that are handed in, good and bad ones.

use bitcoin::block::Header;
use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::Hash;
use bitcoin::{
    Amount, Block, CompactTarget, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Witness,
    absolute, transaction,
};
use serde_json::{Value, json};
use tallystick_bitcoin::RpcConfig;

use super::fixture::{Bench, FEE, foreign_script, text};
use super::spend::Draft;

/// The reward of the first 150 blocks.
const REWARD: Amount = Amount::from_int_btc(50);

/// A block in the making.
#[derive(Clone)]
pub struct Forge {
    /// The block; proof of work and Merkle root are added when it is handed in.
    pub block: Block,
}

impl Forge {
    /// A good block on top of the tip, without the mempool.
    pub async fn on_tip(bench: &Bench) -> Self {
        Self::on(bench, &bench.tip().await).await
    }

    /// A good block on top of any block.
    pub async fn on(bench: &Bench, parent: &str) -> Self {
        let header = bench.ok("getblockheader", json!([parent])).await;
        let number = |name: &str| u32::try_from(header[name].as_u64().expect("a number")).expect("a small number");
        let height = number("height") + 1;
        let reward = if height < 150 { REWARD } else { REWARD / 2 };
        let input = TxIn {
            previous_output: OutPoint::null(),
            script_sig: ScriptBuf::builder().push_int(i64::from(height)).push_int(77).into_script(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        };
        let coinbase = Transaction {
            version: transaction::Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![input],
            output: vec![TxOut { value: reward, script_pubkey: bench.keys.script() }],
        };
        let header = Header {
            version: bitcoin::block::Version::NO_SOFT_FORK_SIGNALLING,
            prev_blockhash: parent.parse().expect("a hash"),
            merkle_root: TxMerkleNode::all_zeros(),
            time: number("mediantime").max(number("time")) + 1,
            bits: CompactTarget::from_consensus(0x207f_ffff),
            nonce: 0,
        };
        Self { block: Block { header, txdata: vec![coinbase] } }
    }

    /// The first transaction.
    pub fn coinbase(&mut self) -> &mut Transaction {
        &mut self.block.txdata[0]
    }

    /// Adds the witness commitment (BIP 141).
    pub fn commit(&mut self) {
        let reserved = [0u8; 32];
        let root = self.block.witness_root().expect("a first transaction");
        let mut script = vec![0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
        script.extend_from_slice(Block::compute_witness_commitment(&root, &reserved).as_byte_array());
        let output = TxOut { value: Amount::ZERO, script_pubkey: ScriptBuf::from_bytes(script) };
        self.coinbase().output.push(output);
        self.coinbase().input[0].witness = Witness::from_slice(&[reserved]);
    }

    /// Computes the Merkle root and finds a hash that is low enough, or one that is not.
    pub fn finish(&mut self, good_work: bool) {
        self.block.header.merkle_root = self.block.compute_merkle_root().unwrap_or_else(TxMerkleNode::all_zeros);
        self.work(good_work);
    }

    /// Finds the work without touching the Merkle root.
    pub fn work(&mut self, good: bool) {
        let header = &mut self.block.header;
        let target = bitcoin::Target::from_compact(CompactTarget::from_consensus(0x207f_ffff));
        while target.is_met_by(header.block_hash()) != good {
            header.nonce += 1;
        }
    }

    /// Finishes the block and hands it in.
    pub async fn submit(&mut self, bench: &Bench) -> Value {
        self.finish(true);
        self.send(bench).await
    }

    /// Hands the block in as it is.
    pub async fn send(&self, bench: &Bench) -> Value {
        bench.ok("submitblock", json!([serialize_hex(&self.block)])).await
    }
}

/// Blocks that break a rule, and the names of the rules.
pub async fn blocks_that_are_refused(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 2).await;
    let (coin, other) = (bench.coin(), bench.coin());
    let tip = bench.tip().await;
    let good = Forge::on_tip(&bench).await;
    let spend = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(1), FEE));
    let reward = good.block.txdata[0].clone();

    let mut work = good.clone();
    work.finish(false);
    assert_eq!(work.send(&bench).await, "high-hash");
    let mut root = good.clone();
    root.block.header.merkle_root = TxMerkleNode::all_zeros();
    root.work(true);
    assert_eq!(root.send(&bench).await, "bad-txnmrklroot");
    let mut twice = good.clone();
    twice.block.txdata = vec![reward.clone(), spend.clone(), spend.clone(), spend.clone()];
    assert_eq!(twice.submit(&bench).await, "bad-txns-duplicate");

    let change = |change: fn(&mut Forge)| {
        let mut forge = good.clone();
        change(&mut forge);
        forge
    };
    let cases = [
        (change(|forge| forge.block.txdata.clear()), "bad-blk-length"),
        (change(|forge| forge.coinbase().input[0].script_sig = ScriptBuf::from_bytes(vec![1])), "bad-cb-length"),
        (change(|forge| forge.coinbase().input[0].script_sig = ScriptBuf::from_bytes(vec![1; 9])), "bad-cb-height"),
        (change(|forge| forge.coinbase().output[0].value += Amount::ONE_SAT), "bad-cb-amount"),
        (change(|forge| forge.block.header.time -= 1_000_000), "time-too-old"),
        (change(|forge| forge.block.header.time += 3 * 60 * 60), "time-too-new"),
        (
            change(|forge| forge.block.header.version = bitcoin::block::Version::from_consensus(3)),
            "bad-version(0x00000003)",
        ),
        (change(|forge| forge.block.header.bits = CompactTarget::from_consensus(0x207f_fffe)), "bad-diffbits"),
        (change(|forge| forge.block.header.prev_blockhash = Hash::from_byte_array([5; 32])), "prev-blk-not-found"),
    ];
    for (mut forge, reason) in cases {
        assert_eq!(forge.submit(&bench).await, reason);
    }

    let with = |txs: &[&Transaction]| {
        let mut forge = good.clone();
        forge.block.txdata.extend(txs.iter().map(|tx| (*tx).clone()));
        forge
    };
    let mut missing = good.clone();
    missing.block.txdata = vec![spend.clone()];
    assert_eq!(missing.submit(&bench).await, "bad-cb-missing");
    assert_eq!(with(&[&reward]).submit(&bench).await, "bad-txns-duplicate");
    let mut second = reward.clone();
    second.output[0].value = Amount::ZERO;
    assert_eq!(with(&[&second]).submit(&bench).await, "bad-cb-multiple");
    let rival = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(2), FEE));
    let mut double = with(&[&spend, &rival]);
    double.commit();
    assert_eq!(double.submit(&bench).await, "bad-txns-inputs-missingorspent");
    // Handed in again, it is known to be bad.
    assert_eq!(double.send(&bench).await, "duplicate-invalid");
    let mut child = Forge::on_tip(&bench).await;
    child.block.header.prev_blockhash = double.block.block_hash();
    assert_eq!(child.submit(&bench).await, "bad-prevblk");
    let early = Draft::new().spend_at(&other, 0).lock_time(10_000).pay_rest(foreign_script(3), FEE);
    let mut early = with(&[&bench.keys.sign(&early)]);
    early.commit();
    assert_eq!(early.submit(&bench).await, "bad-txns-nonfinal");

    assert_eq!(bench.tip().await, tip);
    let refusal = bench.err("submitblock", json!(["00"])).await;
    assert_eq!(refusal, (-22, "Block decode failed".to_owned()));
    assert_eq!(good.clone().submit(&bench).await, Value::Null);
    assert_ne!(bench.tip().await, tip);
}

/// Known blocks, and blocks that do not win.
pub async fn branches_and_duplicates(config: RpcConfig) {
    let bench = Bench::open(config).await;
    let base = bench.mine(2).await.remove(1);
    let mut left = Forge::on(&bench, &base).await;
    let mut right = left.clone();
    right.block.header.time += 1;
    assert_eq!(left.submit(&bench).await, Value::Null);
    assert_eq!(left.send(&bench).await, "duplicate");
    let left_hash = left.block.block_hash().to_string();
    assert_eq!(bench.tip().await, left_hash);
    // With the same work the first stays.
    assert_eq!(right.submit(&bench).await, "inconclusive");
    assert_eq!(bench.tip().await, left_hash);
    assert_eq!(right.send(&bench).await, "duplicate");
    let right_hash = right.block.block_hash().to_string();
    let header = bench.ok("getblockheader", json!([right_hash])).await;
    assert_eq!((&header["confirmations"], &header["height"]), (&json!(-1), &json!(3)));
    assert_eq!(bench.block(&right_hash).await, right.block);
    // One more block decides.
    let mut next = Forge::on(&bench, &right_hash).await;
    assert_eq!(next.submit(&bench).await, Value::Null);
    assert_eq!(bench.tip().await, next.block.block_hash().to_string());
    assert_eq!(bench.ok("getblockheader", json!([left_hash])).await["confirmations"], -1);
    assert_eq!(text(&bench.ok("getblockhash", json!([3])).await), right_hash);
}

/// The witness commitment (BIP 141).
pub async fn witnesses_are_committed_to(config: RpcConfig) {
    let mut bench = Bench::with_coins(config, 1).await;
    let coin = bench.coin();
    let spend = bench.keys.sign(&Draft::new().spend(&coin).pay_rest(foreign_script(1), FEE));
    let mut plain = Forge::on_tip(&bench).await;
    plain.block.txdata.push(spend);
    let mut committed = plain.clone();
    committed.commit();

    assert_eq!(plain.clone().submit(&bench).await, "unexpected-witness");
    let mut reserved = committed.clone();
    reserved.coinbase().input[0].witness = Witness::from_slice(&[[0u8; 31]]);
    assert_eq!(reserved.submit(&bench).await, "bad-witness-nonce-size");
    let mut other = committed.clone();
    other.coinbase().input[0].witness = Witness::from_slice(&[[1u8; 32]]);
    assert_eq!(other.submit(&bench).await, "bad-witness-merkle-match");
    // A changed witness is no reason to refuse the header: the right body is still welcome, and the reserved value may
    // be left out.
    let mut bare = committed.clone();
    bare.coinbase().input[0].witness = Witness::new();
    assert_eq!(bare.submit(&bench).await, Value::Null);
    let tip = bench.tip().await;
    assert_eq!(tip, bare.block.block_hash().to_string());
    assert_eq!(bench.block(&tip).await.txdata[0].input[0].witness, Witness::from_slice(&[[0u8; 32]]));
}
