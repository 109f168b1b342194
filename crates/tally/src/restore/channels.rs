//! The channels of the old node's directory, moved into the one that is restored.
//!
//! ```text
//! old directory: lightning.sqlite ───────────────────────────────────────▶ ….moved
//! new directory:                   copied, as ….restoring ─▶ named ─────────────────▶ lightning.sqlite
//!                the old one can be used                                  neither    the new one
//! ```
//! Two copies that could both be used could lose the channels' money. So there is never more than one, and what has the
//! name `.moved` is never taken again: the node has gone on without it.

use anyhow::{Context, Result, bail, ensure};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};
use tallystick_lightning::{SQLITE_FILE, StoppedDatabase};

use crate::{
    init::lightning_dir,
    owner::Crash,
    store::moved::{must_be_written_back, must_not_be_marked, name},
};

/// The channels of a directory whose restore has not come to its end.
pub fn restoring(data_dir: &Path) -> PathBuf {
    lightning_dir(data_dir).join(format!("{SQLITE_FILE}.restoring"))
}

/// Channels that no node can use as long as this lives.
pub(super) struct Channels(StoppedDatabase);

impl Channels {
    /// Takes the lock of the old node, and brings all that it wrote into one file.
    pub(super) fn take(old: &Path) -> Result<Self> {
        let lightning = lightning_dir(old);
        let (file, moved) = (lightning.join(SQLITE_FILE), name(&lightning.join(SQLITE_FILE)));
        ensure!(
            !moved.exists(),
            "{} was moved away: where it went is newer, and it must not be used again. Only if no node ever ran on what was \
            made of it, give it the name {SQLITE_FILE} again",
            moved.display()
        );
        must_not_be_marked(&file)?;
        let stopped = StoppedDatabase::open(&lightning, SQLITE_FILE)?;
        let stopped = stopped.with_context(|| format!("there is no {}", file.display()))?;
        must_be_written_back(&file)?;
        Ok(Self(stopped))
    }

    /// Copies them into a directory that is being made, where no node uses them yet.
    pub(super) fn copy(&self, stage: &Path, seed: &[u8; 32]) -> Result<()> {
        let (from, to) = (self.0.path(), restoring(stage));
        ensure!(self.0.opens_with(seed)?, "{} is another node's: its seed does not open it", from.display());
        let copied = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to).and_then(|mut copy| {
            io::copy(&mut File::open(from)?, &mut copy)?;
            copy.sync_all()
        });
        copied.with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
    }

    /// Once the new directory has its name: nobody uses the old ones any more, and only then the new ones can be used.
    pub(super) fn hand_over(self, data_dir: &Path, crash: &Crash) -> Result<()> {
        let from = self.0.path();
        crash.pass("before the old channels are retired");
        rename(from, &name(from))?;
        crash.pass("before the new channels get their name");
        finish(data_dir)?;
        crash.pass("after the new channels got their name");
        Ok(())
    }
}

/// Comes to the end of a restore that was interrupted between the two names. Answers whether there was one.
pub(super) fn resume(old: &Path, data_dir: &Path) -> Result<bool> {
    let waiting = restoring(data_dir);
    if !waiting.exists() {
        return Ok(false);
    }
    let file = lightning_dir(old).join(SQLITE_FILE);
    let (moved, dir) = (name(&file), data_dir.display());
    if file.exists() {
        bail!(
            "a restore into {dir} was interrupted, and left the old channels where they are: delete {dir}, and run it again"
        );
    }
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    ensure!(
        read(&moved)? == read(&waiting)?,
        "{} is not what {} became: do not use it",
        waiting.display(),
        moved.display()
    );
    finish(data_dir)?;
    Ok(true)
}

fn finish(data_dir: &Path) -> Result<()> {
    rename(&restoring(data_dir), &lightning_dir(data_dir).join(SQLITE_FILE))
}

/// A name that is on the disk.
fn rename(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a file is in a folder")?;
    let renamed = fs::rename(from, to).and_then(|()| File::open(folder)?.sync_all());
    renamed.with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
}
