//! Blocks, coins and reorganisations on demand, through Bitcoin Core's JSON-RPC alone.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::secp256k1::{All, Message, Secp256k1, SecretKey};
use bitcoin::sighash::{EcdsaSighashType, SighashCache};
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, BlockHash, CompressedPublicKey, Network, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut,
    Txid, Witness, ecdsa,
};
use serde_json::json;
use tallystick_bitcoin::{RpcClient, RpcError};
use tokio::sync::Mutex;

use crate::chain::COINBASE_MATURITY;

/// What the faucet pays, in satoshis per virtual byte.
const FAUCET_SAT_PER_VBYTE: u64 = 5;
/// Upper bounds for the parts of a faucet transaction, in virtual bytes.
const VBYTES_FRAME: u64 = 11;
const VBYTES_INPUT: u64 = 69;
const VBYTES_OUTPUT: u64 = 43;
/// Change below this goes to the fee.
const CHANGE_MIN: Amount = Amount::from_sat(1_000);
/// The largest number of coins in one faucet transaction.
const INPUTS_MAX: usize = 200;

/// What happens on the new branch of a reorganisation to the transactions of the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// They go back to the mempool, and into the new blocks from there.
    KeepTransactions,
    /// They go back to the mempool and stay there: the new blocks are empty.
    Empty,
}

/// The miner could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MinerError {
    /// The node refused, or did not answer.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The faucet does not have so much; blocks mature after 100 more.
    #[error("the faucet has {available} to spend, not {wanted}")]
    Dry {
        /// What was asked for, with the fee.
        wanted: Amount,
        /// What it has.
        available: Amount,
    },
    /// The new branch must be longer than the old, or it would not win on a network.
    #[error("a branch of {length} blocks does not replace one of {depth}")]
    BranchTooShort {
        /// How many blocks are replaced.
        depth: u32,
        /// How many would come instead.
        length: u32,
    },
    /// The chain is not that long.
    #[error("the chain has {height} blocks, not {depth}")]
    TooDeep {
        /// How many blocks were to be replaced.
        depth: u32,
        /// How many there are above the first.
        height: u32,
    },
    /// The script cannot be written as an address, which is what the node asks for.
    #[error("the script has no address")]
    NoAddress,
    /// The node found fewer blocks than asked for.
    #[error("{mined} blocks were mined, not {wanted}")]
    TooFewBlocks {
        /// How many were asked for.
        wanted: u32,
        /// How many came.
        mined: usize,
    },
}

/// Mines on a regtest node, and gives away what it mined. It keeps its own keys and needs no wallet in the node, so
/// that it drives the devnet and a real Bitcoin Core alike.
pub struct Miner {
    rpc: RpcClient,
    secp: Secp256k1<All>,
    seed: [u8; 32],
    purse: Mutex<Purse>,
}

impl std::fmt::Debug for Miner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Miner").field("rpc", &self.rpc).finish_non_exhaustive()
    }
}

/// The keys, and the coins that pay to them.
#[derive(Default)]
struct Purse {
    keys: Vec<Key>,
    /// The blocks that were looked through, by height.
    scanned: Vec<BlockHash>,
    coins: Vec<PurseCoin>,
}

struct Key {
    secret: SecretKey,
    public: CompressedPublicKey,
    script: ScriptBuf,
}

#[derive(Clone, Copy)]
struct PurseCoin {
    outpoint: OutPoint,
    value: Amount,
    key: usize,
    /// The height of its block; `None` for change that is not in one yet.
    height: Option<u32>,
    coinbase: bool,
}

impl Miner {
    /// A miner with keys from a seed. The coins of regtest are worth nothing: the seed is no secret.
    #[must_use]
    pub fn new(rpc: RpcClient, seed: [u8; 32]) -> Self {
        let secp = Secp256k1::new();
        let first = derive_key(&secp, &seed, 0);
        let purse = Purse { keys: vec![first], ..Purse::default() };
        Self { rpc, secp, seed, purse: Mutex::new(purse) }
    }

    /// The client that it works through.
    #[must_use]
    pub fn rpc(&self) -> &RpcClient {
        &self.rpc
    }

    /// Mines blocks with their rewards to the faucet.
    ///
    /// # Errors
    /// [`MinerError::Rpc`], [`MinerError::TooFewBlocks`].
    pub async fn mine(&self, blocks: u32) -> Result<Vec<BlockHash>, MinerError> {
        let script = self.purse.lock().await.keys[0].script.clone();
        self.mine_to(&script, blocks).await
    }

