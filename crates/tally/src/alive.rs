//! When this process was last there, kept in its own directory: what the next start takes for the beginning of a gap.
//!
//! Only who runs the timers keeps it. Where several replicas take turns, or the file is not there, the journal's newest fact
//! tells when somebody was there: earlier than it was perhaps, so that too much counts as outage, and never too little.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tallystick_app::{
    App,
    away::{Gaps, LastThere},
};
use tallystick_core::{Coded, Duration as Span, Timestamp};
use tokio::time::{MissedTickBehavior, interval};

/// The file's name in a node's directory: Unix milliseconds, three more numbers if there were gaps that are not told (when the
/// first began, when the last ended, how long they are together), and a word if a start has begun since that has not told yet since
/// when the node was away.
pub const FILE: &str = "last-alive";
/// How often it is written: far more often than what counts as a gap.
const EVERY: Duration = Duration::from_secs(5);
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
    /// the newest fact was recorded, which nobody asks for who is alone and has the file: a process that stood still may
    /// have written a fact after that, and ended before it told. It is kept, so that a start that ends before it is told hides
    /// nothing; a file that cannot be written keeps no node from coming back that holds money.
    pub fn begin(&self, newest_fact: Option<Timestamp>, is_alone: bool) -> LastThere {
        let before = read(&self.path);
        let newest_fact = newest_fact.filter(|_| before.at.is_none() || !is_alone);
        let there = before.starting(newest_fact, self.app.clock().now());
        if let Err(error) = write(&self.path, there) {
            tracing::warn!("{} cannot be written: {error}", self.path.display());
        }
        there
    }

    /// Keeps the time, for ever: from when it was told since when the node was away. While the node does not reach its
    /// journal or its network, nothing is kept. A file that cannot be written is told once: the next start takes an earlier time.
    pub async fn keep(&self) -> std::convert::Infallible {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            ticks.tick().await;
            let there = match self.app.attend().await {
                Ok(there) => there,
                Err(error) => {
                    tracing::warn!(code = %error.code(), "this node is not there: {error}");
                    continue;
                }
            };
            match write(&self.path, there) {
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
fn write(path: &Path, LastThere { at, is_starting, gaps }: LastThere) -> std::io::Result<()> {
    let millis = |at: Timestamp| at.as_millis().to_string();
    let gaps = gaps.map(|Gaps { from, until, total }| [millis(from), millis(until), total.as_millis().to_string()]);
    let words = at.map(millis).into_iter().chain(gaps.into_iter().flatten());
    let words: Vec<_> = words.chain(is_starting.then(|| STARTING.to_owned())).collect();
    let beside = path.with_extension("new");
    fs::write(&beside, words.join(" "))?;
    fs::rename(&beside, path)
}

/// What is there; nothing is known if it is nonsense.
fn read(path: &Path) -> LastThere {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut words: Vec<_> = text.split_whitespace().collect();
    let is_starting = words.pop_if(|word| *word == STARTING).is_some();
    let numbers: Result<Vec<u64>, _> = words.into_iter().map(str::parse).collect();
    let (at, gaps) = match numbers.as_deref() {
        Ok([at]) => (at, None),
        Ok([at, from, until, total]) => (at, Some((from, until, total))),
        _ => return LastThere::default(),
    };
    let time = |millis: &u64| Timestamp::from_millis(*millis);
    let gaps = gaps.map(|(from, until, total)| Gaps {
        from: time(from),
        until: time(until),
        total: Span::from_millis(*total),
    });
    LastThere { at: Some(time(at)), is_starting, gaps }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_nonsense_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        assert_eq!(read(&path), LastThere::default());
        let at = Timestamp::from_millis;
        let gaps = Some(Gaps { from: at(1), until: at(5), total: Span::from_millis(3) });
        for (is_starting, gaps) in [(false, None), (true, None), (false, gaps), (true, gaps)] {
            let there = LastThere { at: Some(at(7)), is_starting, gaps };
            write(&path, there).unwrap();
            assert_eq!(read(&path), there);
        }
        // As it was written before there was a word, or gaps.
        fs::write(&path, "7\n").unwrap();
        assert_eq!(read(&path), LastThere { at: Some(at(7)), ..LastThere::default() });
        for nonsense in ["half a", "7 half", "7 starting once more", "", "-7", "starting", "7 1 5", "7 1 5 3 9"] {
            fs::write(&path, nonsense).unwrap();
            assert_eq!(read(&path), LastThere::default(), "{nonsense}");
        }
    }
}
