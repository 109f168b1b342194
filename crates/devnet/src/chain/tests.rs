//! Laws of the chain: what is undone was never there, and the state depends on the best chain alone.

use std::sync::Arc;

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, Block, BlockHash, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxMerkleNode, TxOut, Txid, Witness,
};
use proptest::prelude::*;

use super::rules::{format_money, merkle_root};
use super::*;
use crate::mempool::Terms;

/// Midsummer 2026.
const NOW: u64 = 1_782_000_000;

/// A P2WSH script that anyone can spend, and that is standard.
fn open_script() -> ScriptBuf {
    ScriptBuf::new_p2wsh(&ScriptBuf::from_bytes(vec![0x51]).wscript_hash())
}

fn chain_of(blocks: u32) -> Chain {
    let mut chain = Chain::new();
    chain.set_time(NOW);
    for _ in 0..blocks {
        mine(&mut chain, 0);
    }
    chain
}

fn mine(chain: &mut Chain, tag: u8) -> BlockHash {
    // A second and a tag make blocks differ that would otherwise be the same.
    chain.set_time(chain.now() + 1);
    let script = if tag == 0 { open_script() } else { ScriptBuf::new_p2wsh(&Hash::from_byte_array([tag; 32])) };
    chain.mine(&script, &mut 10_000).expect("the mempool holds nothing that a block cannot")
}

/// Spends coins in equal parts, for a fee.
fn spend(coins: &[(OutPoint, Amount)], parts: u64, fee: u64) -> Option<Transaction> {
    let total: Amount = coins.iter().map(|(_, value)| *value).sum();
    let each = total.to_sat().checked_sub(fee)? / parts;
    let output = TxOut { value: Amount::from_sat(each), script_pubkey: open_script() };
    let input = coins.iter().map(|(outpoint, _)| TxIn {
        previous_output: *outpoint,
        script_sig: ScriptBuf::new(),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        witness: Witness::from_slice(&[[0x51]]),
    });
    Some(Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: input.collect(),
        output: vec![output; usize::try_from(parts).ok()?],
    })
}

/// What could be spent, in a fixed order: outputs of the chain and of the mempool.
fn spendable(chain: &Chain) -> Vec<(OutPoint, Amount)> {
    let mut coins: Vec<(OutPoint, Amount)> =
        chain.coins().iter().map(|(out, coin)| (*out, coin.output.value)).collect();
    for (txid, entry) in chain.mempool().iter() {
        let outputs = coins::outpoints(&entry.tx, *txid).zip(&entry.tx.output);
        coins.extend(outputs.map(|(outpoint, output)| (outpoint, output.value)));
    }
    coins.retain(|(_, value)| value.to_sat() > 1_000);
    coins.sort_unstable();
    coins
}

fn offer(chain: &mut Chain, tx: Transaction) -> Result<Txid, TxReject> {
    let txid = tx.compute_txid();
    let (mempool, site) = chain.mempool_mut();
    mempool.accept(&Arc::new(tx), &site, Terms::SINGLE, false).map(|_| txid)
}

/// The best chain again, in a chain that never saw anything else.
fn replay(chain: &Chain) -> Chain {
    let mut fresh = Chain::new();
    fresh.set_time(NOW);
    for height in 1..=chain.tree().tip().height {
        let hash = chain.tree().best_at(height).expect("below the tip");
        let stored = chain.tree().get(&hash).and_then(|node| node.stored.clone()).expect("a block of the best chain");
        assert_eq!(fresh.submit(stored.block.clone()), Submitted::Connected);
    }
    fresh
}

