//! The newest fact that this process knows, kept in its own directory: a journal that was put back to an older state
//! does not hold it.
//!
//! ```text
//! start, lease taken, each second:  does the journal hold it? ──no──▶ the process ends (log.rollback)
//!                                      └─yes──▶ the journal's newest fact takes its place, on disk
//! ```
//! Nobody waits for it: what was acknowledged within the last second before a crash may not be in it.
//!
//! Beside it the last published checkpoint is kept (`published.rs`), for `tally fsck`.
//!
//! At the same moments a replica looks whether another one has found log or outbox damaged, and tells of what it has found itself.

use anyhow::{Context, Error, Result, bail};
use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};
use tallystick_app::{
    App,
    port::{journal::Head, snapshot::Snapshot},
};
use tallystick_core::{Fact, Timestamp};
use tokio::{
    sync::Mutex,
    time::{MissedTickBehavior, interval, timeout},
};

use crate::{published, store::NodeStore};

/// The file's name in a node's directory: the fact's number and its hash.
pub const FILE: &str = "newest-fact";
/// The code of a file that the node keeps in its directory and that is not what was written.
pub(crate) const DAMAGED: &str = "fsck.directory";
/// How often the journal is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// The journal does not hold what it held.
#[derive(Debug, thiserror::Error)]
#[error(
    "this node knew fact {} ({}), and the journal {found}: it was put back to an older state, or a standby that was \
    behind has taken over (log.rollback; docs/runbooks/backup-and-restore.md tells what to do)",
    known.seq, known.hash
)]
pub struct WentBack {
    known: Head,
    /// What it has instead.
    found: String,
}

/// The file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the newest fact is not kept beside the journal")]
struct NotKept;

/// The newest fact that is known.
pub struct Mark {
    path: PathBuf,
    store: NodeStore,
    app: App,
    known: Mutex<Head>,
    /// Whether damage was told to other replicas, or by one of them.
    told: AtomicBool,
    /// Facts under the last checkpoint that was kept.
    published: AtomicU64,
}

impl Mark {
    /// Reads what was known when a process ran last in this directory, nothing if none did, and looks for it.
    ///
    /// # Errors
    /// If the file cannot be read; else as [`Self::look`].
    pub async fn open(data_dir: &Path, store: NodeStore, app: App) -> Result<Self> {
        let (path, known) = (data_dir.join(FILE), read(data_dir)?);
        let (known, told, published) = (Mutex::new(known), AtomicBool::new(false), AtomicU64::new(0));
        let mark = Self { path, store, app, known, told, published };
        mark.look_at_start().await?;
        Ok(mark)
    }

    /// [`Self::look`], for a start: a file that cannot be written, as on a full disk, is told, and does not keep a node from
    /// coming back that holds money.
    ///
    /// # Errors
    /// [`WentBack`] if the journal does not hold what is known; others if it cannot be read.
    pub async fn look_at_start(&self) -> Result<()> {
        match self.look().await {
            Err(error) if error.is::<NotKept>() => tracing::warn!("{error:#}"),
            looked => return looked,
        }
        Ok(())
    }

    /// Checks that the journal holds what is known, and knows its newest fact from then on. Nothing new is begun from here on
    /// if a replica has found damage; what this process has found is told to the others.
    ///
    /// # Errors
    /// [`WentBack`] if it does not; others if the journal cannot be read or the file not be written.
    pub async fn look(&self) -> Result<()> {
        match (self.app.is_sound(), self.store.is_log_damaged().await?) {
            (true, true) => {
                tracing::error!(
                    "a replica has found log or outbox damaged: no task is posted, taken or funded; what has begun goes on"
                );
                self.app.begin_nothing();
                self.told.store(true, Ordering::Release);
            }
            // Once: what was mended meanwhile is not told again by somebody who was not started anew.
            (false, false) if !self.told.load(Ordering::Acquire) => match self.store.tell_log_damaged().await {
                Ok(()) => self.told.store(true, Ordering::Release),
                Err(error) => tracing::error!("other replicas cannot be told of the damage: {error:#}"),
            },
            _ => {}
        }
        let mut known = self.known.lock().await;
        self.find(*known).await?;
        if self.raise(&mut known).await? { self.find(*known).await } else { Ok(()) }
    }

