//! Sealing of preimages: AES-256-GCM with the payment hash as associated data.

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use tallystick_core::{PaymentHash, canonical::sha256};
use zeroize::Zeroizing;

use crate::LightningError;

const NONCE_BYTES: usize = 12;
const PREIMAGE_BYTES: usize = 32;

/// Seals preimages for the disk, and opens them again.
pub(crate) struct Sealer(Aes256Gcm);

impl Sealer {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(Aes256Gcm::new(key.into()))
    }

    /// Seals a preimage. A nonce is random: with fewer than 2^32 payouts none comes twice.
    pub(crate) fn seal(&self, hash: &PaymentHash, preimage: &[u8; PREIMAGE_BYTES]) -> Result<Vec<u8>, LightningError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| LightningError::Randomness)?;
        let payload = Payload { msg: preimage, aad: &hash.0 };
        let sealed =
            self.0.encrypt(&Nonce::from(nonce), payload).expect("AES-GCM takes any message shorter than 64 GiB");
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what [`Self::seal`] made for this hash. What is not the preimage of the hash claims nothing, and is told as
    /// damage.
    pub(crate) fn open(
        &self,
        hash: &PaymentHash,
        sealed: &[u8],
    ) -> Result<Zeroizing<[u8; PREIMAGE_BYTES]>, LightningError> {
        const DAMAGED: LightningError = LightningError::Corrupt("a sealed preimage");
        let (nonce, body) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(DAMAGED)?;
        let payload = Payload { msg: body, aad: &hash.0 };
        let opened = self.0.decrypt(&Nonce::from(*nonce), payload).map(Zeroizing::new).map_err(|_| DAMAGED)?;
        let preimage: Zeroizing<[u8; PREIMAGE_BYTES]> =
            Zeroizing::new(opened.as_slice().try_into().map_err(|_| DAMAGED)?);
        if sha256(preimage.as_slice()).0 == hash.0 { Ok(preimage) } else { Err(DAMAGED) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREIMAGE: [u8; 32] = [9; 32];

    fn hash() -> PaymentHash {
        PaymentHash(sha256(&PREIMAGE).0)
    }

    #[test]
    fn only_the_right_key_and_hash_open_it() {
        let (hash, other) = (hash(), PaymentHash([2; 32]));
        let sealer = Sealer::new(&[3; 32]);
        let sealed = sealer.seal(&hash, &PREIMAGE).unwrap();
        assert_eq!(*sealer.open(&hash, &sealed).unwrap(), PREIMAGE);
        assert!(!sealed.windows(8).any(|window| window == [9; 8]));
        assert_ne!(sealed, sealer.seal(&hash, &PREIMAGE).unwrap());
        assert!(sealer.open(&other, &sealed).is_err());
        assert!(Sealer::new(&[4; 32]).open(&hash, &sealed).is_err());
        for cut in 0..sealed.len() {
            assert!(sealer.open(&hash, &sealed[..cut]).is_err());
        }
    }

    /// A malformed preimage stopped Mostro's daemon (M#804). Here one that was sealed with the right key, and is too short, too
    /// long, or of another hash, is damage that is told, and is never claimed with.
    #[test]
    fn malformed_preimage() {
        let sealer = Sealer::new(&[3; 32]);
        let digits: Vec<u8> = PREIMAGE.iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
        let long = [PREIMAGE.as_slice(), &[0]].concat();
        let texts: [&[u8]; 8] = [&[], &PREIMAGE[..31], &long, &digits, &digits[..32], &[0; 32], &[0xff; 32], &hash().0];
        for text in texts {
            let payload = Payload { msg: text, aad: &hash().0 };
            let nonce = [7; NONCE_BYTES];
            let sealed = [nonce.as_slice(), &sealer.0.encrypt(&Nonce::from(nonce), payload).unwrap()].concat();
            let opened = sealer.open(&hash(), &sealed);
            assert!(matches!(opened, Err(LightningError::Corrupt(_))), "{} bytes", text.len());
        }
    }
}
