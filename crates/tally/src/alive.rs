//! When this process was last there, kept in its own directory: what the next start takes for the beginning of an outage.
//!
//! Only who runs the timers keeps it. Where several replicas take turns, or the file is not there, the journal's newest fact
//! tells when somebody was there: earlier than it was perhaps, so that too much counts as outage, and never too little.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tallystick_app::{App, away::LastThere};
use tallystick_core::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

/// The file's name in a node's directory: Unix milliseconds, and a word if a start has begun since that has not told yet
/// since when the node was away.
pub const FILE: &str = "last-alive";
/// How often it is written: far more often than what counts as an outage.
const EVERY: Duration = Duration::from_secs(20);
/// The word.
const STARTING: &str = "starting";

/// The time at which this process was last there.
pub struct Alive {
    path: PathBuf,
    app: App,
}

impl Alive {
    /// In this directory.
    pub fn new(data_dir: &Path, app: App) -> Self {
        Self { path: data_dir.join(FILE), app }
    }

    /// Begins a start, before anything else may write to the journal: since when the node is away, by this file and by when
    /// the newest fact was recorded; nothing if neither tells. It is kept, so that a start that ends before it is told hides
    /// nothing; a file that cannot be written keeps no node from coming back that holds money.
    pub fn begin(&self, newest_fact: Option<Timestamp>) -> Option<Timestamp> {
        let since = read(&self.path).away_since(newest_fact, self.app.clock().now());
        if let Err(error) = write(&self.path, LastThere { at: since, is_starting: since.is_some() }) {
            tracing::warn!("{} cannot be written: {error}", self.path.display());
        }
        since
    }

    /// Keeps the time, for ever: from when it was told since when the node was away. A file that cannot be written is told
    /// once: the next start takes an earlier time.
    pub async fn keep(&self) -> std::convert::Infallible {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            match write(&self.path, LastThere { at: Some(self.app.clock().now()), is_starting: false }) {
                Ok(()) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!("{} cannot be written: {error}", self.path.display());
                }
                Err(_) => {}
            }
        }
    }
}

/// Beside it first, and then in its place: half a file would be no time.
fn write(path: &Path, LastThere { at, is_starting }: LastThere) -> std::io::Result<()> {
    let word = if is_starting { STARTING } else { "" };
    let millis = at.map(|at| at.as_millis().to_string()).unwrap_or_default();
    let beside = path.with_extension("new");
    fs::write(&beside, format!("{millis} {word}"))?;
    fs::rename(&beside, path)
}

/// What is there; nothing is known if it is nonsense.
fn read(path: &Path) -> LastThere {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut words = text.split_whitespace();
    let at = words.next().and_then(|millis| millis.parse().ok()).map(Timestamp::from_millis);
    match (words.next(), words.next()) {
        (None, None) => LastThere { at, is_starting: false },
        (Some(STARTING), None) => LastThere { at, is_starting: true },
        _ => LastThere::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_nonsense_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(read(&path), LastThere::default());
        let at = Some(Timestamp::from_millis(7));
        for there in [LastThere { at, is_starting: false }, LastThere { at, is_starting: true }] {
            write(&path, there).unwrap();
            assert_eq!(read(&path), there);
        }
        // As it was written before there was a word.
        fs::write(&path, "7\n").unwrap();
        assert_eq!(read(&path), LastThere { at, is_starting: false });
        for nonsense in ["half a", "7 half", "7 starting once more", "", "-7"] {
            fs::write(&path, nonsense).unwrap();
            assert_eq!(read(&path), LastThere::default(), "{nonsense}");
        }
    }
}
