//! `tally key`: a user's own key.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use zeroize::Zeroizing;

use super::print;
use crate::{
    cli::{KeyCommand, KeyFile},
    secret,
};

/// The environment variable with the passphrase of a user's key, which is not that of a node's seed.
const PASSPHRASE_VAR: &str = "TALLY_KEY_PASSPHRASE";

/// Runs `tally key`.
///
/// # Errors
/// If the key cannot be made or opened.
pub fn run(command: KeyCommand) -> Result<()> {
    let path = |file: &KeyFile| file.key.clone().map_or_else(secret::default_key_path, Ok);
    let keys = match &command {
        KeyCommand::New(file) => make(&path(file)?, file.passphrase_file.as_deref())?,
        KeyCommand::Show(file) => {
            let path = path(file)?;
            std::fs::metadata(&path).with_context(|| format!("cannot read {}", path.display()))?;
            secret::open_key(&path, &passphrase(file.passphrase_file.as_deref(), false)?)?
        }
    };
    print::until_closed(print::line(keys.public_key().to_hex()))
}

fn make(path: &Path, passphrase_file: Option<&Path>) -> Result<nostr::key::Keys> {
    ensure!(!path.try_exists()?, "there is a key at {} already; it is not overwritten", path.display());
    let passphrase = passphrase(passphrase_file, true)?;
    ensure!(!passphrase.is_empty(), "an empty passphrase protects nothing");
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    let keys = secret::new_key(path, &passphrase)?;
    tell_made(path);
    Ok(keys)
}

#[allow(clippy::print_stderr, reason = "the standard output is the key alone")]
fn tell_made(path: &Path) {
    eprintln!("made {}", path.display());
}

/// The passphrase of a user's key: from a file, from its own variable, or as the node's.
///
/// # Errors
/// As [`secret::passphrase`].
pub(super) fn passphrase(file: Option<&Path>, confirm: bool) -> Result<Zeroizing<String>> {
    match std::env::var(PASSPHRASE_VAR) {
        Ok(text) if file.is_none() => Ok(Zeroizing::new(text)),
        _ => secret::passphrase(file, confirm),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_made_with_a_passphrase_and_once() {
        let dir = tempfile::tempdir().unwrap();
        let (path, file) = (dir.path().join("below/key"), dir.path().join("passphrase"));
        std::fs::write(&file, "\n").unwrap();
        assert!(make(&path, Some(&file)).unwrap_err().to_string().contains("empty"));
        assert!(!path.exists());
        std::fs::write(&file, "correct horse\n").unwrap();
        let keys = make(&path, Some(&file)).unwrap();
        assert_eq!(secret::open_key(&path, "correct horse").unwrap().public_key(), keys.public_key());
        assert!(make(&path, Some(&file)).unwrap_err().to_string().contains("already"));
    }
}
