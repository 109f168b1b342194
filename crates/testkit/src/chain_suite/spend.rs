//! Coins, keys, and transactions that spend them.

use bitcoin::absolute::LockTime;
use bitcoin::hashes::Hash;
use bitcoin::key::TapTweak;
use bitcoin::opcodes::all::{OP_CHECKSIG, OP_DROP};
use bitcoin::secp256k1::{All, Keypair, Message, Secp256k1};
use bitcoin::sighash::{EcdsaSighashType, Prevouts, SighashCache, TapSighashType};
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, CompressedPublicKey, Network, OutPoint, Script, ScriptBuf, Sequence, Transaction, TxIn, TxOut,
    Witness, ecdsa, opcodes, taproot,
};

/// How a coin is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lock {
    /// P2WPKH.
    Key,
    /// P2TR, spent by its key.
    Taproot,
    /// P2WSH with a script that takes one signature of the key.
    Script(ScriptBuf),
    /// Pay-to-anchor.
    Anchor,
}

/// An output that can be spent.
#[derive(Clone, Debug)]
pub struct Coin {
    /// Where it is.
    pub outpoint: OutPoint,
    /// Amount and script.
    pub output: TxOut,
    /// How it is locked.
    pub lock: Lock,
}

impl Coin {
    /// An output of a transaction.
    pub fn of(tx: &Transaction, vout: u32, lock: Lock) -> Self {
        let outpoint = OutPoint { txid: tx.compute_txid(), vout };
        Self { outpoint, output: tx.output[vout as usize].clone(), lock }
    }

    /// Its amount in satoshis.
    pub fn sats(&self) -> u64 {
        self.output.value.to_sat()
    }
}

/// The key that all coins are locked with.
pub struct Keys {
    secp: Secp256k1<All>,
    pair: Keypair,
}

impl Default for Keys {
    fn default() -> Self {
        Self::new()
    }
}

impl Keys {
    /// Always the same key.
    pub fn new() -> Self {
        let secp = Secp256k1::new();
        let pair = Keypair::from_seckey_slice(&secp, &[0x42; 32]).expect("a valid key");
        Self { secp, pair }
    }

    fn public(&self) -> CompressedPublicKey {
        CompressedPublicKey(self.pair.public_key())
    }

    /// The output script of [`Lock::Key`].
    pub fn script(&self) -> ScriptBuf {
        self.lock_script(&Lock::Key)
    }

    /// The address of [`Lock::Key`].
    pub fn address(&self) -> String {
        Address::from_script(&self.script(), Network::Regtest).expect("P2WPKH has an address").to_string()
    }

    /// The output script of a lock.
    pub fn lock_script(&self, lock: &Lock) -> ScriptBuf {
        match lock {
            Lock::Key => ScriptBuf::new_p2wpkh(&self.public().wpubkey_hash()),
            Lock::Taproot => ScriptBuf::new_p2tr(&self.secp, self.pair.x_only_public_key().0, None),
            Lock::Script(script) => ScriptBuf::new_p2wsh(&script.wscript_hash()),
            Lock::Anchor => ScriptBuf::from_bytes(vec![0x51, 0x02, 0x4e, 0x73]),
        }
    }

    /// A script that takes a signature once a condition is met: a number, an opcode that checks it, and the key.
    pub fn guarded(&self, number: u32, check: opcodes::Opcode) -> Lock {
        let script = Script::builder()
            .push_int(i64::from(number))
            .push_opcode(check)
            .push_opcode(OP_DROP)
            .push_slice(self.public().to_bytes())
            .push_opcode(OP_CHECKSIG);
        Lock::Script(script.into_script())
    }

    /// Signs every input of a draft.
    pub fn sign(&self, draft: &Draft) -> Transaction {
        self.sign_with(draft, &[0; 32])
    }

