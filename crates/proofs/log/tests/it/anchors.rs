//! Anchors on blocks made by hand.

use bitcoin::{
    Amount, BlockHash, CompactTarget, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Txid, Witness, absolute,
    block::{Header, Version},
    consensus::{Params, serialize},
    hashes::Hash as _,
    transaction,
};
use proptest::prelude::*;
use tallystick_log::{anchor::*, *};

use crate::support::{consistency, leaves, mth};

const EASIEST: u32 = 0x207f_ffff;

fn easiest() -> Target {
    Target::from(CompactTarget::from_consensus(EASIEST))
}

fn text(size: u64) -> String {
    text_of(&leaves(usize::try_from(size).unwrap()))
}

fn text_of(leaves: &[Hash]) -> String {
    Checkpoint::try_new("log.example/journal", leaves.len() as u64, mth(leaves)).unwrap().to_string()
}

fn genesis() -> OutPoint {
    OutPoint { txid: Txid::from_byte_array([7; 32]), vout: 3 }
}

fn transaction(seal: OutPoint, text: &str) -> Transaction {
    let script = bitcoin::ScriptBuf::from_bytes([&[0x51, 0x20][..], &[5; 32]].concat());
    let commitment = tx::commitment_script(&commitment(text.as_bytes()));
    Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: seal,
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::from_slice(&[[1u8; 64]]),
            ..TxIn::default()
        }],
        output: vec![
            TxOut { value: Amount::from_sat(10_000), script_pubkey: script },
            TxOut { value: Amount::ZERO, script_pubkey: commitment },
        ],
    }
}

/// A header with work that follows another.
fn mine(before: BlockHash, root: Hash) -> Header {
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
    header
}

/// Anchors in a row, with their texts and the proofs that each tree begins with the one before, six blocks each, and all
/// headers.
struct World {
    anchors: Vec<(String, AnchorProof, Vec<Hash>)>,
    headers: Vec<u8>,
}

const FIRST_HEIGHT: u32 = 100;

/// A log that has ten leaves more at each anchor.
fn world(count: usize, others: usize) -> World {
    let trees: Vec<_> = (1..=count).map(|number| leaves(number * 10)).collect();
    world_of(&trees, others)
}

fn world_of(trees: &[Vec<Hash>], others: usize) -> World {
    let (mut seal, mut before) = (genesis(), BlockHash::all_zeros());
    let (mut anchors, mut headers, mut height) = (Vec::new(), Vec::new(), FIRST_HEIGHT);
    for (index, tree) in trees.iter().enumerate() {
        let text = text_of(tree);
        let history = index.checked_sub(1).map(|before| consistency(trees[before].len(), tree, true));
        let tx = AnchorTx::from_signed(&serialize(&transaction(seal, &text))).unwrap();
        seal = tx.next_seal();
        let at = (index + 1) % (others + 1);
        let mut txids: Vec<Txid> = (0..others).map(|n| Txid::from_byte_array([u8::try_from(n).unwrap(); 32])).collect();
        txids.insert(at, tx.txid());
        let path = MerklePath::of(&txids, at).unwrap();
        let block: Vec<_> = txids.iter().map(|txid| txid.to_raw_hash()).collect();
        let root = bitcoin::merkle_tree::calculate_root(block.into_iter()).unwrap().to_byte_array();
        assert_eq!(path.root(tx.txid()), Ok(root));
        anchors.push((text, AnchorProof::new(tx, height, path), history.unwrap_or_default()));
        for root in [root, [1; 32], [2; 32], [3; 32], [4; 32], [5; 32]] {
            let header = mine(before, root);
            before = header.block_hash();
            headers.extend(serialize(&header));
            height += 1;
        }
    }
    World { anchors, headers }
}

fn parse(bytes: &[u8]) -> Result<Headers, AnchorError> {
    Headers::parse(FIRST_HEIGHT, bytes, easiest())
}

#[test]
fn a_chain_of_anchors_is_followed_from_its_genesis() {
    let world = world(4, 5);
    let headers = parse(&world.headers).unwrap();
    let mut chain = AnchorChain::new(genesis());
    for (number, (text, proof, history)) in (1..).zip(&world.anchors) {
        let again = AnchorProof::parse(&proof.to_bytes()).unwrap();
        assert_eq!(again, *proof);
        assert!(proof.to_bytes().len() < 600);
        let anchored = chain.extend(text, &again, history, &headers).unwrap();
        assert_eq!(
            (chain.number(), anchored.height),
            (number, FIRST_HEIGHT + 6 * (u32::try_from(number).unwrap() - 1))
        );
        assert_eq!(anchored.time, 1_800_000_000);
    }
    // Each only once, and none from another genesis.
    let (text, proof, _) = &world.anchors[0];
    assert_eq!(chain.extend(text, proof, &[], &headers), Err(AnchorError::WrongSeal));
    let mut other = AnchorChain::new(OutPoint::null());
    assert_eq!(other.extend(text, proof, &[], &headers), Err(AnchorError::WrongSeal));
    let mut skipped = AnchorChain::new(genesis());
    let (later, proof, _) = &world.anchors[1];
    assert_eq!(skipped.extend(later, proof, &[], &headers), Err(AnchorError::WrongSeal));
    assert_eq!(proof.verify(text.as_bytes(), &headers), Err(AnchorError::WrongCommitment));
}

