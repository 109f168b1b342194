//! The on-chain wallet (BIP 86), which funds channels, pays for the fees of their closing, and takes what they return.
//!
//! It sees whole blocks only: an incoming payment is known once it is in a block, our own transactions at once.

mod anchor;
mod ldk;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bdk_wallet::chain::{BlockId, Merge};
use bdk_wallet::descriptor::{ExtendedDescriptor, IntoWalletDescriptor};
use bdk_wallet::signer::{SignerError, SignersContainer};
use bdk_wallet::template::Bip86;
use bdk_wallet::{ChangeSet, KeychainKind, SignOptions, Update, Wallet};
use bitcoin::bip32::Xpriv;
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Address, Amount, Block, BlockHash, FeeRate, Network, OutPoint, Psbt, ScriptBuf, Transaction};
use lightning::chain::{BestBlock, Listen};
use tallystick_core::Timestamp;

use crate::LightningError;
use crate::clock::now;
use crate::store::{Store, Write};

/// How many scripts ahead are looked for.
const LOOKAHEAD: u32 = 100;
/// More changes than this are made one when the wallet is opened; every block is one.
const CHANGES_MAX: usize = 100;

/// The wallet. Every change is queued for the store as it is made.
pub(crate) struct OnchainWallet {
    /// Knows public keys only.
    wallet: Mutex<Wallet>,
    signers: [SignersContainer; 2],
    /// Coins that a funding transaction spends which is not broadcast yet. Such a transaction is not the wallet's
    /// business before LDK broadcasts it: sooner, its coins would be lost if the peer vanished.
    reserved: Mutex<HashSet<OutPoint>>,
    store: Arc<Store>,
}

/// What the wallet has.
#[derive(Clone, Copy)]
pub(crate) struct OnchainBalance {
    pub(crate) confirmed: Amount,
    pub(crate) pending: Amount,
}

/// Why a channel cannot be funded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FundingError {
    #[error("the on-chain wallet has {have}; the channel, and the reserve for closing channels, need {need}")]
    TooLittle { have: Amount, need: Amount },
    #[error("the funding transaction cannot be built: {0}")]
    Build(String),
}

impl OnchainWallet {
    /// Loads the wallet, or makes it; a new one begins at block `birth`, as nothing can have been paid to it before.
    pub(crate) fn open(
        store: Arc<Store>,
        root: Xpriv,
        network: Network,
        birth: (u32, BlockHash),
    ) -> Result<Self, LightningError> {
        let changes = read_changes(&store)?;
        let (external, external_signers) = keychain(root, KeychainKind::External, network)?;
        let (internal, internal_signers) = keychain(root, KeychainKind::Internal, network)?;
        let wallet = if changes.is_empty() {
            let mut wallet = Wallet::create(external, internal)
                .network(network)
                .lookahead(LOOKAHEAD)
                .create_wallet_no_persist()
                .map_err(|_| LightningError::Corrupt("the wallet's descriptors"))?;
            begin_at(&mut wallet, birth)?;
            wallet
        } else {
            Wallet::load()
                .descriptor(KeychainKind::External, Some(external))
                .descriptor(KeychainKind::Internal, Some(internal))
                .check_network(network)
                .lookahead(LOOKAHEAD)
                .load_wallet_no_persist(changes)
                .map_err(|_| LightningError::Corrupt("a wallet of another seed or network"))?
                .ok_or(LightningError::Corrupt("the wallet"))?
        };
        let signers = [external_signers, internal_signers];
        let wallet = Self { wallet: Mutex::new(wallet), signers, reserved: Mutex::default(), store };
        wallet.save();
        Ok(wallet)
    }

    /// The block that the wallet has seen last.
    pub(crate) fn tip(&self) -> BlockHash {
        self.lock().latest_checkpoint().hash()
    }

    /// What the wallet has.
    pub(crate) fn balance(&self) -> OnchainBalance {
        let balance = self.lock().balance();
        OnchainBalance {
            confirmed: balance.confirmed,
            pending: balance.trusted_pending + balance.untrusted_pending + balance.immature,
        }
    }