/// Fees go to the miner, so that all coins together are all rewards together, but for what a miner gave up.
fn assert_sane(chain: &Chain) {
    let tip = chain.tree().tip().height;
    let rewards: Amount = (1..=tip).map(subsidy).sum();
    let coins: Amount = chain.coins().iter().map(|(_, coin)| coin.output.value).sum();
    assert_eq!(coins, rewards);
    let mut total = Amount::ZERO;
    for (txid, entry) in chain.mempool().iter() {
        total += entry.fee;
        for input in &entry.tx.input {
            assert_eq!(chain.mempool().spender(&input.previous_output), Some(*txid));
            let known = chain.coins().coin(&input.previous_output).or(chain.mempool().coin(&input.previous_output));
            assert!(known.is_some(), "{txid} spends what is not there");
        }
        for child in &entry.children {
            assert!(chain.mempool().get(child).is_some_and(|child| child.parents.contains(txid)));
        }
    }
    assert_eq!(chain.mempool().total_fee(), total);
}

/// One step of a random life.
#[derive(Clone, Debug)]
enum Step {
    Spend { picks: Vec<prop::sample::Index>, parts: u64, fee: u64 },
    Mine(u8),
    Invalidate(u32),
    Reconsider(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let picks = prop::collection::vec(any::<prop::sample::Index>(), 1..3);
    prop_oneof![
        6 => (picks, 1..4u64, 300..20_000u64).prop_map(|(picks, parts, fee)| Step::Spend { picks, parts, fee }),
        3 => (0..3u8).prop_map(Step::Mine),
        1 => (1..6u32).prop_map(Step::Invalidate),
        1 => any::<prop::sample::Index>().prop_map(Step::Reconsider),
    ]
}

fn live(chain: &mut Chain, invalid: &mut Vec<BlockHash>, step: &Step, count: u8) {
    match step {
        Step::Spend { picks, parts, fee } => {
            let coins = spendable(chain);
            let mut chosen: Vec<_> = picks.iter().map(|pick| *pick.get(&coins)).collect();
            chosen.sort_unstable();
            chosen.dedup();
            if let Some(tx) = spend(&chosen, *parts, *fee) {
                // Refusals are part of life: immature, too cheap, too long a chain.
                let _ = offer(chain, tx);
            }
        }
        Step::Mine(tag) => {
            mine(chain, if *tag == 0 { 0 } else { 100 + count });
        }
        Step::Invalidate(depth) => {
            let height = chain.tree().tip().height.saturating_sub(*depth).max(101);
            if let Some(hash) = chain.tree().best_at(height) {
                assert!(chain.invalidate(&hash));
                invalid.push(hash);
            }
        }
        Step::Reconsider(pick) => {
            if !invalid.is_empty() {
                let hash = invalid.swap_remove(pick.index(invalid.len()));
                assert!(chain.reconsider(&hash));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever happened: the coins are those of the best chain, the mempool fits on top, and it can be mined.
    #[test]
    fn the_state_depends_on_the_best_chain_alone(steps in prop::collection::vec(step(), 1..40)) {
        let mut chain = chain_of(104);
        let mut invalid = Vec::new();
        for (count, step) in (0u8..).zip(&steps) {
            live(&mut chain, &mut invalid, step, count);
            assert_sane(&chain);
        }
        let fresh = replay(&chain);
        prop_assert_eq!(fresh.coins(), chain.coins());
        mine(&mut chain, 99);
        assert_sane(&chain);
        prop_assert!(chain.mempool().is_empty(), "everything in the mempool fits into one block here");
    }

    /// Disconnecting a block restores exactly what was there, and connecting it again exactly what came after.
    #[test]
    fn undo_restores_the_coins(steps in prop::collection::vec(step(), 1..30), depth in 1..8u32) {
        let mut chain = chain_of(104);
        let mut history = vec![chain.coins().clone()];
        for (count, step) in (0u8..).zip(&steps) {
            if let Step::Spend { .. } | Step::Mine(_) = step {
                live(&mut chain, &mut Vec::new(), step, count);
            }
            if let Step::Mine(_) = step {
                history.push(chain.coins().clone());
            }
        }
        let tip = chain.tree().tip().height;
        let depth = depth.min(tip - 104);
        prop_assume!(depth > 0);
        let hash = chain.tree().best_at(tip - depth + 1).expect("below the tip");
        chain.invalidate(&hash);
        let index = history.len() - 1 - depth as usize;
        prop_assert_eq!(chain.coins(), &history[index]);
        chain.reconsider(&hash);
        prop_assert_eq!(chain.coins(), &history[history.len() - 1]);
        prop_assert_eq!(chain.tree().tip().height, tip);
    }

    /// The Merkle root is that of the `bitcoin` crate, and repeated ends are noticed.
    #[test]
    fn merkle_roots(tags in prop::collection::vec(any::<[u8; 32]>(), 1..20)) {
        let txids: Vec<Txid> = tags.into_iter().map(Txid::from_byte_array).collect();
        let expected = bitcoin::merkle_tree::calculate_root(txids.iter().map(|txid| txid.to_raw_hash()));
        let (root, mutated) = merkle_root(&txids);
        prop_assert_eq!(Some(root.to_raw_hash()), expected);
        prop_assert!(!mutated);
        if txids.len() > 1 && !txids.len().is_multiple_of(2) {
            let mut longer = txids.clone();
            longer.extend(txids.last());
            prop_assert_eq!(merkle_root(&longer), (root, true));
        }
    }
}

#[test]
fn rewards_halve_to_nothing() {
    let expected = [(0, 5_000_000_000), (149, 5_000_000_000), (150, 2_500_000_000), (300, 1_250_000_000), (4_950, 0)];
    for (height, sats) in expected {
        assert_eq!(subsidy(height), Amount::from_sat(sats));
    }
    assert_eq!(subsidy(u32::MAX), Amount::ZERO);
}

#[test]
fn money_is_printed_like_bitcoin_core_does() {
    for (sats, text) in
        [(0, "0.00"), (1, "0.00000001"), (100_000_000, "1.00"), (123_000_000, "1.23"), (60_000, "0.0006")]
    {
        assert_eq!(format_money(Amount::from_sat(sats)), text);
    }
}

#[test]
fn only_the_last_ten_blocks_give_their_transactions_back() {
    let mut chain = chain_of(101);
    let coin = chain.tree().best_at(1).and_then(|hash| chain.tree().get(&hash)?.stored.clone()).expect("a block");
    let reward = (OutPoint { txid: coin.txids[0], vout: 0 }, coin.block.txdata[0].output[0].value);
    let txid = offer(&mut chain, spend(&[reward], 1, 1_000).expect("enough")).expect("good");
    let holder = mine(&mut chain, 0);
    for _ in 0..9 {
        mine(&mut chain, 0);
    }
    chain.invalidate(&holder);
    assert!(chain.mempool().get(&txid).is_some());
    chain.reconsider(&holder);
    assert!(chain.mempool().is_empty());
    // One block more, and it is too deep for Bitcoin Core to care.
    mine(&mut chain, 0);
    chain.invalidate(&holder);
    assert!(chain.mempool().is_empty());
}

#[test]
fn a_block_needs_its_parent_only_once() {
    let mut chain = chain_of(2);
    let mut other = chain_of(2);
    mine(&mut other, 7);
    mine(&mut other, 7);
    let blocks: Vec<Block> = (3..=4)
        .filter_map(|height| other.tree().best_at(height))
        .filter_map(|hash| other.tree().get(&hash)?.stored.clone())
        .map(|stored| stored.block.clone())
        .collect();
    let Submitted::Rejected(reject) = chain.submit(blocks[1].clone()) else { panic!("its parent is unknown") };
    assert_eq!(reject.reason, "prev-blk-not-found");
    assert_eq!(chain.submit(blocks[0].clone()), Submitted::Connected);
    assert_eq!(chain.submit(blocks[1].clone()), Submitted::Connected);
    assert_eq!(chain.submit(blocks[1].clone()), Submitted::Duplicate);
    assert_eq!(chain.coins(), other.coins());
    let mut spoilt = blocks[0].clone();
    spoilt.header.merkle_root = TxMerkleNode::all_zeros();
    assert!(matches!(chain.submit(spoilt), Submitted::Rejected(_)));
}