#[test]
fn golden_bytes_of_a_proof() {
    let world = world(1, 1);
    let proof = &world.anchors[0].1;
    let tx = proof.tx().to_bytes();
    assert_eq!(tx.len(), 137);
    let rest = [&[1, 0, 0, 0, 1][..], &[0; 32]].concat();
    assert_eq!(proof.to_bytes(), [b"tally-anchor\x01\x64\x00\x00\x00\x89\x00".as_slice(), &tx, &rest].concat());
}

#[test]
fn five_confirmations_are_too_few() {
    let world = world(1, 2);
    let (text, proof, _) = &world.anchors[0];
    let five = parse(&world.headers[..5 * 80]).unwrap();
    assert_eq!(proof.verify(text.as_bytes(), &five), Err(AnchorError::TooFewConfirmations { have: 5, need: 6 }));
    assert_eq!(proof.verify(text.as_bytes(), &parse(&world.headers).unwrap()).unwrap().confirmations, 6);
    let later = Headers::parse(FIRST_HEIGHT + 1, &world.headers[80..], easiest()).unwrap();
    assert_eq!(proof.verify(text.as_bytes(), &later), Err(AnchorError::NoHeader { height: FIRST_HEIGHT }));
}

#[test]
fn headers_need_work_and_each_other() {
    let world = world(2, 1);
    assert_eq!(parse(&[]), Err(AnchorError::BadHeader));
    assert_eq!(parse(&world.headers[..79]), Err(AnchorError::BadHeader));
    let mut swapped = world.headers.clone();
    swapped[..160].rotate_left(80);
    assert_eq!(parse(&swapped), Err(AnchorError::NotLinked));
    let hard = Target::from(CompactTarget::from_consensus(0x1d00_ffff));
    assert_eq!(Headers::parse(0, &world.headers, hard), Err(AnchorError::TooEasy));
    assert_eq!(Headers::parse(u32::MAX, &world.headers, easiest()), Err(AnchorError::BadHeader));
}

/// Periods of four blocks, each of which should take 40 seconds.
fn network() -> Params {
    let mut params = Params::new(bitcoin::Network::Bitcoin);
    (params.pow_target_timespan, params.pow_target_spacing) = (40, 10);
    params.max_attainable_target = easiest();
    params
}

/// Headers ten seconds apart, from the beginning of a period on, with these difficulties.
fn paced(bits: &[CompactTarget]) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for (bits, time) in bits.iter().zip((1_800_000_000..).step_by(10)) {
        let before = headers.last().map_or(BlockHash::all_zeros(), Header::block_hash);
        let mut header = Header { time, bits: *bits, ..mine(before, [1; 32]) };
        while header.validate_pow(header.target()).is_err() {
            header.nonce += 1;
        }
        headers.push(header);
    }
    headers
}

#[test]
fn difficulty_is_what_the_blocks_before_ask_for() {
    let check = |from: u32, headers: &[Header]| {
        let bytes: Vec<u8> = headers.iter().flat_map(serialize).collect();
        Headers::parse(from, &bytes, easiest()).unwrap().check_difficulty(&network())
    };
    let wrong = |height| Err(AnchorError::WrongDifficulty { height });
    let easy = CompactTarget::from_consensus(0x1f7f_ffff);
    // 30 seconds for four blocks: a target of three quarters, twice.
    let (next, last) = (CompactTarget::from_consensus(0x1f5f_ffff), CompactTarget::from_consensus(0x1f47_ffff));
    let right = [[easy; 4], [next; 4], [last; 4]].concat();
    let headers = paced(&right);
    assert_eq!(check(100, &headers), Ok(()));
    assert_eq!(check(104, &headers[4..]), Ok(()));
    // Read at other heights they change where they may not.
    assert_eq!(check(101, &headers), wrong(105));
    assert_eq!(check(100, &paced(&[easy; 5])), wrong(104));
    assert_eq!(check(100, &paced(&[easy, easy, next])), wrong(102));
    assert_eq!(check(100, &paced(&[easy, easy, easy, easy, last])), wrong(104));
    // Where the period began is not among them: a factor of four is the most.
    let (quarter, less) = (CompactTarget::from_consensus(0x1f20_0000), CompactTarget::from_consensus(0x1f1f_ffff));
    assert_eq!(check(103, &paced(&[easy, quarter])), Ok(()));
    assert_eq!(check(103, &paced(&[easy, less])), wrong(104));
    assert_eq!(check(103, &paced(&[less, easy])), wrong(104));
    // On test networks difficulty goes other ways.
    let bytes: Vec<u8> = paced(&[easy, last]).iter().flat_map(serialize).collect();
    let headers = Headers::parse(100, &bytes, easiest()).unwrap();
    assert_eq!(headers.check_difficulty(&Params::new(bitcoin::Network::Testnet)), Ok(()));
}