    /// The same with other random numbers in the signatures: another witness for the same id.
    pub fn sign_with(&self, draft: &Draft, noise: &[u8; 32]) -> Transaction {
        let mut tx = draft.unsigned();
        let spent: Vec<TxOut> = draft.inputs.iter().map(|(coin, _)| coin.output.clone()).collect();
        let mut cache = SighashCache::new(&mut tx);
        for (index, (coin, _)) in draft.inputs.iter().enumerate() {
            let value = coin.output.value;
            let witness = match &coin.lock {
                Lock::Key => {
                    let script = &coin.output.script_pubkey;
                    let hash = cache.p2wpkh_signature_hash(index, script, value, EcdsaSighashType::All);
                    let signature = self.ecdsa(hash.expect("a P2WPKH input").to_byte_array(), noise);
                    Witness::p2wpkh(&signature, &self.pair.public_key())
                }
                Lock::Taproot => {
                    let kind = TapSighashType::Default;
                    let hash = cache.taproot_key_spend_signature_hash(index, &Prevouts::All(&spent), kind);
                    let message = Message::from_digest(hash.expect("an input").to_byte_array());
                    let tweaked = self.pair.tap_tweak(&self.secp, None).to_keypair();
                    let signature = self.secp.sign_schnorr_with_aux_rand(&message, &tweaked, noise);
                    Witness::p2tr_key_spend(&taproot::Signature { signature, sighash_type: kind })
                }
                Lock::Script(script) => {
                    let hash = cache.p2wsh_signature_hash(index, script, value, EcdsaSighashType::All);
                    let signature = self.ecdsa(hash.expect("an input").to_byte_array(), noise);
                    Witness::from_slice(&[signature.to_vec(), script.to_bytes()])
                }
                Lock::Anchor => Witness::new(),
            };
            *cache.witness_mut(index).expect("an input") = witness;
        }
        tx
    }

    fn ecdsa(&self, hash: [u8; 32], noise: &[u8; 32]) -> ecdsa::Signature {
        let message = Message::from_digest(hash);
        let signature = self.secp.sign_ecdsa_with_noncedata(&message, &self.pair.secret_key(), noise);
        ecdsa::Signature { signature, sighash_type: EcdsaSighashType::All }
    }
}

/// A transaction in the making.
#[derive(Clone, Debug)]
pub struct Draft {
    version: i32,
    lock_time: u32,
    inputs: Vec<(Coin, u32)>,
    outputs: Vec<TxOut>,
}

impl Default for Draft {
    fn default() -> Self {
        Self::new()
    }
}

impl Draft {
    /// Version 2, without locks.
    pub fn new() -> Self {
        Self { version: 2, lock_time: 0, inputs: Vec::new(), outputs: Vec::new() }
    }

    /// Another version.
    pub fn version(mut self, version: i32) -> Self {
        self.version = version;
        self
    }

    /// A lock time, as on the wire.
    pub fn lock_time(mut self, lock_time: u32) -> Self {
        self.lock_time = lock_time;
        self
    }

    /// Spends a coin, replaceable and without a relative lock.
    pub fn spend(self, coin: &Coin) -> Self {
        self.spend_at(coin, 0xffff_fffd)
    }

    /// Spends a coin with a sequence number, as on the wire.
    pub fn spend_at(mut self, coin: &Coin, sequence: u32) -> Self {
        self.inputs.push((coin.clone(), sequence));
        self
    }

    /// Pays an amount in satoshis.
    pub fn pay(mut self, script: ScriptBuf, sats: u64) -> Self {
        self.outputs.push(TxOut { value: Amount::from_sat(sats), script_pubkey: script });
        self
    }

    /// Pays all that is left but a fee in satoshis.
    pub fn pay_rest(self, script: ScriptBuf, fee: u64) -> Self {
        let total: u64 = self.inputs.iter().map(|(coin, _)| coin.sats()).sum();
        let paid: u64 = self.outputs.iter().map(|output| output.value.to_sat()).sum();
        let rest = total - paid - fee;
        self.pay(script, rest)
    }

    fn unsigned(&self) -> Transaction {
        let input = self.inputs.iter().map(|(coin, sequence)| TxIn {
            previous_output: coin.outpoint,
            script_sig: ScriptBuf::new(),
            sequence: Sequence(*sequence),
            witness: Witness::new(),
        });
        Transaction {
            version: Version(self.version),
            lock_time: LockTime::from_consensus(self.lock_time),
            input: input.collect(),
            output: self.outputs.clone(),
        }
    }
}
