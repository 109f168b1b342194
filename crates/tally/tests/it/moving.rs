//! `tally store copy` is stopped at every step: never can both databases be used, and given again it comes to its end.

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, config::DbConfig};
use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};
use tally::{config::Config, demo::Platform, init::lightning_dir, store::NodeStore};
use tallystick_app::port::journal::Journal;
use tallystick_lightning::{SQLITE_FILE, StoppedDatabase};
use tallystick_postgres::connect;
use tallystick_store::{PostgresOptions, PostgresStore, SqliteStore};
use tallystick_testkit::{Cluster, store_suite::fixture::append};

use crate::{store::nowhere, support::BINARY};

const FACTS: u64 = 3;
/// What `abort` ends a process with.
const SIGABRT: i32 = 6;
/// How a file is refused whose node went elsewhere.
const MOVED: &str = "store.moved";
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
    let lightning = lightning_dir(&dir);
    fs::write(lightning.join(SQLITE_FILE), [])?;
    // It makes the tables.
    drop(StoppedDatabase::open(&lightning, SQLITE_FILE)?);
    change_wallet(&lightning.join(SQLITE_FILE))?;
    Ok(dir)
}

/// One more row among those of the channels, as a node writes it.
fn change_wallet(file: &Path) -> Result<()> {
    let conn = Connection::open(file)?;
    conn.execute("INSERT INTO wallet (body) VALUES (x'00')", [])?;
    Ok(())
}

/// Such rows in a database.
async fn wallet_changes(url: &str) -> Result<i64> {
    let client = connect(&PostgresOptions::try_new(url)?).await?;
    Ok(client.query_one("SELECT count(*) FROM lightning_wallet", &[]).await?.get(0))
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

/// What was marked is not copied into another database.
fn never_into(dir: &Path, other: &str, point: u64) -> Result<()> {
    let refused = copy(dir, other, 0)?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(!refused.status.success() && said.contains(MOVED), "point {point}: {said}");
    Ok(())
}

/// Files whose node has gone are used by nothing, whatever name they are given: they say where it went.
async fn never_again(dir: &Path, other: &str) -> Result<()> {
    never_into(dir, other, 0)?;
    let lightning = lightning_dir(dir);
    for file in [dir.join("journal.sqlite"), lightning.join(SQLITE_FILE)] {
        fs::rename(file.with_extension("sqlite.moved"), &file)?;
        let refused = NodeStore::open(&Config::read(dir)?).await.err().context("files that moved are opened")?;
        let said = format!("{refused:#}");
        // The first time the other one has its new name still.
        ensure!(said.contains(MOVED) || said.contains("sqlite.moved"), "{said}");
    }
    never_into(dir, other, 0)?;
    let refused = NodeStore::open(&Config::read(dir)?).await.err().context("files that moved are opened")?;
    let said = format!("{refused:#}");
    ensure!(said.contains(MOVED) && said.contains("PostgreSQL \"test_") && said.contains(" at 20"), "{said}");
    let mut restore = Command::new(BINARY);
    restore.args(["restore", "--from", "nothing", "--data-dir"]).arg(dir.join("new")).arg("--lightning").arg(dir);
    let refused = restore.output()?;
    ensure!(String::from_utf8_lossy(&refused.stderr).contains(MOVED), "{refused:?}");
    for file in [dir.join("journal.sqlite"), lightning.join(SQLITE_FILE)] {
        fs::rename(&file, file.with_extension("sqlite.moved"))?;
    }
    Ok(())
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
            never_again(&dir, &cluster.database()).await?;
            for words in [["store", "status"].as_slice(), &["fsck"]] {
                let mut looked = Command::new(BINARY);
                let looked = looked.args(words).arg("--data-dir").arg(&dir).output()?;
                let said = String::from_utf8_lossy(&looked.stderr).into_owned();
                ensure!(!looked.status.success() && said.contains("sqlite.moved"), "{words:?}: {said}");
            }
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
        if left.0.is_none() {
            never_into(&dir, &cluster.database(), point)?;
        }
        let again = copy(&dir, &url, 0)?;
        // What has ended is not done twice, and says so.
        let said = String::from_utf8_lossy(&again.stdout).into_owned();
        ensure!(again.status.success() && said.contains("already") == left.1.is_some(), "point {point}: {again:?}");
        ensure!(usable(&dir, &url).await? == (None, Some(expected)), "point {point}, given again");
        ensure!(wallet_changes(&url).await? == 1, "point {point}: the channels' rows");
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

/// Whoever reads the channels keeps their write-ahead log from being written back: it would be left behind with their
/// newest state.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_that_somebody_reads_are_not_moved_without_their_newest_state() -> Result<()> {
    let place = tempfile::tempdir()?;
    let dir = node(place.path()).await?;
    let (file, cluster) = (lightning_dir(&dir).join(SQLITE_FILE), Cluster::start(&[]));
    let url = cluster.database();
    let reader = Connection::open(&file)?;
    reader.execute_batch("BEGIN; SELECT * FROM wallet")?;
    change_wallet(&file)?;
    let refused = copy(&dir, &url, 0)?;
    let said = String::from_utf8(refused.stderr)?;
    ensure!(!refused.status.success() && said.contains("lightning.sqlite is being read"), "{said}");
    ensure!(usable(&dir, &url).await?.0 == Some(FACTS), "the files can be used");
    drop(reader);
    // As if it had been renamed all the same.
    change_wallet_and_leave_the_log(&file)?;
    let moved = file.with_extension("sqlite.moved");
    fs::rename(&file, &moved)?;
    let refused = copy(&dir, &url, 0)?;
    let said = String::from_utf8(refused.stderr)?;
    ensure!(!refused.status.success() && said.contains("lightning.sqlite-wal"), "{said}");
    fs::rename(&moved, &file)?;
    let copied = copy(&dir, &url, 0)?;
    ensure!(copied.status.success() && wallet_changes(&url).await? == 3, "{copied:?}");
    Ok(())
}

/// Leaves what a killed process leaves: the change is in the write-ahead log alone.
fn change_wallet_and_leave_the_log(file: &Path) -> Result<()> {
    let conn = Connection::open(file)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.execute("INSERT INTO wallet (body) VALUES (x'00')", [])?;
    Ok(())
}

/// What `tally restore` took away has the same name, and no mark: where it went is newer, and it is not copied.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_that_a_restore_took_are_not_copied() -> Result<()> {
    let place = tempfile::tempdir()?;
    let dir = node(place.path()).await?;
    let (file, url) = (lightning_dir(&dir).join(SQLITE_FILE), Cluster::shared().database());
    fs::rename(&file, file.with_extension("sqlite.moved"))?;
    let refused = copy(&dir, &url, 0)?;
    let said = String::from_utf8(refused.stderr)?;
    ensure!(!refused.status.success() && said.contains("does not say where it went"), "{said}");
    ensure!(usable(&dir, &url).await?.1.is_none_or(|facts| facts == 0), "nothing was copied");
    Ok(())
}

