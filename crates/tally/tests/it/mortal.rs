//! A node that dies where it is told to, and is brought back.

use anyhow::{Context, Result, ensure};
use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::ExitStatus,
    time::Instant,
};
use tally::demo::{LOOK, STEP_MAX};

use crate::support::Theatre;

/// What `abort` ends a process with: no other death is the harness's.
const SIGABRT: i32 = 6;

/// Where the node is to die.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum At {
    /// At the n-th point of its life, counted from 1.
    Number(u64),
    /// At the first point of this name.
    Name(String),
}

impl At {
    fn to_env(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Name(name) => name.clone(),
        }
    }
}

/// What happens in some runs of a story, and not in others: to an effect that another road has overtaken, and by a machine that takes
/// minutes to start the node again.
const CHANCE: [&str; 3] = ["finish", "defer", "append node.away"];

/// The node, and where it died.
pub struct Mortal {
    pub theatre: Theatre,
    /// How often it has died.
    pub deaths: u32,
    /// The names of the points at which it died.
    pub died_at: BTreeSet<String>,
    /// The names of the points that it passed in lives that ended well.
    passed: BTreeSet<String>,
    /// Where the lives to come are to end; the life after the last of them goes on.
    fates: VecDeque<At>,
    /// Whether the life that runs has an end.
    doomed: bool,
}

impl Mortal {
    pub async fn open() -> Result<Self> {
        Ok(Self::of(Theatre::open(&[]).await?))
    }

    /// One whose journal and channels are in a PostgreSQL database.
    pub async fn open_on_database(url: &str) -> Result<Self> {
        Ok(Self::of(Box::pin(Theatre::open_on_database(url)).await?))
    }

    fn of(theatre: Theatre) -> Self {
        let (died_at, passed) = (BTreeSet::new(), BTreeSet::new());
        Self { theatre, deaths: 0, died_at, passed, fates: VecDeque::new(), doomed: false }
    }

    /// Stops the node and starts it again, to die in its next lives at these points; usable when this answers, whether
    /// it has died meanwhile or not.
    pub async fn begin(&mut self, fates: &[At]) -> Result<()> {
        // A node that is to live must be there, and end well when it is asked to.
        if self.doomed {
            self.theatre.stage.platform.kill().await?;
        } else {
            self.theatre.stage.platform.stop().await?;
        }
        self.live(fates).await
    }

    /// Kills the node and starts it again, as [`Self::begin`] does.
    pub async fn kill_and_begin(&mut self, fates: &[At]) -> Result<()> {
        self.theatre.stage.platform.kill().await?;
        self.live(fates).await
    }

    async fn live(&mut self, fates: &[At]) -> Result<()> {
        self.fates = fates.iter().cloned().collect();
        self.start()?;
        let start = Instant::now();
        while !matches!(self.theatre.stage.is_usable().await, Ok(true)) {
            self.revive()?;
            ensure!(start.elapsed() < STEP_MAX, "the node does not become usable");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Brings the node back if it is dead.
    pub fn revive(&mut self) -> Result<()> {
        let Some(status) = self.theatre.stage.platform.ended()? else { return Ok(()) };
        self.bury(status)?;
        self.start()
    }

    fn bury(&mut self, status: ExitStatus) -> Result<()> {
        ensure!(self.doomed && status.signal() == Some(SIGABRT), "the node ended by itself: {status}");
        let points = fs::read_to_string(self.points_file()).context("a node that died has passed a point")?;
        let last = points.lines().filter_map(name_of).next_back().context("a point has a name")?;
        self.died_at.insert(last.to_owned());
        self.deaths += 1;
        Ok(())
    }

    fn start(&mut self) -> Result<()> {
        let file = self.points_file();
        if file.exists() {
            fs::remove_file(&file)?;
        }
        let fate = self.fates.pop_front();
        self.doomed = fate.is_some();
        let fate = fate.as_ref().map(At::to_env).unwrap_or_default();
        let env = [("TALLY_CRASH_AT", fate), ("TALLY_CRASH_LOG", file.display().to_string())];
        self.theatre.stage.platform.spawn(&env)
    }

    /// Notes what the life that runs has passed, if it was to end and did not.
    pub fn note_points(&mut self) -> Result<()> {
        // A life may be so short that there is no file yet.
        if self.doomed && self.points_file().exists() {
            let points = fs::read_to_string(self.points_file())?;
            self.passed.extend(points.lines().filter_map(name_of).map(str::to_owned));
        }
        Ok(())
    }

    /// The points that were passed and that the node never died at, those excepted that come by chance.
    pub fn points_unseen(&self) -> Vec<String> {
        let unseen = self.passed.difference(&self.died_at);
        unseen.filter(|name| !CHANCE.iter().any(|chance| name.ends_with(chance))).cloned().collect()
    }

    fn points_file(&self) -> PathBuf {
        self.theatre.stage.dir().join("points")
    }
}

/// The name in a line of the log, which begins with the point's number.
fn name_of(line: &str) -> Option<&str> {
    line.split_once(' ').map(|(_, name)| name)
}
