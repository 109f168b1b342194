//! The last checkpoint that this node published, kept in its own directory beside the newest fact: a log that was wiped has
//! none, or a smaller one, and one that is made again has to go on from it.
//!
//! The file's first line is the SHA-256 of what follows, the signed note as it was published, so that damage to the file is told
//! apart from damage to the log. Who signed it is not checked: whoever can write here can only raise a false alarm.

use anyhow::{Context, Result, bail};
use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};
use tallystick_app::port::log::Published;
use tallystick_core::canonical::sha256;
use tallystick_log::{NOTE_BYTES_MAX, SignedCheckpoint};

use crate::mark::{DAMAGED, replace};

/// The file's name in a node's directory.
pub const FILE: &str = "published-checkpoint";
/// Whose word it is, where it is compared.
pub const BY: &str = "this node's directory (published-checkpoint)";
/// Bytes of the first line.
const LINE_BYTES: usize = 65;

/// The file is not what was written.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is damaged: it told which checkpoint this node published last. Find out what wrote there, and make sure by a \
     checkpoint that others have (`tally fsck --checkpoint`) that the log was not wiped; then delete it, and it is written \
     anew ({DAMAGED})",
    .0.display()
)]
pub struct Damaged(PathBuf);

/// The last one that was published by a process in this directory; nothing if none was.
///
/// # Errors
/// [`Damaged`] if it is not what was written; others if it cannot be read.
pub fn read(data_dir: &Path) -> Result<Option<SignedCheckpoint>> {
    let path = data_dir.join(FILE);
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let mut bytes = Vec::new();
    let limit = (LINE_BYTES + NOTE_BYTES_MAX) as u64;
    file.take(limit + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {}", path.display()))?;
    match parse(&bytes) {
        Some(checkpoint) => Ok(Some(checkpoint)),
        None => bail!(Damaged(path)),
    }
}

fn parse(bytes: &[u8]) -> Option<SignedCheckpoint> {
    SignedCheckpoint::parse(note(bytes)?).ok()
}

/// The checkpoint's note in such a file, if its first line vouches for it.
pub fn note(bytes: &[u8]) -> Option<&[u8]> {
    let (line, note) = bytes.split_at_checked(LINE_BYTES)?;
    (line == first_line(note).as_bytes()).then_some(note)
}

fn first_line(note: &[u8]) -> String {
    format!("{}\n", sha256(note))
}

/// Keeps a checkpoint, unless the one that is kept is as large. A file that is damaged is told, and written anew.
///
/// # Errors
/// If it cannot be written.
pub fn keep(data_dir: &Path, published: &Published) -> Result<()> {
    match read(data_dir) {
        Ok(Some(kept)) if kept.unverified().size() >= published.size => return Ok(()),
        Err(error) if error.is::<Damaged>() => tracing::error!("{error}"),
        read => drop(read?),
    }
    let mut bytes = first_line(&published.note).into_bytes();
    bytes.extend_from_slice(&published.note);
    replace(&data_dir.join(FILE), &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallystick_log::{Checkpoint, KeyKind, KeyName, SigningKey};

    fn published(size: u64) -> Published {
        let name = KeyName::try_new("node.example/log").unwrap();
        let key = SigningKey::try_from_seed(name, KeyKind::Note, &[7; 32]).unwrap();
        let checkpoint = Checkpoint::try_new("node.example/log", size, [9; 32]).unwrap();
        Published { size, note: SignedCheckpoint::sign(checkpoint, &key).unwrap().to_string().into_bytes() }
    }

    #[test]
    fn what_is_kept_is_read_and_every_changed_byte_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let kept = || read(dir.path()).unwrap().map(|kept| kept.unverified().size());
        assert_eq!(kept(), None);
        for (size, newest) in [(5, 5), (3, 5), (7, 7)] {
            keep(dir.path(), &published(size)).unwrap();
            assert_eq!(kept(), Some(newest));
        }
        let path = dir.path().join(FILE);
        let whole = std::fs::read(&path).unwrap();
        // Whoever is asked for a checkpoint may name this file, or one that the log serves.
        let log = SigningKey::try_from_seed(KeyName::try_new("node.example/log").unwrap(), KeyKind::Note, &[7; 32]);
        let log = log.unwrap();
        for bytes in [whole.as_slice(), note(&whole).unwrap()] {
            assert_eq!(crate::newest::checkpoint(bytes, log.verifier()).unwrap().size(), 7);
        }
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert!(parse(&bytes).is_none(), "byte {at}");
            assert!(parse(&whole[..at]).is_none(), "cut at {at}");
        }
        std::fs::write(&path, b"garbage").unwrap();
        assert!(read(dir.path()).unwrap_err().is::<Damaged>());
        keep(dir.path(), &published(2)).unwrap();
        assert_eq!(kept(), Some(2), "a node that runs writes it anew");
    }
}