fn take_back(dir: &Path, url: &str, point: u64) -> Result<Output> {
    let mut command = Command::new(BINARY);
    command.args(["store", "take-back", "--to", url, "--from"]).arg(dir);
    command.env("TALLY_CRASH_AT", point.to_string()).env("TALLY_CRASH_LOG", dir.join("points"));
    command.output().context("tally store take-back")
}

/// Stops a copy at each point, and takes it back, stopped at each point as well: the files can be used if the copy had not
/// ended, and nothing can while it is not certain.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_failed_is_taken_back_wherever_it_stopped() -> Result<()> {
    let place = tempfile::tempdir()?;
    let whole = node(place.path()).await?;
    let cluster = Cluster::start(&[]);
    let (mut taken, mut refused) = (0, 0);
    for point in 1..POINTS_MAX {
        let (dir, url) = (place.path().join(point.to_string()), cluster.database());
        duplicate(&whole, &dir)?;
        if copy(&dir, &url, point)?.status.success() {
            break;
        }
        let left = usable(&dir, &url).await?;
        if left == (None, None) {
            given_back(&dir, &url, &cluster.database()).await.with_context(|| format!("stopped at point {point}"))?;
            taken += 1;
        } else {
            // It had not begun to move anything, or it had ended.
            let said = take_back(&dir, &url, 0)?;
            ensure!(!said.status.success() && usable(&dir, &url).await? == left, "point {point}: {said:?}");
            refused += usize::from(left.1.is_some());
        }
    }
    assert!(taken > 3 && refused > 0, "{taken} taken back, {refused} that had ended");
    Ok(())
}

/// Takes a directory's node back from where a copy left it, and moves it into another database afterwards.
async fn given_back(dir: &Path, url: &str, other: &str) -> Result<()> {
    let elsewhere = take_back(dir, other, 0)?;
    let said = String::from_utf8_lossy(&elsewhere.stderr).into_owned();
    ensure!(!elsewhere.status.success() && said.contains("the database holds no journal"), "{said}");
    let late = dir.with_extension("late");
    duplicate(dir, &late)?;
    for point in 1..POINTS_MAX {
        let stopped = take_back(dir, url, point)?;
        if stopped.status.success() {
            break;
        }
        ensure!(stopped.status.signal() == Some(SIGABRT), "{stopped:?}");
        ensure!(usable(dir, url).await? == (None, None), "point {point} of the way back");
    }
    ensure!(usable(dir, url).await? == (Some(FACTS), None), "the files alone can be used");
    // The copy that was taken back does not end any more, from whatever is left of its sources.
    let ended = copy(&late, url, 0)?;
    ensure!(!ended.status.success() && usable(&late, url).await? == (None, None), "{ended:?}");
    let again = take_back(dir, url, 0)?;
    let said = String::from_utf8_lossy(&again.stderr).into_owned();
    ensure!(!again.status.success() && said.contains("nothing to take back"), "{said}");
    ensure!(
        copy(dir, other, 0)?.status.success() && usable(dir, other).await? == (None, Some(FACTS)),
        "it moves again"
    );
    ensure!(wallet_changes(other).await? == 1, "with its channels");
    Ok(())
}
