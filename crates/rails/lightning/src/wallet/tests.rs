//! The wallet alone, on blocks made by hand.

use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{CompactTarget, TxIn, TxMerkleNode, TxOut, absolute, transaction};
use tallystick_core::Duration;

use super::*;

const RATE: FeeRate = FeeRate::from_sat_per_kwu(500);

fn open(dir: &std::path::Path) -> (Arc<Store>, OnchainWallet) {
    let vault = crate::secret::Vault::try_new(zeroize::Zeroizing::new([1; 32])).unwrap();
    let (store, _notices) = Store::open(dir, &crate::Database::Sqlite, vault).unwrap();
    let root = Xpriv::new_master(Network::Regtest, &[7; 32]).unwrap();
    let wallet = OnchainWallet::open(store.clone(), root, Network::Regtest, (0, BlockHash::all_zeros())).unwrap();
    (store, wallet)
}

/// The first block, paying to a script.
fn block_paying(script: ScriptBuf, amount: Amount) -> Block {
    let genesis = bitcoin::constants::genesis_block(Network::Regtest);
    let header = Header {
        version: Version::TWO,
        prev_blockhash: genesis.block_hash(),
        merkle_root: TxMerkleNode::all_zeros(),
        time: genesis.header.time + 1,
        bits: CompactTarget::from_consensus(0x207f_ffff),
        nonce: 0,
    };
    let tx = Transaction {
        version: transaction::Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        // Not a coinbase: it needs no maturity.
        input: vec![TxIn { previous_output: OutPoint::new(genesis.txdata[0].compute_txid(), 0), ..TxIn::default() }],
        output: vec![TxOut { value: amount, script_pubkey: script }],
    };
    Block { header, txdata: vec![tx] }
}

fn somewhere() -> ScriptBuf {
    ScriptBuf::new_p2wsh(&bitcoin::WScriptHash::all_zeros())
}

#[test]
fn a_coin_is_in_one_funding_and_a_funding_is_not_sent_before_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let (store, wallet) = open(dir.path());
    let script = wallet.fresh_address().script_pubkey();
    wallet.block_connected(&block_paying(script, Amount::from_sat(1_000_000)), 1);
    assert_eq!(wallet.balance().confirmed, Amount::from_sat(1_000_000));
    let keep = Amount::from_sat(100_000);
    assert!(wallet.can_pay(Amount::from_sat(900_000), keep).is_ok());
    assert!(matches!(wallet.can_pay(Amount::from_sat(900_001), keep), Err(FundingError::TooLittle { .. })));

    let amount = Amount::from_sat(400_000);
    let fund = |keep| wallet.fund(somewhere(), amount, keep, RATE);
    assert!(matches!(fund(Amount::from_sat(600_001)), Err(FundingError::TooLittle { .. })));
    let first = fund(keep).unwrap();
    // Its coin is spoken for: a second channel at the same time finds nothing to pay with.
    assert_eq!(wallet.spendable(), Amount::ZERO);
    // Only LDK knows when the peer has signed; until then nobody may broadcast it.
    assert!(wallet.unconfirmed().is_empty());
    assert!(matches!(fund(Amount::ZERO), Err(FundingError::TooLittle { .. })));
    wallet.give_up(&first);
    let second = fund(keep).unwrap();
    let before = now();
    wallet.saw(std::slice::from_ref(&second));
    assert_eq!(wallet.unconfirmed(), [second]);
    let balance = wallet.balance();
    assert_eq!(balance.confirmed, Amount::ZERO);
    assert!(balance.pending > Amount::from_sat(590_000) && balance.pending < Amount::from_sat(600_000));
    // Its change may fund the next one.
    assert!(fund(keep).is_ok());
    // Somebody thinks that it can never confirm, but it was broadcast after that.
    wallet.forget(&wallet.unconfirmed(), before);
    assert_eq!(wallet.unconfirmed().len(), 1);
    // It turns out that it can never confirm.
    wallet.forget(&wallet.unconfirmed(), now().after(Duration::from_secs(2)));
    assert!(wallet.unconfirmed().is_empty());
    assert_eq!(wallet.balance().confirmed, Amount::from_sat(1_000_000));
    store.close();
}

#[test]
fn a_wallet_comes_back_with_its_changes_made_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut addresses = Vec::new();
    for round in 0..3 {
        let (store, wallet) = open(dir.path());
        let changes = store.wallet_changes().unwrap().len();
        assert!(round == 0 || changes <= CHANGES_MAX + 2, "{changes} changes after round {round}");
        addresses.extend((0..=CHANGES_MAX).map(|_| wallet.fresh_address()));
        store.close();
        let (store, wallet) = open(dir.path());
        assert_eq!(wallet.tip(), bitcoin::constants::genesis_block(Network::Regtest).block_hash());
        store.close();
    }
    let all = addresses.len();
    addresses.sort_unstable();
    addresses.dedup();
    assert_eq!(addresses.len(), all, "no address is given twice");
}