    /// A fresh address for somebody else to pay to.
    pub(crate) fn fresh_address(&self) -> Address {
        let mut wallet = self.lock();
        let address = wallet.reveal_next_address(KeychainKind::External).address;
        self.save_locked(&mut wallet);
        address
    }

    /// A script of ours for LDK to pay to. One that was never used is given again.
    pub(crate) fn fresh_script(&self) -> Result<ScriptBuf, ()> {
        let mut wallet = self.lock();
        let script = wallet.next_unused_address(KeychainKind::Internal).address.script_pubkey();
        self.save_locked(&mut wallet);
        Ok(script)
    }

    /// What can be spent: confirmed coins and our own change, less what a funding that is under way takes and what an anchor
    /// that is under way gives back.
    pub(crate) fn spendable(&self) -> Amount {
        let wallet = self.lock();
        spendable(&wallet, &self.reserved())
    }

    /// Whether `amount` can be paid so that `keep` is left.
    pub(crate) fn can_pay(&self, amount: Amount, keep: Amount) -> Result<(), FundingError> {
        leaves(self.spendable(), amount, keep)
    }

    /// Builds and signs a transaction that pays `amount` to `script` and leaves `keep`, fees aside.
    pub(crate) fn fund(
        &self,
        script: ScriptBuf,
        amount: Amount,
        keep: Amount,
        rate: FeeRate,
    ) -> Result<Transaction, FundingError> {
        let build = |error: &dyn std::fmt::Display| FundingError::Build(error.to_string());
        let mut wallet = self.lock();
        let mut reserved = self.reserved();
        leaves(spendable(&wallet, &reserved), amount, keep)?;
        let taken = &*reserved | &anchor::uncertain(&wallet);
        let mut builder = wallet.build_tx();
        builder.add_recipient(script, amount).fee_rate(rate).unspendable(taken.into_iter().collect());
        let mut psbt = builder.finish().map_err(|error| build(&error))?;
        let whole = self.sign(&wallet, &mut psbt, SignOptions::default()).map_err(|error| build(&error))?;
        if !whole {
            return Err(FundingError::Build("not all inputs could be signed".to_owned()));
        }
        let tx = psbt.extract_tx().map_err(|error| build(&error))?;
        reserved.extend(inputs(&tx));
        self.save_locked(&mut wallet);
        Ok(tx)
    }

    /// A transaction that [`Self::fund`] made will never be broadcast: its coins are free again.
    pub(crate) fn give_up(&self, tx: &Transaction) {
        let mut reserved = self.reserved();
        inputs(tx).for_each(|coin| {
            reserved.remove(&coin);
        });
    }

    /// Transactions are being broadcast; the wallet keeps those that pay to it or from it.
    pub(crate) fn saw(&self, txs: &[Transaction]) {
        let mut wallet = self.lock();
        let time = now().as_secs();
        wallet.apply_unconfirmed_txs(txs.iter().map(|tx| (tx.clone(), time)));
        self.save_locked(&mut wallet);
        drop(wallet);
        txs.iter().for_each(|tx| self.give_up(tx));
    }

    /// These transactions, as they were found at a time, will not confirm: what they spent is free again. One that was
    /// broadcast since counts.
    pub(crate) fn forget(&self, txs: &[Transaction], found: Timestamp) {
        let mut wallet = self.lock();
        // BDK counts seconds, and one that is seen in the second of its eviction as evicted.
        let time = found.as_secs().saturating_sub(1);
        wallet.apply_evicted_txs(txs.iter().map(|tx| (tx.compute_txid(), time)));
        self.save_locked(&mut wallet);
    }

    /// Our transactions that are in no block, for another broadcast.
    pub(crate) fn unconfirmed(&self) -> Vec<Transaction> {
        let wallet = self.lock();
        let waiting = wallet.transactions().filter(|tx| !tx.chain_position.is_confirmed());
        waiting.map(|tx| (*tx.tx_node.tx).clone()).collect()
    }

    /// Queues what changed for the store.
    pub(crate) fn save(&self) {
        self.save_locked(&mut self.lock());
    }

