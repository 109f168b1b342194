//! When this process was last there, kept in its own directory: what the next start takes for the beginning of an outage.
//!
//! Only who runs the timers keeps it. Where several replicas take turns, or the file is not there, the journal's newest fact
//! tells when somebody was there: earlier than it was perhaps, so that too much counts as outage, and never too little.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tallystick_app::App;
use tallystick_core::Timestamp;
use tokio::time::{MissedTickBehavior, interval};

/// The file's name in a node's directory: Unix milliseconds.
pub const FILE: &str = "last-alive";
/// How often it is written: far more often than what counts as an outage.
const EVERY: Duration = Duration::from_secs(20);

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

    /// When the node was last there: by this file, or when the newest fact was recorded, whichever is later; nothing if
    /// neither tells.
    pub fn last(&self, newest_fact: Option<Timestamp>) -> Option<Timestamp> {
        last(&self.path, newest_fact)
    }

    /// Keeps the time, for ever. A file that cannot be written is told once: the next start takes an earlier time.
    pub async fn keep(&self) -> std::convert::Infallible {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            match self.write() {
                Ok(()) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!("{} cannot be written: {error}", self.path.display());
                }
                Err(_) => {}
            }
        }
    }

    /// Beside it first, and then in its place: half a file would be no time.
    fn write(&self) -> std::io::Result<()> {
        let beside = self.path.with_extension("new");
        fs::write(&beside, self.app.clock().now().as_millis().to_string())?;
        fs::rename(&beside, &self.path)
    }
}

fn last(path: &Path, newest_fact: Option<Timestamp>) -> Option<Timestamp> {
    let kept = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    kept.map(Timestamp::from_millis).max(newest_fact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_later_counts_and_nonsense_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let read = |newest| last(&dir.path().join(FILE), newest);
        let at = Timestamp::from_millis;
        assert_eq!(read(None), None);
        assert_eq!(read(Some(at(5))), Some(at(5)));
        fs::write(dir.path().join(FILE), "7\n").unwrap();
        assert_eq!([read(None), read(Some(at(5))), read(Some(at(9)))], [Some(at(7)), Some(at(7)), Some(at(9))]);
        fs::write(dir.path().join(FILE), "half a").unwrap();
        assert_eq!(read(Some(at(5))), Some(at(5)));
    }
}
