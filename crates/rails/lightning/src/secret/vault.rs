//! Sealing of everything of LDK's that can hold a preimage: manager, monitors and their updates, in AES-256-GCM.
//!
//! These are written many times a second for years, too often for random nonces under one key (NIST SP 800-38D allows
//! 2^32). So every run has a key of its own, made of the node's key and a random salt, and counts its nonces.
//!
//! ```text
//! salt (16) ‖ count (8, little-endian) ‖ ciphertext and tag
//! ```

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use tallystick_core::canonical;
use zeroize::Zeroizing;

use crate::LightningError;

const KEY_TAG: &str = "tallystick/lightning/vault/v1";
const SALT_BYTES: usize = 16;
const COUNT_BYTES: usize = 8;

type Salt = [u8; SALT_BYTES];

/// Seals what goes into the database, and opens what comes out of it.
pub(crate) struct Vault {
    root: Zeroizing<[u8; 32]>,
    salt: Salt,
    key: Aes256Gcm,
    count: AtomicU64,
    /// The key of the run that was read last: a database is written by few runs.
    other: Mutex<Option<(Salt, Aes256Gcm)>>,
}

impl Vault {
    /// A vault for one run.
    pub(crate) fn try_new(root: Zeroizing<[u8; 32]>) -> Result<Self, LightningError> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt).map_err(|_| LightningError::Randomness)?;
        let key = key_of(&root, &salt);
        Ok(Self { root, salt, key, count: AtomicU64::new(0), other: Mutex::new(None) })
    }

    /// Seals a body that stands at `place`; it opens nowhere else.
    pub(crate) fn seal(&self, place: &str, body: &[u8]) -> Vec<u8> {
        let count = self.count.fetch_add(1, Ordering::Relaxed).to_le_bytes();
        let payload = Payload { msg: body, aad: place.as_bytes() };
        let sealed =
            self.key.encrypt(&nonce_of(count), payload).expect("AES-GCM takes any message shorter than 64 GiB");
        [self.salt.as_slice(), &count, &sealed].concat()
    }

    /// Opens what [`Self::seal`] made for this place, in this run or an earlier one.
    pub(crate) fn open(&self, place: &'static str, at: &str, sealed: &[u8]) -> Result<Vec<u8>, LightningError> {
        let damaged = || LightningError::Corrupt(place);
        let (salt, rest) = sealed.split_first_chunk::<SALT_BYTES>().ok_or_else(damaged)?;
        let (count, body) = rest.split_first_chunk::<COUNT_BYTES>().ok_or_else(damaged)?;
        let payload = Payload { msg: body, aad: at.as_bytes() };
        let mut other = self.other.lock().unwrap_or_else(PoisonError::into_inner);
        let key = match &*other {
            _ if *salt == self.salt => &self.key,
            Some((known, key)) if known == salt => key,
            _ => &other.insert((*salt, key_of(&self.root, salt))).1,
        };
        key.decrypt(&nonce_of(*count), payload).map_err(|_| damaged())
    }
}

fn key_of(root: &[u8; 32], salt: &Salt) -> Aes256Gcm {
    let key = Zeroizing::new(canonical::digest(KEY_TAG, &[root, salt]).0);
    Aes256Gcm::new((&*key).into())
}

fn nonce_of(count: [u8; COUNT_BYTES]) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = [0; 12];
    nonce[..COUNT_BYTES].copy_from_slice(&count);
    Nonce::from(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault(root: u8) -> Vault {
        Vault::try_new(Zeroizing::new([root; 32])).unwrap()
    }

    #[test]
    fn only_the_right_key_and_place_open_it_in_any_run() {
        let (first, second) = (vault(1), vault(1));
        let body = [9; 100];
        let sealed = [first.seal("here", &body), second.seal("here", &body), first.seal("here", &body)];
        for run in [&first, &second, &vault(1)] {
            for sealed in &sealed {
                assert_eq!(run.open("a thing", "here", sealed).unwrap(), body);
                assert!(run.open("a thing", "there", sealed).is_err());
                assert!(vault(2).open("a thing", "here", sealed).is_err());
            }
        }
        assert!(sealed.iter().all(|sealed| !sealed.windows(8).any(|window| window == [9; 8])));
        assert_ne!(sealed[0], sealed[2], "no nonce comes twice");
        for cut in 0..sealed[0].len() {
            assert!(first.open("a thing", "here", &sealed[0][..cut]).is_err());
        }
    }
}