    /// Signs what is ours; says whether nothing is missing.
    fn sign(&self, wallet: &Wallet, psbt: &mut Psbt, options: SignOptions) -> Result<bool, SignerError> {
        let [external, internal] = &self.signers;
        wallet.sign_with_signers(psbt, &[external, internal], options)
    }

    fn save_locked(&self, wallet: &mut Wallet) {
        if let Some(change) = wallet.take_staged() {
            self.store.write(Write::Wallet(encode(&change)));
        }
    }

    /// Taken after the wallet, if both are.
    fn reserved(&self) -> MutexGuard<'_, HashSet<OutPoint>> {
        self.reserved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Wallet> {
        self.wallet.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads all changes. Many are written back as one, so that starts stay quick.
fn read_changes(store: &Store) -> Result<ChangeSet, LightningError> {
    let bodies = store.wallet_changes()?;
    let mut changes = ChangeSet::default();
    for body in &bodies {
        let change: ChangeSet =
            serde_json::from_slice(body).map_err(|_| LightningError::Corrupt("a change of the wallet"))?;
        changes.merge(change);
    }
    if bodies.len() > CHANGES_MAX {
        store.write(Write::WholeWallet(encode(&changes)));
    }
    Ok(changes)
}

fn encode(change: &ChangeSet) -> Vec<u8> {
    serde_json::to_vec(change).expect("a change of the wallet is plain data")
}

/// One of the wallet's two chains of addresses: its public descriptor, and what signs for it.
fn keychain(
    root: Xpriv,
    kind: KeychainKind,
    network: Network,
) -> Result<(ExtendedDescriptor, SignersContainer), LightningError> {
    let secp = Secp256k1::new();
    let (descriptor, keys) = Bip86(root, kind)
        .into_wallet_descriptor(&secp, network.into())
        .map_err(|_| LightningError::Corrupt("the wallet's descriptors"))?;
    let signers = SignersContainer::build(keys, &descriptor, &secp);
    Ok((descriptor, signers))
}

fn spendable(wallet: &Wallet, reserved: &HashSet<OutPoint>) -> Amount {
    let taken = reserved | &anchor::uncertain(wallet);
    let taken: Amount = taken.iter().filter_map(|coin| wallet.get_utxo(*coin)).map(|coin| coin.txout.value).sum();
    wallet.balance().trusted_spendable().checked_sub(taken).unwrap_or(Amount::ZERO)
}

fn leaves(have: Amount, amount: Amount, keep: Amount) -> Result<(), FundingError> {
    let need = amount.checked_add(keep).unwrap_or(Amount::MAX_MONEY);
    if have < need { Err(FundingError::TooLittle { have, need }) } else { Ok(()) }
}

fn inputs(tx: &Transaction) -> impl Iterator<Item = OutPoint> + '_ {
    tx.input.iter().map(|input| input.previous_output)
}

fn begin_at(wallet: &mut Wallet, (height, hash): (u32, BlockHash)) -> Result<(), LightningError> {
    if height == 0 {
        return Ok(());
    }
    let tip = wallet.latest_checkpoint().insert(BlockId { height, hash });
    let update = Update { chain: Some(tip), ..Update::default() };
    wallet.apply_update(update).map_err(|_| LightningError::Chain("its genesis block is another network's".to_owned()))
}

impl Listen for OnchainWallet {
    fn block_connected(&self, block: &Block, height: u32) {
        let mut wallet = self.lock();
        if let Err(error) = wallet.apply_block(block, height) {
            tracing::error!(height, %error, "a block does not connect to the wallet's chain");
        }
    }

    fn filtered_block_connected(
        &self,
        _: &bitcoin::block::Header,
        _: &lightning::chain::transaction::TransactionData<'_>,
        height: u32,
    ) {
        tracing::error!(height, "the wallet needs whole blocks");
    }

    fn blocks_disconnected(&self, _fork: BestBlock) {
        // The wallet drops the stale blocks itself when the first block of the better chain connects below them.
    }
}
