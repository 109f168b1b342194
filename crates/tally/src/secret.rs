//! Passphrases and users' keys.

use anyhow::{Context, Result, anyhow, bail, ensure};
use nostr::{
    key::Keys,
    nips::{
        nip19::{FromBech32, ToBech32},
        nip49::{EncryptedSecretKey, KeySecurity},
    },
};
use std::{
    fs,
    io::{IsTerminal, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The environment variable with the passphrase, for services.
pub const PASSPHRASE_VAR: &str = "TALLY_PASSPHRASE";
/// scrypt's cost for users' keys, as NIP-49 suggests: 2^16, 64 MiB.
const KEY_LOG_N: u8 = 16;

/// The passphrase: from a file, from the environment, or typed.
///
/// # Errors
/// If there is none, and nobody to ask.
pub fn passphrase(file: Option<&Path>, confirm: bool) -> Result<Zeroizing<String>> {
    if let Some(path) = file {
        let text = Zeroizing::new(fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?);
        return Ok(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()));
    }
    if let Ok(text) = std::env::var(PASSPHRASE_VAR) {
        return Ok(Zeroizing::new(text));
    }
    if !std::io::stdin().is_terminal() {
        bail!("no passphrase: set {PASSPHRASE_VAR}, name a --passphrase-file, or run this in a terminal");
    }
    let typed = Zeroizing::new(rpassword::prompt_password("Passphrase: ")?);
    if confirm {
        let again = Zeroizing::new(rpassword::prompt_password("Again: ")?);
        ensure!(*typed == *again, "the two passphrases differ");
    }
    Ok(typed)
}

/// Makes a user's key and writes it.
///
/// # Errors
/// As [`save_key`].
pub fn new_key(path: &Path, passphrase: &str) -> Result<Keys> {
    let keys = Keys::generate();
    save_key(path, &keys, passphrase)?;
    Ok(keys)
}

/// Writes a user's key encrypted (NIP-49), readable by its owner alone. Never overwrites.
///
/// # Errors
/// If the file exists or cannot be written.
pub fn save_key(path: &Path, keys: &Keys, passphrase: &str) -> Result<()> {
    let sealed = EncryptedSecretKey::new(keys.secret_key(), passphrase, KEY_LOG_N, KeySecurity::Medium)?;
    write_private(path, &format!("{}\n", sealed.to_bech32()?))
}

/// Writes a new file that its owner alone can read, and makes it durable. Never overwrites.
///
/// # Errors
/// If the file exists or cannot be written.
pub fn write_private(path: &Path, text: &str) -> Result<()> {
    let context = || format!("cannot create {}", path.display());
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).with_context(context)?;
    file.write_all(text.as_bytes()).with_context(context)?;
    file.sync_all().with_context(context)
}

/// Makes a folder that its owner alone can enter, and the folders above it. One that is there stays as it is.
///
/// # Errors
/// If it cannot be made.
pub fn make_private_dir(path: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.with_context(|| format!("cannot create {}", path.display()))
}

/// Opens a user's key.
///
/// # Errors
/// If the file is no NIP-49 key, or the passphrase is wrong.
pub fn open_key(path: &Path, passphrase: &str) -> Result<Keys> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let sealed = EncryptedSecretKey::from_bech32(text.trim())
        .with_context(|| format!("{} is no encrypted key (ncryptsec, NIP-49)", path.display()))?;
    // What lies below says no more than that.
    let secret = sealed.decrypt(passphrase);
    let secret = secret.map_err(|_| anyhow!("the passphrase does not open the key file {}", path.display()))?;
    Ok(Keys::new(secret))
}

/// Where a user's key lies unless told otherwise.
///
/// # Errors
/// If there is no home directory.
pub fn default_key_path() -> Result<PathBuf> {
    let home = std::env::var_os("HOME").context("no home directory; name the key with --key")?;
    Ok(PathBuf::from(home).join(".config/tallystick/key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let dir = tempfile::tempdir().unwrap();
        let (outer, inner) = (dir.path().join("outer"), dir.path().join("outer/inner"));
        make_private_dir(&inner).unwrap();
        make_private_dir(&inner).unwrap();
        assert_eq!((mode(&outer), mode(&inner)), (0o700, 0o700));
        write_private(&inner.join("file"), "text").unwrap();
        assert_eq!(mode(&inner.join("file")), 0o600);
        assert!(write_private(&inner.join("file"), "other").is_err(), "it is not overwritten");
    }

    #[test]
    fn a_key_opens_with_its_passphrase_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let keys = new_key(&path, "correct horse").unwrap();
        assert_eq!(open_key(&path, "correct horse").unwrap().public_key(), keys.public_key());
        let error = format!("{:#}", open_key(&path, "battery staple").unwrap_err());
        assert_eq!(error, format!("the passphrase does not open the key file {}", path.display()));
        assert!(new_key(&path, "x").is_err(), "a key is never overwritten");
        let stored = fs::read_to_string(&path).unwrap();
        assert!(!stored.contains(&keys.secret_key().to_secret_hex()));
    }
}
