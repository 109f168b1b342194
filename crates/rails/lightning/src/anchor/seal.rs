//! The key that every anchor's output 0 pays to (BIP 341, by key alone). It signs nothing but anchors.

use bitcoin::key::{Keypair, TapTweak, TweakedKeypair, TweakedPublicKey};
use bitcoin::secp256k1::{Message, SECP256K1, SecretKey};
use bitcoin::sighash::{Prevouts, SighashCache, TaprootError};
use bitcoin::{ScriptBuf, TapSighashType, Transaction, TxOut, Witness};

/// The seal's key. Wiped when dropped, and not printable.
pub(crate) struct SealKey(Keypair);

impl SealKey {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        let mut secret = SecretKey::from_slice(secret).expect("a BIP 32 key is a valid secret key");
        let pair = Keypair::from_secret_key(SECP256K1, &secret);
        secret.non_secure_erase();
        Self(pair)
    }

    /// Where seals are paid to.
    pub(crate) fn script(&self) -> ScriptBuf {
        ScriptBuf::new_p2tr_tweaked(TweakedPublicKey::dangerous_assume_tweaked(self.tweaked().public_parts().0.into()))
    }

    /// Signs every input that spends a seal.
    pub(crate) fn sign(&self, tx: &mut Transaction, prevouts: &[TxOut]) -> Result<(), TaprootError> {
        let script = self.script();
        let ours = prevouts.iter().enumerate().filter(|(_, output)| output.script_pubkey == script);
        for index in ours.map(|(index, _)| index).collect::<Vec<_>>() {
            let hash = SighashCache::new(&*tx).taproot_key_spend_signature_hash(
                index,
                &Prevouts::All(prevouts),
                TapSighashType::Default,
            )?;
            let message = Message::from(hash);
            let signature = SECP256K1.sign_schnorr_no_aux_rand(&message, self.tweaked().as_keypair());
            let signature = bitcoin::taproot::Signature { signature, sighash_type: TapSighashType::Default };
            if let Some(input) = tx.input.get_mut(index) {
                input.witness = Witness::p2tr_key_spend(&signature);
            }
        }
        Ok(())
    }

    fn tweaked(&self) -> TweakedKeypair {
        self.0.tap_tweak(SECP256K1, None)
    }
}

impl Drop for SealKey {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}
