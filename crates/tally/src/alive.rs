//! When this node was last there, as who runs the timers keeps it: what the next start takes for the beginning of a gap. It is kept
//! where the next start finds it: in the process's own directory, or beside the lease if replicas take turns.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use tallystick_app::{
    App,
    away::{Gaps, LastThere},
    port::journal::StoreError,
};
use tallystick_core::{Coded, Duration as Span, Timestamp};
use tallystick_postgres::Note;
use tokio::time::{MissedTickBehavior, interval};

/// The file's name in a node's directory.
pub const FILE: &str = "last-alive";
/// How often it is kept: far more often than what counts as a gap.
const EVERY: Duration = Duration::from_secs(5);
/// The word for a gap that counts however short it is; starts make most of them.
const AWAY: &str = "starting";

/// Where the time is kept, as a few words.
pub enum Place {
    /// In a file, of a process that is alone.
    File(PathBuf),
    /// Beside the lease; and where this was a process that is alone before its journal was moved, in the file of that time.
    Lease(Box<Note>, PathBuf),
}

impl Place {
    /// What is there; nothing is known if it is nonsense, or the file cannot be read.
    async fn read(&mut self) -> Result<LastThere, StoreError> {
        let file = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        Ok(of_words(&match self {
            Self::File(path) => file(path),
            Self::Lease(note, before) => {
                Some(note.read().await?).filter(|kept| !kept.is_empty()).unwrap_or_else(|| file(before))
            }
        }))
    }

    async fn write(&mut self, there: LastThere) -> Result<(), StoreError> {
        let words = to_words(there);
        match self {
            Self::File(path) => write_file(path, &words)
                .map_err(|error| StoreError::Unavailable(format!("{}: {error}", path.display()))),
            Self::Lease(note, _) => note.write(&words).await,
        }
    }
}

/// Keeps the time at which this node was last there.
pub struct Alive {
    place: tokio::sync::Mutex<Place>,
    app: App,
}

impl Alive {
    /// In this place.
    pub fn new(place: Place, app: App) -> Self {
        Self { place: tokio::sync::Mutex::new(place), app }
    }

    /// Begins a start, before anything else may write to the journal: since when the node is away, by what was kept, or by when
    /// the newest fact was recorded if nothing was. It is kept, so that a start that ends before it is told hides
    /// nothing; a place that cannot be written keeps no node from coming back that holds money.
    ///
    /// # Errors
    /// [`StoreError`] if a database does not tell what was kept.
    pub async fn begin(&self, newest_fact: Option<Timestamp>) -> Result<LastThere, StoreError> {
        let mut place = self.place.lock().await;
        let there = place.read().await?.starting(newest_fact, self.app.clock().now());
        if let Err(error) = place.write(there).await {
            tracing::warn!("when this node was last there cannot be kept: {error}");
        }
        Ok(there)
    }

    /// Keeps the time, for ever: from when it was told since when the node was away. While the node does not reach its
    /// journal or its network, nothing is kept. A place that cannot be written is told once: the next start takes an earlier time.
    pub async fn keep(&self) -> std::convert::Infallible {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut place, mut failing) = (self.place.lock().await, false);
        loop {
            ticks.tick().await;
            let there = match self.app.attend().await {
                Ok(there) => there,
                Err(error) => {
                    tracing::warn!(code = %error.code(), "this node is not there: {error}");
                    continue;
                }
            };
            match place.write(there).await {
                Ok(()) => failing = false,
                Err(error) if !std::mem::replace(&mut failing, true) => {
                    tracing::warn!("when this node was last there cannot be kept: {error}");
                }
                Err(_) => {}
            }
        }
    }
}

/// Beside it first, and then in its place: half a file would be no time.
fn write_file(path: &Path, words: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    fs::write(&beside, words)?;
    fs::rename(&beside, path)
}

/// Unix milliseconds, three more numbers if there were gaps that are not told (when the first began, when the last ended, how long
/// they are together), and a word if whatever comes next is a gap: a start has begun, or the node looked and was not there.
fn to_words(LastThere { at, is_away, gaps }: LastThere) -> String {
    let millis = |at: Timestamp| at.as_millis().to_string();
    let gaps = gaps.map(|Gaps { from, until, total }| [millis(from), millis(until), total.as_millis().to_string()]);
    let words = at.map(millis).into_iter().chain(gaps.into_iter().flatten());
    let words: Vec<_> = words.chain(is_away.then(|| AWAY.to_owned())).collect();
    words.join(" ")
}

/// What the words say; nothing is known if they are nonsense.
fn of_words(text: &str) -> LastThere {
    let mut words: Vec<_> = text.split_whitespace().collect();
    let is_away = words.pop_if(|word| *word == AWAY).is_some();
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
    LastThere { at: Some(time(at)), is_away, gaps }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_read_again_and_nonsense_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        let mut place = Place::File(path.clone());
        assert_eq!(place.read().await, Ok(LastThere::default()));
        let at = Timestamp::from_millis;
        let gaps = Some(Gaps { from: at(1), until: at(5), total: Span::from_millis(3) });
        for (is_away, gaps) in [(false, None), (true, None), (false, gaps), (true, gaps)] {
            let there = LastThere { at: Some(at(7)), is_away, gaps };
            place.write(there).await.unwrap();
            assert_eq!(place.read().await, Ok(there));
        }
        // As it was written before there was a word, or gaps.
        fs::write(&path, "7\n").unwrap();
        assert_eq!(place.read().await, Ok(LastThere { at: Some(at(7)), ..LastThere::default() }));
        for nonsense in ["half a", "7 half", "7 starting once more", "", "-7", "starting", "7 1 5", "7 1 5 3 9"] {
            fs::write(&path, nonsense).unwrap();
            assert_eq!(place.read().await, Ok(LastThere::default()), "{nonsense}");
        }
    }
}
