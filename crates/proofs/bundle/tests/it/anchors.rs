//! Bundles whose log is anchored in Bitcoin, on headers mined here.

use bitcoin::{
    Amount, BlockHash, CompactTarget, OutPoint, Target, Transaction, TxIn, TxMerkleNode, TxOut, Txid, absolute,
    block::{Header, Version},
    consensus::serialize,
    hashes::Hash as _,
    transaction,
};
use tallystick_bundle::{BundleAnchor, BundleError, FactBundle};
use tallystick_core::{Body, Fact};
use tallystick_log::anchor::{
    AnchorError, AnchorProof, AnchorTx, Headers, MerklePath, commitment, tx::commitment_script,
};
use tallystick_log::{Checkpoint, Prover, TileEdge, leaf_hash};

use crate::support::{facts, policy, prove, request};

const EASIEST: u32 = 0x207f_ffff;

/// A block with one transaction, and six on top.
fn chain(tx: &AnchorTx) -> Headers {
    let (mut before, mut bytes) = (BlockHash::from_byte_array([0; 32]), Vec::new());
    for height in 0..6u8 {
        let root = if height == 0 { tx.txid().to_byte_array() } else { [height; 32] };
        let mut header = Header {
            version: Version::TWO,
            prev_blockhash: before,
            merkle_root: TxMerkleNode::from_byte_array(root),
            time: 1_800_000_000,
            bits: CompactTarget::from_consensus(EASIEST),
            nonce: 0,
        };
        while header.validate_pow(header.target()).is_err() {
            header.nonce += 1;
        }
        before = header.block_hash();
        bytes.extend(serialize(&header));
    }
    Headers::parse(100, &bytes, Target::from(CompactTarget::from_consensus(EASIEST))).unwrap()
}

/// The anchor of the tree of the first `size` facts, for a bundle under all of them.
pub fn anchor(facts: &[Fact], size: usize) -> (BundleAnchor, Headers) {
    let leaves: Vec<_> = facts.iter().map(|fact| leaf_hash(&fact.entry())).collect();
    let tree = |size: usize| {
        let mut edge = TileEdge::new();
        let tiles = edge.integrate(&leaves[..size]).unwrap();
        (edge, tiles)
    };
    let text = Checkpoint::try_new("node.example/log", size as u64, tree(size).0.root().unwrap()).unwrap().to_string();
    let (own, tiles) = tree(facts.len());
    let read = |id| tiles.iter().find(|tile| tile.id == id).map(|tile| tile.to_bytes()).ok_or(());
    let consistency = match size == facts.len() {
        true => Vec::new(),
        false => Prover::new(own.size(), read).consistency(size as u64).unwrap(),
    };
    let (proof, headers) = in_block(&text);
    (BundleAnchor { text, proof, consistency }, headers)
}

/// A text in a block.
fn in_block(text: &str) -> (AnchorProof, Headers) {
    let tx = Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint { txid: Txid::from_byte_array([7; 32]), vout: 1 },
            ..TxIn::default()
        }],
        output: vec![
            TxOut { value: Amount::from_sat(10_000), script_pubkey: bitcoin::ScriptBuf::new() },
            TxOut { value: Amount::ZERO, script_pubkey: commitment_script(&commitment(text.as_bytes())) },
        ],
    };
    let tx = AnchorTx::try_new(tx).unwrap();
    let headers = chain(&tx);
    let proof = AnchorProof::new(tx, 100, MerklePath::try_new(0, Vec::new()).unwrap());
    (proof, headers)
}

#[test]
fn bitcoin_vouches_for_a_fact_under_an_older_checkpoint() {
    let authority = request(b"create a task");
    let bodies: Vec<_> = (0..20).map(|n: u8| (Body::private([n; 32], vec![n]), &authority)).collect();
    let facts = facts(&bodies);
    let (log, policy) = policy();
    for (size, seq, holds) in [(20, 20, true), (13, 13, true), (13, 1, true), (13, 14, false), (1, 1, true)] {
        let (anchor, headers) = anchor(&facts, size);
        let bundle = FactBundle::try_new(facts[seq - 1].clone(), None, Some(anchor), prove(&facts, seq - 1)).unwrap();
        let bundle = FactBundle::parse(bundle.to_string().as_bytes()).unwrap();
        assert!(bundle.to_string().len() < 8 * 1024 && bundle.anchor().is_some());
        let verified = bundle.verify(&log, &policy, Some(&headers));
        match holds {
            true => assert_eq!(verified.unwrap().anchored.map(|anchored| anchored.confirmations), Some(6)),
            false => assert_eq!(verified, Err(BundleError::OtherAnchor)),
        }
        // Without headers the rest is proven, and what is wrong is still refused.
        let without = bundle.verify(&log, &policy, None).map(|proven| proven.anchored);
        assert_eq!(without.is_ok_and(|anchored| anchored.is_none()), holds, "{size} {seq}");
    }
}

#[test]
fn an_anchor_of_something_else_is_refused() {
    let authority = request(b"create a task");
    let bodies: Vec<_> = (0..20).map(|n: u8| (Body::private([n; 32], vec![n]), &authority)).collect();
    let facts = facts(&bodies);
    let (log, policy) = policy();
    let verify = |anchor, headers: &Headers| {
        let bundle = FactBundle::try_new(facts[0].clone(), None, Some(anchor), prove(&facts, 0)).unwrap();
        bundle.verify(&log, &policy, Some(headers)).map(|_| ())
    };
    let (good, headers) = anchor(&facts, 13);
    assert_eq!(verify(good.clone(), &headers), Ok(()));
    // Another block than the one that the headers show.
    let (_, others) = anchor(&facts, 12);
    assert_eq!(verify(good.clone(), &others), Err(AnchorError::BadPath.into()));
    // A text that is not what the transaction commits to, though it is a checkpoint of the log.
    let (other, _) = anchor(&facts, 12);
    let forged = BundleAnchor { proof: good.proof.clone(), ..other };
    assert_eq!(verify(forged, &headers), Err(AnchorError::WrongCommitment.into()));
    // A tree that the log never had.
    let text = Checkpoint::try_new("node.example/log", 13, [1; 32]).unwrap().to_string();
    let (proof, others) = in_block(&text);
    assert!(matches!(verify(BundleAnchor { text, proof, ..good.clone() }, &others), Err(BundleError::Log(_))));
    // Another log's.
    let text = good.text.replace("node.example", "other.example");
    let (proof, others) = in_block(&text);
    assert_eq!(verify(BundleAnchor { text, proof, ..good }, &others), Err(BundleError::OtherAnchor));
}