    /// The node's directory.
    pub fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// When the newest fact that is known was recorded; nothing before the first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    pub async fn newest_at(&self) -> Result<Option<Timestamp>> {
        let Some(before) = self.known.lock().await.seq.checked_sub(1) else { return Ok(None) };
        Ok(self.store.journal().facts(before, 1).await?.pop().map(|fact| fact.recorded_at))
    }

    /// Looks each second, for ever unless the journal went back. A journal that cannot be read now may be later.
    pub async fn watch(&self) -> Error {
        let mut looks = interval(EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            looks.tick().await;
            match self.look().await {
                Ok(()) => failing = false,
                Err(error) if error.is::<WentBack>() => return error,
                // The first of a row is told.
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::error!("the journal is not compared with what is known of it: {error:#}");
                }
                Err(_) => {}
            }
            // A log that cannot be read, or a full disk, is told by others.
            if let Err(error) = self.keep_published().await {
                tracing::debug!("the published checkpoint is not kept beside the journal: {error:#}");
            }
        }
    }

    /// Keeps what was told to the end, whether the journal answers or not: for when the process ends.
    pub async fn close(&self) {
        let keep = async { self.raise(&mut *self.known.lock().await).await };
        if !matches!(timeout(EVERY, keep).await, Ok(Ok(_))) {
            tracing::warn!("the newest facts are not kept beside the journal");
        }
    }

    /// Keeps the published checkpoint if it is another than before.
    async fn keep_published(&self) -> Result<()> {
        let Some(published) = self.store.log().log_state().await?.published else { return Ok(()) };
        let (size, dir) = (published.size, self.dir().to_owned());
        if self.published.load(Ordering::Acquire) != size {
            tokio::task::spawn_blocking(move || published::keep(&dir, &published)).await??;
            self.published.store(size, Ordering::Release);
        }
        Ok(())
    }

    /// Takes the newest fact that this process has told or, if nobody else writes the journal, that is in it. Answers
    /// whether there is a newer one.
    async fn raise(&self, known: &mut Head) -> Result<bool> {
        let newest = match self.app.told() {
            Some(told) => told,
            None => self.store.head().await?,
        };
        if newest.seq <= known.seq {
            return Ok(false);
        }
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || write(&path, newest)).await?.context(NotKept)?;
        *known = newest;
        Ok(true)
    }

    async fn find(&self, known: Head) -> Result<()> {
        let Some(before) = known.seq.checked_sub(1) else { return Ok(()) };
        let fact = self.store.journal().facts(before, 1).await?.pop();
        compare(known, fact.as_ref(), async || Ok(self.store.head().await?)).await
    }
}

/// Looks for what a node in this directory knew in a store at one moment, which is later.
///
/// # Errors
/// [`WentBack`] if it is not there; others if the store cannot be read.
pub async fn find(known: Head, store: &dyn Snapshot) -> Result<()> {
    let Some(before) = known.seq.checked_sub(1) else { return Ok(()) };
    let fact = store.facts(before, 1).await?.pop();
    let end = async || store.head().await.map(|(seq, hash)| Head { seq, hash }).map_err(Error::from);
    compare(known, fact.as_ref(), end).await
}

/// Compares the fact that was found in the place of what is known.
async fn compare(known: Head, found: Option<&Fact>, end: impl AsyncFnOnce() -> Result<Head>) -> Result<()> {
    let found = match found {
        Some(fact) if fact.seq == known.seq && fact.hash == known.hash => return Ok(()),
        Some(fact) => format!("has fact {} ({}) in its place", fact.seq, fact.hash),
        None => match end().await? {
            end if end.seq < known.seq => format!("ends with fact {} ({})", end.seq, end.hash),
            // What was written last is told apart from the facts themselves.
            end => format!("does not hold it, though fact {} is said to be its last", end.seq),
        },
    };
    Err(WentBack { known, found }.into())
}

/// What was known when a process ran last in this directory; [`Head::START`] if none did.
///
/// # Errors
/// If the file cannot be read.
pub fn read(data_dir: &Path) -> Result<Head> {
    let path = data_dir.join(FILE);
    match fs::read_to_string(&path) {
        Ok(text) => parse(&text).with_context(|| Damaged(path.clone())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Head::START),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

fn parse(text: &str) -> Result<Head> {
    let Some((seq, hash)) = text.strip_suffix('\n').and_then(|line| line.split_once(' ')) else {
        bail!("a number and a hash are expected");
    };
    Ok(Head { seq: seq.parse()?, hash: hash.parse()? })
}

/// What to do about a file that cannot be read.
struct Damaged(PathBuf);

impl fmt::Display for Damaged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is damaged: it told which fact this node knew last. Find out what wrote there, and make sure by a \
             checkpoint that others have (`tally fsck --checkpoint`) that the journal was not put back; then delete it, \
             and it is written anew ({DAMAGED})",
            self.0.display()
        )
    }
}

/// Writes the file anew, as a whole.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, Head { seq, hash }: Head) -> Result<()> {
    replace(path, format!("{seq} {hash}\n").as_bytes())
}

/// Writes a file anew: after a crash it is the old one or the new one, whole.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let written = || {
        let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    written().with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallystick_core::Digest32;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for seq in [1, 18, u64::MAX] {
            let head = Head { seq, hash: Digest32([7; 32]) };
            write(&path, head).unwrap();
            assert_eq!(parse(&fs::read_to_string(&path).unwrap()).unwrap(), head);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let whole = fs::read_to_string(&path).unwrap();
        for bad in ["", "\n", "18\n", &whole[..whole.len() - 1], &whole.replace("07", ""), &format!("-{whole}")] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
