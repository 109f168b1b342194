//! A disk that loses power.
//!
//! ```text
//! process that writes ── write ──▶ live      what the system holds in memory and the disk may hold
//!   (`synced.c` in it) ── fsync ──▶ synced    what the disk holds for certain
//! ```
//! After the power went, each sector that was written and not synced is there or not, in whole or torn. A file that was
//! made and not synced, nor its folder, is there or not; one that was removed is there still or not.

mod mixed;
mod outages;
mod server;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub use mixed::Dice;
use mixed::mixed;
pub use outages::{Outages, folder, outages};
pub use server::{database, server_outages};

/// How long it may take until the process that writes has synced what the power goes at.
const GONE_MAX: Duration = Duration::from_secs(120);
/// Tells `synced.c` which folder's files it watches.
const LIVE: &str = "TALLYSTICK_DISK_LIVE";
/// PostgreSQL's file that must not tear: it is within one sector, of which the server demands that it is written whole
/// (`PG_CONTROL_MAX_SAFE_SIZE`).
const WHOLE: &str = "pg_control";

/// When the power goes: at a sync of a file whose name ends so, after that many others of such.
#[derive(Clone, Copy, Debug)]
pub struct Cut<'a> {
    /// The end of the name; empty for any file.
    pub of: &'a str,
    /// How many are let through.
    pub after: u64,
}

/// What is different on the disk from what was written: a file's bytes, or `None` if it is not there.
pub type Lost = BTreeMap<PathBuf, Option<Vec<u8>>>;

/// The disk under a folder.
#[derive(Debug)]
pub struct Disk {
    live: PathBuf,
    own: PathBuf,
    lies: bool,
}

impl Disk {
    /// A disk under `live`, which keeps its books in `own`, a new folder beside it. What is there now is synced.
    ///
    /// # Panics
    /// If `own` cannot be made, or `cc` or `cp` fails.
    pub fn new(live: &Path, own: &Path) -> Self {
        let live = live.canonicalize().expect("a folder");
        fs::create_dir(own).expect("a new folder");
        give(own, &live);
        let source = own.join("synced.c");
        fs::write(&source, include_str!("synced.c")).expect("the folder is ours");
        let mut cc = Command::new("cc");
        run(cc.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(own.join("synced.so")).arg(&source));
        let disk = Self { live, own: own.to_owned(), lies: false };
        disk.settle();
        disk
    }

    /// The same, but it drops every sync and says that all was done.
    #[must_use]
    pub fn that_lies(self) -> Self {
        Self { lies: true, ..self }
    }

    /// What a process needs in its environment so that its syncs are seen.
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let mut environment = vec![
            ("LD_PRELOAD", self.own.join("synced.so")),
            (LIVE, self.live.clone()),
            ("TALLYSTICK_DISK", self.own.clone()),
        ];
        environment.extend(self.lies.then(|| ("TALLYSTICK_DISK_LIES", "1".into())));
        environment
    }

    /// The power is on, and what is there now is what the disk holds.
    ///
    /// # Panics
    /// If a file cannot be copied.
    pub fn settle(&self) {
        for name in ["cut", "gone"] {
            drop(fs::remove_file(self.own.join(name)));
        }
        drop(fs::remove_dir_all(self.own.join("synced")));
        self.copy(&self.own.join("synced"));
    }

    /// Copies what was written to a new folder.
    ///
    /// # Panics
    /// If `cp` fails.
    pub fn copy(&self, to: &Path) {
        run(Command::new("cp").arg("-a").arg(&self.live).arg(to));
    }

    /// Lets a child write, and cuts the power after it printed so many lines that begin with `ack `. Answers all such
    /// that it managed to print; the child is killed.
    ///
    /// # Panics
    /// If the child ends by itself, or the power does not go.
    pub fn cut_under(&self, child: &mut Command, lines: usize, cut: Cut<'_>) -> Vec<String> {
        let mut child = child.stdout(Stdio::piped()).spawn().expect("a child");
        let output = BufReader::new(child.stdout.take().expect("the child's output"));
        let (sender, told) = mpsc::channel();
        std::thread::spawn(move || {
            let lines = output.split(b'\n').map_while(Result::ok).filter_map(|line| String::from_utf8(line).ok());
            // Whoever does not listen any more has failed already.
            lines.filter(|line| line.starts_with("ack ")).try_for_each(|line| sender.send(line))
        });
        let limit = Instant::now() + GONE_MAX;
        let left = || limit.saturating_duration_since(Instant::now());
        let mut acks: Vec<_> = (0..lines).map_while(|_| told.recv_timeout(left()).ok()).collect();
        self.cut(cut);
        let gone = self.own.join("gone");
        while !gone.exists() && !left().is_zero() && child.try_wait().expect("our child").is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        // A child that ended by itself is dead already.
        drop(child.kill());
        let status = child.wait().expect("our child");
        assert!(gone.exists() && acks.len() == lines, "the power did not go; the child: {status}");
        acks.extend(told);
        acks
    }

    fn cut(&self, Cut { of, after }: Cut<'_>) {
        let new = self.own.join("cut.new");
        fs::write(&new, format!("{after:09} {of}")).expect("the folder is ours");
        give(&new, &self.live);
        fs::rename(new, self.own.join("cut")).expect("the folder is ours");
    }

    /// What the disk holds, once nobody writes any more. Without dice: nothing that was not synced.
    ///
    /// # Panics
    /// If a file cannot be read.
    pub fn lose(&self, mut dice: Option<&mut Dice>) -> Lost {
        let synced = self.own.join("synced");
        let names: BTreeSet<_> = [&self.live, &synced].into_iter().flat_map(|folder| files(folder, folder)).collect();
        let mut lost = Lost::new();
        for name in names {
            let [old, new] = [&synced, &self.live].map(|folder| fs::read(folder.join(&name)).ok());
            let (Some(dice), true) = (dice.as_mut(), old != new) else {
                lost.extend((old != new).then_some((name, old)));
                continue;
            };
            // A name that was made or removed is there or not.
            let is_there = (old.is_some() && new.is_some()) || dice.roll(2) == 0;
            let tears = !name.ends_with(WHOLE);
            let old = old.as_deref();
            let now = is_there.then(|| match (old, &new) {
                (Some(old), None) => old.to_vec(),
                (old, new) => mixed(old.unwrap_or_default(), new.as_deref().unwrap_or_default(), tears, dice),
            });
            lost.insert(name, now);
        }
        lost
    }
}

/// Brings a folder with what was written to what the disk holds.
///
/// # Panics
/// If it cannot be written to.
pub fn put(lost: &Lost, folder: &Path) {
    for (name, bytes) in lost {
        let path = folder.join(name);
        match bytes {
            None => drop(fs::remove_file(path)),
            Some(bytes) => {
                fs::write(&path, bytes).expect("the folder is ours");
                give(&path, folder);
            }
        }
    }
}

/// Files below a folder, by their paths from `root`.
fn files(folder: &Path, root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("a folder").path());
    let below = entries.flat_map(|path| match path.is_dir() {
        true => files(&path, root),
        false => vec![path.strip_prefix(root).expect("below it").to_owned()],
    });
    below.collect()
}

/// Gives a file to whom another belongs.
fn give(path: &Path, like: &Path) {
    let owner = fs::metadata(like).expect("it is there");
    chown(path, Some(owner.uid()), Some(owner.gid())).expect("the file is ours");
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