    /// Mines blocks with their rewards to a script.
    ///
    /// # Errors
    /// [`MinerError::Rpc`], [`MinerError::NoAddress`], [`MinerError::TooFewBlocks`].
    pub async fn mine_to(&self, script: &ScriptBuf, blocks: u32) -> Result<Vec<BlockHash>, MinerError> {
        let address = Address::from_script(script, Network::Regtest).map_err(|_| MinerError::NoAddress)?;
        let hashes: Vec<BlockHash> = self.rpc.call("generatetoaddress", json!([blocks, address])).await?;
        if hashes.len() != blocks as usize {
            return Err(MinerError::TooFewBlocks { wanted: blocks, mined: hashes.len() });
        }
        Ok(hashes)
    }

    /// Replaces the last `depth` blocks by `length` others, and returns those. The node regards the old blocks as invalid
    /// from then on.
    ///
    /// # Errors
    /// [`MinerError::BranchTooShort`], [`MinerError::TooDeep`], [`MinerError::Rpc`].
    pub async fn reorg(&self, depth: u32, length: u32, branch: Branch) -> Result<Vec<BlockHash>, MinerError> {
        if length <= depth {
            return Err(MinerError::BranchTooShort { depth, length });
        }
        let height = self.rpc.get_block_count().await?;
        if depth > height {
            return Err(MinerError::TooDeep { depth, height });
        }
        if depth == 0 {
            return self.mine(length).await;
        }
        // Its own key makes the new blocks differ from the old even when they are mined within the same second.
        let script = {
            let mut purse = self.purse.lock().await;
            let key = derive_key(&self.secp, &self.seed, purse.keys.len() as u64);
            let script = key.script.clone();
            purse.keys.push(key);
            script
        };
        let oldest = self.rpc.get_block_hash(height - depth + 1).await?;
        self.rpc.call::<Option<()>>("invalidateblock", json!([oldest])).await?;
        // The old branch stays invalid: reconsidered, it would come back as soon as the new one is replaced in its turn.
        match branch {
            Branch::KeepTransactions => self.mine_to(&script, length).await,
            Branch::Empty => self.mine_empty_to(&script, length).await,
        }
    }

    async fn mine_empty_to(&self, script: &ScriptBuf, blocks: u32) -> Result<Vec<BlockHash>, MinerError> {
        #[derive(serde::Deserialize)]
        struct Generated {
            hash: BlockHash,
        }
        let address = Address::from_script(script, Network::Regtest).map_err(|_| MinerError::NoAddress)?;
        let mut hashes = Vec::new();
        for _ in 0..blocks {
            let generated: Generated = self.rpc.call("generateblock", json!([address, []])).await?;
            hashes.push(generated.hash);
        }
        Ok(hashes)
    }

    /// Pays to an address. Nothing is mined: the transaction waits in the mempool.
    ///
    /// # Errors
    /// [`MinerError::Dry`], [`MinerError::Rpc`].
    pub async fn faucet(&self, address: &Address, amount: Amount) -> Result<Txid, MinerError> {
        let mut purse = self.purse.lock().await;
        purse.scan(&self.rpc).await?;
        let (coins, change) = purse.select(&self.rpc, amount).await?;
        let mut output = vec![TxOut { value: amount, script_pubkey: address.script_pubkey() }];
        if change >= CHANGE_MIN {
            output.push(TxOut { value: change, script_pubkey: purse.keys[0].script.clone() });
        }
        let input = coins.iter().map(|coin| TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            witness: Witness::new(),
        });
        let mut tx = Transaction { version: Version::TWO, lock_time: LockTime::ZERO, input: input.collect(), output };
        sign(&self.secp, &mut tx, &coins, &purse.keys);
        let txid = self.rpc.send_raw_transaction(&tx).await?;
        purse.coins.retain(|coin| !coins.iter().any(|spent| spent.outpoint == coin.outpoint));
        if change >= CHANGE_MIN {
            let outpoint = OutPoint { txid, vout: 1 };
            purse.coins.push(PurseCoin { outpoint, value: change, key: 0, height: None, coinbase: false });
        }
        Ok(txid)
    }
}

