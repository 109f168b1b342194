//! `tally store copy` is stopped at every step: never can both databases be used, and given again it comes to its end.

use anyhow::{Context, Result, ensure};
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tally::{config::Config, demo::Platform, store::NodeStore};
use tallystick_app::port::journal::Journal;
use tallystick_store::{PostgresOptions, PostgresStore, SqliteStore};
use tallystick_testkit::{Cluster, store_suite::fixture::append};

use crate::{store::nowhere, support::BINARY};

const FACTS: u64 = 3;
/// What `abort` ends a process with.
const SIGABRT: i32 = 6;
/// More points than a copy has: the harness must come to an end.
const POINTS_MAX: u64 = 60;

/// A stopped node on SQLite, with a journal and the tables of its channels.
async fn node(place: &Path) -> Result<PathBuf> {
    let dir = Platform::init(Path::new(BINARY), place, &nowhere())?.dir().to_owned();
    let store = SqliteStore::open(dir.join("journal.sqlite"))?;
    for n in 0..FACTS {
        store.append(append(n, 0)).await?;
    }
    store.close().await;
    fs::write(dir.join("lightning/lightning.sqlite"), [])?;
    Ok(dir)
}

fn duplicate(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let to = to.join(path.file_name().context("an entry has a name")?);
        if path.is_dir() {
            duplicate(&path, &to)?;
        } else {
            fs::copy(&path, &to)?;
        }
    }
    Ok(())
}

fn command(dir: &Path, url: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["store", "copy", "--to", url, "--from"]).arg(dir);
    command
}

fn copy(dir: &Path, url: &str, point: u64) -> Result<Output> {
    let mut command = command(dir, url);
    command.env("TALLY_CRASH_AT", point.to_string()).env("TALLY_CRASH_LOG", dir.join("points"));
    command.output().context("tally store copy")
}

/// The facts of each database that a node could run on: the files, then the server's.
async fn usable(dir: &Path, url: &str) -> Result<(Option<u64>, Option<u64>)> {
    let files = match NodeStore::open(&Config::read(dir)?).await {
        Ok(store) => {
            let facts = store.journal().facts(0, 100).await?.len() as u64;
            store.close().await;
            Some(facts)
        }
        Err(_) => None,
    };
    let server = match PostgresStore::open(PostgresOptions::try_new(url)?).await {
        Ok(store) => {
            let facts = store.verify_chain().await;
            store.close().await;
            Some(facts?)
        }
        Err(_) => None,
    };
    Ok((files, server))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_database_is_left_wherever_a_copy_stops() -> Result<()> {
    let place = tempfile::tempdir()?;
    let whole = node(place.path()).await?;
    let cluster = Cluster::start(&[]);
    let mut ends = Vec::new();
    for point in 1..POINTS_MAX {
        let (dir, url) = (place.path().join(point.to_string()), cluster.database());
        duplicate(&whole, &dir)?;
        let stopped = copy(&dir, &url, point)?;
        if stopped.status.success() {
            ensure!(usable(&dir, &url).await? == (None, Some(FACTS)), "a whole copy leaves the server's alone");
            break;
        }
        ensure!(stopped.status.signal() == Some(SIGABRT), "{stopped:?}");
        let left = usable(&dir, &url).await?;
        let expected = match left {
            // The node goes on with its files, and what it writes is moved as well.
            (Some(FACTS), None) => {
                let store = SqliteStore::open(dir.join("journal.sqlite"))?;
                store.append(append(FACTS, 0)).await?;
                store.close().await;
                FACTS + 1
            }
            (None, None | Some(FACTS)) => FACTS,
            both => anyhow::bail!("point {point}: {both:?} can be used"),
        };
        ends.push(left);
        let again = copy(&dir, &url, 0)?;
        // What has ended is not done twice.
        ensure!(again.status.success() != left.1.is_some(), "point {point}: {again:?}");
        ensure!(usable(&dir, &url).await? == (None, Some(expected)), "point {point}, given again");
    }
    for end in [(Some(FACTS), None), (None, None), (None, Some(FACTS))] {
        assert!(ends.contains(&end), "never {end:?} in {ends:?}");
    }
    Ok(())
}

/// Nobody hears what a command tells, not even its first line: it does its work all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_nobody_listens_to_comes_to_its_end() -> Result<()> {
    let place = tempfile::tempdir()?;
    let dir = node(place.path()).await?;
    let cluster = Cluster::start(&[]);
    let url = cluster.database();
    let (reader, writer) = std::io::pipe()?;
    drop(reader);
    let copied = command(&dir, &url).stdout(writer).output()?;
    assert_eq!((copied.status.code(), &*String::from_utf8(copied.stderr)?), (Some(0), ""));
    assert_eq!(usable(&dir, &url).await?, (None, Some(FACTS)));
    Ok(())
}
