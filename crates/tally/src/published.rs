//! The last checkpoint that this node published, kept in its own directory beside the newest fact: a log that was wiped has
//! none, or a smaller one.

use anyhow::{Context, Result, ensure};
use std::{
    fs::File,
    io::{ErrorKind, Read},
    path::Path,
};
use tallystick_app::port::log::Published;
use tallystick_log::{Checkpoint, NOTE_BYTES_MAX, SignedCheckpoint};

use crate::mark::replace;

/// The file's name in a node's directory: the signed note as it was published.
pub const FILE: &str = "published-checkpoint";

/// The last one that was published by a process in this directory; nothing if none was. Who signed it is not checked.
///
/// # Errors
/// If the file cannot be read, or is no checkpoint.
pub fn read(data_dir: &Path) -> Result<Option<Checkpoint>> {
    let path = data_dir.join(FILE);
    let context = || format!("{}: it holds the last checkpoint that this node published", path.display());
    let file = match File::open(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        file => file.with_context(context)?,
    };
    let mut bytes = Vec::new();
    file.take(NOTE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).with_context(context)?;
    ensure!(bytes.len() <= NOTE_BYTES_MAX, "{} is longer than a checkpoint", path.display());
    Ok(Some(SignedCheckpoint::parse(&bytes).with_context(context)?.unverified().clone()))
}

/// Keeps a checkpoint, unless the one that is kept is as large.
///
/// # Errors
/// If it cannot be written.
pub fn keep(data_dir: &Path, published: &Published) -> Result<()> {
    // What cannot be read is left as it is: `tally fsck` tells.
    match read(data_dir)? {
        Some(kept) if kept.size() >= published.size => Ok(()),
        _ => replace(&data_dir.join(FILE), &published.note),
    }
}