impl Purse {
    /// Looks through new blocks; after a reorganisation through all.
    async fn scan(&mut self, rpc: &RpcClient) -> Result<(), MinerError> {
        let tip = rpc.get_block_count().await?;
        let last = u32::try_from(self.scanned.len()).unwrap_or(u32::MAX).checked_sub(1);
        if let Some(last) = last
            && (last > tip || rpc.get_block_hash(last).await? != self.scanned[last as usize])
        {
            self.scanned.clear();
            self.coins.clear();
        }
        let from = u32::try_from(self.scanned.len()).unwrap_or(u32::MAX);
        for height in from..=tip {
            let hash = rpc.get_block_hash(height).await?;
            let block = rpc.get_block(&hash).await?;
            for tx in &block.txdata {
                self.take(tx, height);
            }
            self.scanned.push(hash);
        }
        Ok(())
    }

    fn take(&mut self, tx: &Transaction, height: u32) {
        let txid = tx.compute_txid();
        self.coins.retain(|coin| {
            coin.outpoint.txid != txid && !tx.input.iter().any(|input| input.previous_output == coin.outpoint)
        });
        for (vout, output) in (0u32..).zip(&tx.output) {
            if let Some(key) = self.keys.iter().position(|key| key.script == output.script_pubkey) {
                self.coins.push(PurseCoin {
                    outpoint: OutPoint { txid, vout },
                    value: output.value,
                    key,
                    height: Some(height),
                    coinbase: tx.is_coinbase(),
                });
            }
        }
    }

    /// Chooses coins for an amount and its fee, and tells the change. Coins in blocks come before unconfirmed change.
    async fn select(&self, rpc: &RpcClient, amount: Amount) -> Result<(Vec<PurseCoin>, Amount), MinerError> {
        let next = u32::try_from(self.scanned.len()).unwrap_or(u32::MAX);
        let mature =
            |coin: &&PurseCoin| !coin.coinbase || coin.height.is_some_and(|height| next - height >= COINBASE_MATURITY);
        let mut usable: Vec<PurseCoin> = self.coins.iter().filter(mature).copied().collect();
        usable.sort_by_key(|coin| (coin.height.is_none(), std::cmp::Reverse(coin.value)));
        let mut chosen = Vec::new();
        let (mut total, mut wanted) = (Amount::ZERO, amount + fee_for(0));
        for coin in usable {
            if chosen.len() == INPUTS_MAX {
                break;
            }
            // Someone else, or we before a restart, may have spent it in the mempool.
            if rpc.get_tx_out(&coin.outpoint, true).await?.is_none() {
                continue;
            }
            chosen.push(coin);
            total += coin.value;
            wanted = amount + fee_for(chosen.len());
            if let Some(change) = total.checked_sub(wanted) {
                return Ok((chosen, change));
            }
        }
        Err(MinerError::Dry { wanted, available: total })
    }
}

fn fee_for(inputs: usize) -> Amount {
    let vbytes = VBYTES_FRAME + VBYTES_INPUT * inputs as u64 + VBYTES_OUTPUT * 2;
    Amount::from_sat(vbytes * FAUCET_SAT_PER_VBYTE)
}

fn derive_key(secp: &Secp256k1<All>, seed: &[u8; 32], index: u64) -> Key {
    let mut engine = sha256::Hash::engine();
    engine.input(b"tallystick devnet miner");
    engine.input(seed);
    engine.input(&index.to_be_bytes());
    let digest = sha256::Hash::from_engine(engine).to_byte_array();
    let secret = SecretKey::from_slice(&digest).expect("a hash is above the group order once in 2^128 times");
    let public = CompressedPublicKey(secret.public_key(secp));
    Key { secret, public, script: ScriptBuf::new_p2wpkh(&public.wpubkey_hash()) }
}

fn sign(secp: &Secp256k1<All>, tx: &mut Transaction, coins: &[PurseCoin], keys: &[Key]) {
    let mut cache = SighashCache::new(tx);
    for (index, coin) in coins.iter().enumerate() {
        let key = &keys[coin.key];
        let hash = cache
            .p2wpkh_signature_hash(index, &key.script, coin.value, EcdsaSighashType::All)
            .expect("the transaction has an input for every coin, and the script is P2WPKH");
        let signature = secp.sign_ecdsa(&Message::from_digest(hash.to_byte_array()), &key.secret);
        let signature = ecdsa::Signature { signature, sighash_type: EcdsaSighashType::All };
        if let Some(witness) = cache.witness_mut(index) {
            *witness = Witness::p2wpkh(&signature, &key.public.0);
        }
    }
}