#[test]
fn a_block_is_found_by_its_hash() {
    let headers = paced(&[CompactTarget::from_consensus(EASIEST); 3]);
    let bytes: Vec<u8> = headers.iter().flat_map(serialize).collect();
    let read = Headers::parse(7, &bytes, easiest()).unwrap();
    assert_eq!(read.height_of(&headers[2].block_hash()), Ok(9));
    assert_eq!(read.height_of(&BlockHash::all_zeros()), Err(AnchorError::OtherChain));
}

#[test]
fn an_anchor_has_one_commitment_in_its_place() {
    let good = transaction(genesis(), "text");
    assert!(AnchorTx::try_new(good.clone()).is_ok());
    let mut swapped = good.clone();
    swapped.output.swap(0, 1);
    let mut twice = good.clone();
    twice.output.push(good.output[1].clone());
    let mut longer = good.clone();
    longer.output[1].script_pubkey = bitcoin::ScriptBuf::from_bytes([&[0x6a, 0x21][..], &[1; 33]].concat());
    let mut coinbase = good.clone();
    coinbase.input[0].previous_output = OutPoint::null();
    let mut none = good.clone();
    none.output.truncate(1);
    for bad in [swapped, twice, longer, coinbase, none] {
        assert_eq!(AnchorTx::try_new(bad), Err(AnchorError::BadTransaction));
    }
    let mut large = good.clone();
    large.input = vec![good.input[0].clone(); 100];
    assert_eq!(AnchorTx::try_new(large), Err(AnchorError::TooLarge { max: TX_BYTES_MAX }));
    // With its witnesses it would have a second spelling.
    assert_eq!(AnchorTx::parse(&serialize(&good)), Err(AnchorError::BadTransaction));
}

#[test]
fn a_smaller_tree_or_another_log_does_not_follow() {
    let world = world(2, 0);
    let headers = parse(&world.headers).unwrap();
    let mut chain = AnchorChain::new(genesis());
    chain.extend(&world.anchors[0].0, &world.anchors[0].1, &[], &headers).unwrap();
    for (text, error) in [
        (text(9), AnchorError::Shrinks { before: 10, size: 9 }),
        (Checkpoint::try_new("log.example/other", 20, [9; 32]).unwrap().to_string(), AnchorError::WrongLog),
    ] {
        let tx = AnchorTx::try_new(transaction(chain.seal(), &text)).unwrap();
        let root = tx.txid().to_byte_array();
        let (mut before, mut bytes) = (BlockHash::all_zeros(), Vec::new());
        for root in [root; 6] {
            let header = mine(before, root);
            before = header.block_hash();
            bytes.extend(serialize(&header));
        }
        let proof = AnchorProof::new(tx, FIRST_HEIGHT, MerklePath::try_new(0, Vec::new()).unwrap());
        let before = chain.clone();
        assert_eq!(chain.extend(&text, &proof, &[], &parse(&bytes).unwrap()), Err(error));
        assert_eq!(chain, before);
    }
}

/// Bitcoin takes whatever its keys sign: that a log anchored two histories one after the other, only the trees tell.
#[test]
fn two_histories_are_no_chain() {
    let (first, honest) = (leaves(10), leaves(20));
    let mut other = honest.clone();
    other[3] = [3; 32];
    let history = |old: usize, tree: &[Hash]| consistency(old, tree, true);
    // The liar's own proof, that of the honest tree, and none.
    for history in [history(10, &other), history(10, &honest), Vec::new()] {
        let world = world_of(&[first.clone(), other.clone()], 1);
        let headers = parse(&world.headers).unwrap();
        let mut chain = AnchorChain::new(genesis());
        chain.extend(&world.anchors[0].0, &world.anchors[0].1, &[], &headers).unwrap();
        let before = chain.clone();
        let (text, proof, _) = &world.anchors[1];
        assert_eq!(chain.extend(text, proof, &history, &headers), Err(AnchorError::OtherHistory));
        assert_eq!(chain, before);
    }
    // Of one size as well; and the first has nothing before it that could be proven.
    let mut same = first.clone();
    same[9] = [3; 32];
    for (trees, holds) in [([first.clone(), first.clone()], true), ([first.clone(), same], false)] {
        let world = world_of(&trees, 0);
        let headers = parse(&world.headers).unwrap();
        let mut chain = AnchorChain::new(genesis());
        let [(text, proof, _), (later, next, history)] = world.anchors.as_slice() else { panic!("two") };
        assert_eq!(chain.extend(text, proof, &[[1; 32]], &headers), Err(AnchorError::OtherHistory));
        chain.extend(text, proof, &[], &headers).unwrap();
        assert_eq!(chain.extend(later, next, history, &headers).is_ok(), holds);
    }
    let printed = print_hashes(&history(10, &honest));
    assert_eq!(parse_hashes(printed.as_bytes(), CONSISTENCY_HASHES_MAX), Ok(history(10, &honest)));
}

