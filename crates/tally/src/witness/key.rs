//! The witness's key: a secret in a file that a passphrase encrypts (NIP-49, as users' keys), and the Ed25519 seed that
//! is made of the secret and the witness's name.
//!
//! The seed is SHA-256 of a label, the name and the secret, because one Ed25519 key must serve one name only (C2SP
//! tlog-cosignature), and so that a secret that somebody uses as a Nostr key as well signs nothing here.

use anyhow::{Context, Result, ensure};
use bitcoin::hashes::{Hash, HashEngine, sha256};
use nostr::key::Keys;
use std::path::{Path, PathBuf};
use tallystick_log::{KeyKind, KeyName, SigningKey, VerifierKey};
use zeroize::Zeroizing;

use crate::secret;

const LABEL: &[u8] = b"tallystick witness key v1\n";

/// Where the encrypted secret lies.
pub(super) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join("witness_key")
}

/// Makes a secret, or takes the one that an interrupted run left, and answers the witness's key of this name.
///
/// # Errors
/// If the file cannot be written, or is there and the passphrase does not open it.
pub(super) fn make(data_dir: &Path, name: &KeyName, passphrase: &str) -> Result<SigningKey> {
    ensure!(!passphrase.is_empty(), "an empty passphrase protects nothing");
    let path = path(data_dir);
    let secret =
        if path.try_exists()? { secret::open_key(&path, passphrase)? } else { secret::new_key(&path, passphrase)? };
    derive(name, &secret)
}

/// Opens the key that has this public half.
///
/// # Errors
/// If the passphrase does not open the file, or the key is another one: the name was changed, or the file.
pub(super) fn open(data_dir: &Path, vkey: &VerifierKey, passphrase: &str) -> Result<SigningKey> {
    let path = path(data_dir);
    let key = derive(vkey.name(), &secret::open_key(&path, passphrase)?)?;
    ensure!(
        key.verifier() == vkey,
        "{} is the secret of {}, but witness.toml names {}",
        path.display(),
        key.verifier().to_vkey(),
        vkey.to_vkey()
    );
    Ok(key)
}

fn derive(name: &KeyName, secret: &Keys) -> Result<SigningKey> {
    let mut engine = sha256::Hash::engine();
    engine.input(LABEL);
    engine.input(name.as_str().as_bytes());
    engine.input(b"\n");
    engine.input(Zeroizing::new(secret.secret_key().to_secret_bytes()).as_slice());
    let seed = Zeroizing::new(sha256::Hash::from_engine(engine).to_byte_array());
    SigningKey::try_from_seed(name.clone(), KeyKind::Cosignature, &seed).context("the witness's key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_bound_to_its_name_and_passphrase() {
        let dir = tempfile::tempdir().unwrap();
        let name = KeyName::try_new("witness.example/w1").unwrap();
        let made = make(dir.path(), &name, "correct horse").unwrap();
        assert_eq!(made.verifier().kind(), KeyKind::Cosignature);
        assert_eq!(make(dir.path(), &name, "correct horse").unwrap().verifier(), made.verifier(), "taken up again");
        assert!(make(dir.path(), &name, "").is_err());
        assert_eq!(open(dir.path(), made.verifier(), "correct horse").unwrap().verifier(), made.verifier());
        assert!(open(dir.path(), made.verifier(), "battery staple").is_err());
        let other = make(dir.path(), &KeyName::try_new("witness.example/w2").unwrap(), "correct horse").unwrap();
        assert_ne!(other.verifier().public_key(), made.verifier().public_key());
        std::fs::remove_file(path(dir.path())).unwrap();
        make(dir.path(), &name, "correct horse").unwrap();
        let error = open(dir.path(), made.verifier(), "correct horse").unwrap_err().to_string();
        assert!(error.contains("witness.toml names witness.example/w1+"), "{error}");
    }
}
