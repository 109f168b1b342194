//! `tally restore --lightning` is stopped at every step: never can both directories run the channels, and given again it
//! comes to its end with the newest of them.

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, config::DbConfig};
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tally::{
    config::Config,
    demo::{PASSPHRASE, Platform},
    init::lightning_dir,
    store::NodeStore,
};
use tallystick_lightning::{SQLITE_FILE, StoppedDatabase};

use crate::{store::nowhere, support::BINARY};

/// What `abort` ends a process with.
const SIGABRT: i32 = 6;
/// More points than a restore has: the harness must come to an end.
const POINTS_MAX: u64 = 20;

struct Scene {
    old: PathBuf,
    new: PathBuf,
    backup: PathBuf,
}

impl Scene {
    /// The directory of a node that was killed: the newest row of its channels is in the write-ahead log alone.
    fn open(place: &Path) -> Result<Self> {
        fs::create_dir(place)?;
        let old = Platform::init(Path::new(BINARY), place, &nowhere())?.dir().to_owned();
        let scene = Self { old, new: place.join("new"), backup: place.join("one.backup") };
        scene.tally(&["store".as_ref(), "migrate".as_ref(), "--data-dir".as_ref(), &scene.old], "")?;
        let made = scene
            .tally(&["backup".as_ref(), "--data-dir".as_ref(), &scene.old, "--out".as_ref(), &scene.backup], "")?;
        ensure!(made.status.success(), "{made:?}");
        fs::write(scene.channels(), [])?;
        // It makes the tables.
        drop(StoppedDatabase::open(&lightning_dir(&scene.old), SQLITE_FILE)?);
        let conn = Connection::open(scene.channels())?;
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        conn.execute("INSERT INTO wallet (body) VALUES (x'00')", [])?;
        Ok(scene)
    }

    fn channels(&self) -> PathBuf {
        lightning_dir(&self.old).join(SQLITE_FILE)
    }

    fn tally(&self, words: &[&Path], point: &str) -> Result<Output> {
        let mut command = Command::new(BINARY);
        command.args(words).env("TALLY_PASSPHRASE", PASSPHRASE).env("TALLY_CRASH_AT", point);
        command.output().context("tally")
    }

    fn restore(&self, point: &str) -> Result<Output> {
        let words: [&Path; 7] = [
            "restore".as_ref(),
            "--from".as_ref(),
            &self.backup,
            "--data-dir".as_ref(),
            &self.new,
            "--lightning".as_ref(),
            &self.old,
        ];
        self.tally(&words, point)
    }

    /// The directories that a node would start in with channels.
    async fn usable(&self) -> Result<Vec<&'static str>> {
        let mut found = Vec::new();
        let stages = fs::read_dir(self.new.parent().context("a folder")?)?.map(|entry| Ok(entry?.path()));
        let stages: Vec<PathBuf> = stages.collect::<Result<_>>()?;
        let stages = stages.iter().filter(|path| path.to_string_lossy().contains(".tally-restore-"));
        let named = [("old", &self.old), ("new", &self.new)].into_iter().chain(stages.map(|path| ("stage", path)));
        for (name, dir) in named {
            let channels = lightning_dir(dir).join(SQLITE_FILE);
            if let (true, Ok(config)) = (channels.exists(), Config::read(dir))
                && let Ok(store) = NodeStore::open(&config).await
            {
                store.close().await;
                found.push(name);
            }
        }
        Ok(found)
    }

    fn rows(&self) -> Result<i64> {
        let conn = Connection::open(lightning_dir(&self.new).join(SQLITE_FILE))?;
        Ok(conn.query_row("SELECT count(*) FROM wallet", [], |row| row.get(0))?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_directory_has_the_channels_wherever_a_restore_stops() -> Result<()> {
    let place = tempfile::tempdir()?;
    let mut ends = Vec::new();
    for point in 1..POINTS_MAX {
        let scene = Scene::open(&place.path().join(point.to_string()))?;
        let stopped = scene.restore(&point.to_string())?;
        if stopped.status.success() {
            ensure!(scene.usable().await? == ["new"] && scene.rows()? == 1, "{stopped:?}");
            break;
        }
        ensure!(stopped.status.signal() == Some(SIGABRT), "{stopped:?}");
        let left = scene.usable().await?;
        ensure!(left.len() <= 1, "point {point}: {left:?} can be used");
        let mut again = scene.restore("")?;
        if left == ["old"] && scene.new.exists() && !again.status.success() {
            let said = String::from_utf8_lossy(&again.stderr).into_owned();
            ensure!(said.contains("delete") && scene.usable().await? == ["old"], "point {point}: {said}");
            fs::remove_dir_all(&scene.new)?;
            again = scene.restore("")?;
        }
        // What has ended is not done twice.
        ensure!(again.status.success() != (left == ["new"]), "point {point}: {again:?}");
        ensure!(scene.usable().await? == ["new"] && scene.rows()? == 1, "point {point}, given again");
        ends.push(left);
    }
    for end in [vec!["old"], vec![], vec!["new"]] {
        assert!(ends.contains(&end), "never {end:?} in {ends:?}");
    }
    Ok(())
}

/// Whoever reads the old channels keeps their newest state from being moved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_that_somebody_reads_are_not_restored() -> Result<()> {
    let place = tempfile::tempdir()?;
    let scene = Scene::open(&place.path().join("node"))?;
    let reader = Connection::open(scene.channels())?;
    reader.execute_batch("BEGIN; SELECT * FROM wallet")?;
    let refused = scene.restore("")?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && said.contains("is being read") && !scene.new.exists(), "{said}");
    drop(reader);
    ensure!(scene.restore("")?.status.success() && scene.rows()? == 1);
    Ok(())
}