#[test]
fn what_we_write_another_implementation_reads() {
    for others in [0, 1, 2, 6, 9] {
        let world = world(2, others);
        let headers = parse(&world.headers).unwrap();
        for (text, proof, _) in &world.anchors {
            let file = ots::write(proof).unwrap();
            let theirs = opentimestamps::DetachedTimestampFile::from_reader(file.as_slice()).unwrap();
            let mut step = &theirs.timestamp.first_step;
            while let Some(next) = step.next.first() {
                step = next;
            }
            let height = usize::try_from(proof.height()).unwrap();
            let attested =
                opentimestamps::timestamp::StepData::Attestation(opentimestamps::attestation::Attestation::Bitcoin {
                    height,
                });
            assert_eq!(step.data, attested);
            assert_eq!(step.output, headers.at(proof.height()).unwrap().0.merkle_root.as_byte_array());
            let mut again = Vec::new();
            theirs.to_writer(&mut again).unwrap();
            assert_eq!(again, file);
            let ours = OtsFile::parse(&file).unwrap();
            assert_eq!(ours.verify(text.as_bytes(), &headers), Ok((proof.height(), 1_800_000_000)));
            assert_eq!(ours.verify(b"other", &headers), Err(AnchorError::WrongContent));
        }
    }
}

proptest! {
    #[test]
    fn any_flipped_bit_is_refused(others in 0usize..9, bit in any::<prop::sample::Index>()) {
        let world = world(2, others);
        let headers = parse(&world.headers).unwrap();
        let (text, proof, _) = &world.anchors[1];
        let mut bytes = proof.to_bytes();
        let at = bit.index(bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
        let verified = AnchorProof::parse(&bytes).and_then(|proof| proof.verify(text.as_bytes(), &headers));
        prop_assert!(verified.is_err(), "bit {}", at);
        let mut file = ots::write(proof).unwrap();
        let at = bit.index(file.len() * 8);
        file[at / 8] ^= 1 << (at % 8);
        let verified = OtsFile::parse(&file).and_then(|file| file.verify(text.as_bytes(), &headers));
        prop_assert!(verified.is_err(), "bit {}", at);
        let mut bytes = world.headers.clone();
        let at = bit.index(bytes.len() * 8);
        bytes[at / 8] ^= 1 << (at % 8);
        let all = |headers: &Headers| {
            let mut chain = AnchorChain::new(genesis());
            world.anchors.iter().try_for_each(|(text, proof, history)| chain.extend(text, proof, history, headers).map(|_| ()))
        };
        // The last header's time and nonce can be others with work as well: half of all headers have it here.
        if at / 8 < bytes.len() - 80 {
            prop_assert!(parse(&bytes).and_then(|headers| all(&headers)).is_err(), "bit {}", at);
        }
    }

    #[test]
    fn no_bytes_bring_a_reader_down(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = AnchorProof::parse(&bytes);
        let _ = AnchorTx::parse(&bytes);
        let magic = b"\x00OpenTimestamps\x00\x00Proof\x00\xbf\x89\xe2\xe8\x84\xe8\x92\x94\x01\x08";
        let _ = OtsFile::parse(&[magic.as_slice(), &[3; 32], &bytes].concat());
    }

    #[test]
    fn paths_lead_to_the_root_that_others_compute(count in 1usize..70, at in any::<prop::sample::Index>()) {
        let txids: Vec<Txid> =
            (0..count).map(|n| Txid::from_byte_array([u8::try_from(n).unwrap(); 32])).collect();
        let at = at.index(count);
        let root = bitcoin::merkle_tree::calculate_root(txids.iter().map(|txid| txid.to_raw_hash())).unwrap();
        let path = MerklePath::of(&txids, at).unwrap();
        prop_assert_eq!(path.root(txids[at]), Ok(root.to_byte_array()));
    }
}
