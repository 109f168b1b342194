//! A journal that was put back to an older state: no process opens channels on it.

use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};
use tally::{
    demo::{LOOK, Platform, STEP_MAX},
    init::lightning_dir,
    mark, published,
    store::JOURNAL,
};
use tallystick_app::port::log::Published;
use tallystick_lightning::SQLITE_FILE;
use tallystick_log::{Checkpoint, KeyKind, KeyName, SignedCheckpoint, SigningKey};
use tallystick_store::{PostgresOptions, StoreStatus};
use tallystick_testkit::Cluster;

use crate::support::{BINARY, Theatre};

const PAYOUT_SAT: u64 = 20_000;
const UP: &str = "the Lightning node is up";

fn mark_of(platform: &Platform) -> PathBuf {
    platform.dir().join(mark::FILE)
}

/// The number of the fact that a node knows.
fn known(platform: &Platform) -> Result<u64> {
    let text = fs::read_to_string(mark_of(platform)).unwrap_or_default();
    Ok(text.split(' ').next().filter(|seq| !seq.is_empty()).map_or(Ok(0), str::parse)?)
}

fn log_of(platform: &Platform) -> Result<String> {
    Ok(String::from_utf8_lossy(&fs::read(platform.log_file())?).into_owned())
}

/// Waits until the process has ended, badly; answers what it said since `before`.
async fn ends(platform: &mut Platform, before: usize) -> Result<String> {
    let start = Instant::now();
    loop {
        if let Some(status) = platform.ended()? {
            let said = log_of(platform)?.split_off(before);
            ensure!(!status.success(), "{said}");
            return Ok(said);
        }
        ensure!(start.elapsed() < STEP_MAX, "it does not end");
        tokio::time::sleep(LOOK).await;
    }
}

/// Started, it ends in these words, and has not opened its channels.
pub async fn refuses(platform: &mut Platform, words: &[&str]) -> Result<()> {
    let before = log_of(platform)?.len();
    platform.spawn(&[])?;
    let said = ends(platform, before).await?;
    ensure!(words.iter().all(|word| said.contains(word)) && !said.contains(UP), "{said}");
    Ok(())
}

/// Posts a task, and waits until the nodes know what is in the journal then.
async fn go_on(theatre: &Theatre, facts: impl AsyncFn() -> Result<u64>, nodes: &[&Platform]) -> Result<u64> {
    theatre.stage.post("One more", &[PAYOUT_SAT], "REFUND").await?;
    let facts = facts().await?;
    let all = async || Ok(nodes.iter().map(|node| known(node)).all(|known| known.is_ok_and(|known| known >= facts)));
    theatre.stage.until("what was acknowledged is kept beside the journal", all).await?;
    Ok(facts)
}

/// Puts a database in the place of another one, which nobody has open.
fn put(from: &Path, to: &Path) -> Result<()> {
    let beside = |path: &Path, more: &str| PathBuf::from(format!("{}{more}", path.display()));
    ensure!(!beside(from, "-wal").exists(), "{} was not closed", from.display());
    // What a refused start left there would be read into the other one. Whoever only reads leaves an empty one.
    let left = fs::metadata(beside(to, "-wal")).map_or(0, |wal| wal.len());
    ensure!(left == 0, "{left} bytes of a write-ahead log are left beside {}", to.display());
    for more in ["-wal", "-shm"] {
        let _ = fs::remove_file(beside(to, more));
    }
    fs::copy(from, to)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_file_that_was_put_back_opens_no_channel() -> Result<()> {
    let mut theatre = Box::pin(Theatre::open(&[])).await?;
    let dir = theatre.stage.platform.dir().to_owned();
    let [journal, old, new] = [JOURNAL, "old", "new"].map(|name| dir.join(name));
    let facts = async || Ok(StoreStatus::of_sqlite(&journal)?.facts);
    let first = go_on(&theatre, facts, &[&theatre.stage.platform]).await?;
    theatre.stage.platform.stop().await?;
    put(&journal, &old)?;
    let first_head = StoreStatus::of_sqlite(&journal)?.head;
    theatre.stage.platform.start(&[]).await?;
    let second = go_on(&theatre, facts, &[&theatre.stage.platform]).await?;
    let is_kept = async || Ok(published::read(&dir)?.is_some_and(|kept| kept.unverified().size() >= second));
    theatre.stage.until("the checkpoint of it is kept as well", is_kept).await?;
    // However it ends.
    theatre.stage.platform.kill().await?;
    theatre.stage.platform.start(&[]).await?;
    theatre.stage.platform.stop().await?;
    put(&journal, &new)?;
    let second_head = StoreStatus::of_sqlite(&journal)?.head;
    let mark = fs::read(mark_of(&theatre.stage.platform))?;

    put(&old, &journal)?;
    let channels = fs::read(lightning_dir(&dir).join(SQLITE_FILE))?;
    let told =
        format!("this node knew fact {second} ({second_head}), and the journal ends with fact {first} ({first_head})");
    refuses(&mut theatre.stage.platform, &[&told, "log.rollback", "docs/runbooks/backup-and-restore.md"]).await?;
    ensure!(fs::read(lightning_dir(&dir).join(SQLITE_FILE))? == channels, "the channels were opened");
    // One that is gone is older still.
    fs::remove_file(&journal)?;
    refuses(&mut theatre.stage.platform, &["and the journal ends with fact 0"]).await?;

    // Whoever wants to go on from there says so, and another history begins.
    put(&old, &journal)?;
    fs::remove_file(mark_of(&theatre.stage.platform))?;
    refuses(&mut theatre.stage.platform, &["(published-checkpoint) knows a tree of", "(log.rollback)"]).await?;
    fs::remove_file(dir.join(published::FILE))?;
    theatre.stage.platform.start(&[]).await?;
    let other = go_on(&theatre, facts, &[&theatre.stage.platform]).await?;
    ensure!(other == second, "{other}, {second}");
    theatre.stage.platform.stop().await?;
    fs::write(mark_of(&theatre.stage.platform), &mark)?;
    refuses(&mut theatre.stage.platform, &[&format!("the journal has fact {second} ("), "in its place"]).await?;

    // What cannot be written only now is told, and the node is back; the mark itself may not go.
    put(&new, &journal)?;
    fs::remove_file(mark_of(&theatre.stage.platform))?;
    let _ = fs::remove_file(dir.join(published::FILE));
    let blocked = mark_of(&theatre.stage.platform).with_extension("new");
    fs::create_dir(&blocked)?;
    theatre.stage.platform.start(&[]).await?;
    theatre.stage.platform.stop().await?;
    ensure!(log_of(&theatre.stage.platform)?.contains("the newest fact is not kept beside the journal"));
    ensure!(!mark_of(&theatre.stage.platform).exists());
    fs::remove_dir(&blocked)?;
    fs::write(mark_of(&theatre.stage.platform), b"18\n")?;
    refuses(&mut theatre.stage.platform, &["newest-fact is damaged", "then delete it"]).await?;
    fs::write(mark_of(&theatre.stage.platform), &mark)?;
    put(&new, &journal)?;
    theatre.stage.platform.start(&[]).await?;
    theatre.close().await
}

/// A standby that was behind takes over, or an older state is recovered: a replica that runs ends, and none starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_went_back_stops_every_replica() -> Result<()> {
    let cluster = Cluster::start(&[]);
    let url = cluster.database();
    let mut theatre = Box::pin(Theatre::open_on_database(&url)).await?;
    let mut other = theatre.stage.platform.replica("platform-2", &theatre.stage.chain.rpc_config(), None)?;
    other.start(&[]).await?;
    cluster.base_backup();
    let options = PostgresOptions::try_new(&url)?;
    let facts = async || Ok(StoreStatus::of_postgres(&options).await?.facts);
    let known = go_on(&theatre, facts, &[&theatre.stage.platform, &other]).await?;
    let before = log_of(&other)?.len();
    ensure!(!log_of(&other)?.contains(UP), "it only waits");

    cluster.halt();
    cluster.recover(&["restore_command = 'false'"]);
    let told = format!("this node knew fact {known} (");
    let said = ends(&mut other, before).await?;
    ensure!(said.contains(&told) && said.contains("log.rollback") && !said.contains(UP), "{said}");
    // Its owner lost its database, and is started again as under any supervisor.
    ends(&mut theatre.stage.platform, 0).await.context("the owner")?;
    for replica in [&mut theatre.stage.platform, &mut other] {
        refuses(replica, &[&told, "log.rollback"]).await?;
    }
    theatre.close().await
}

/// Without anybody's key, and without an anchor: the node's own directory tells that there was a checkpoint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_wiped_is_missed_by_the_nodes_directory() -> Result<()> {
    let mut theatre = Box::pin(Theatre::open(&[])).await?;
    theatre.stage.post("A task", &[PAYOUT_SAT], "REFUND").await?;
    let dir = theatre.stage.platform.dir().to_owned();
    let kept = async || Ok(published::read(&dir)?.is_some());
    theatre.stage.until("a published checkpoint is kept", kept).await?;
    theatre.stage.platform.stop().await?;
    let fsck = || Command::new(BINARY).args(["fsck", "--data-dir"]).arg(&dir).env_remove("TALLY_PASSPHRASE").output();
    let sound = fsck()?;
    ensure!(sound.status.success(), "{sound:?}");
    let conn = rusqlite::Connection::open(dir.join(JOURNAL))?;
    conn.execute_batch(
        "UPDATE log_state SET published = NULL, published_size = NULL, size = 0; DELETE FROM log_tiles",
    )?;
    drop(conn);
    let wiped = fsck()?;
    let said = String::from_utf8_lossy(&wiped.stderr).into_owned();
    ensure!(
        !wiped.status.success() && said.contains("this node published one of") && said.contains("(fsck.log)"),
        "{said}"
    );
    // A file that is not what was written is told as such, by fsck and by a start.
    let path = dir.join(published::FILE);
    let kept = fs::read(&path)?;
    fs::write(&path, [&kept[..], b"more"].concat())?;
    let damaged = String::from_utf8_lossy(&fsck()?.stderr).into_owned();
    ensure!(damaged.contains("published-checkpoint is damaged") && damaged.contains("(fsck.directory)"), "{damaged}");
    refuses(&mut theatre.stage.platform, &["published-checkpoint is damaged", "(fsck.directory)"]).await?;
    fs::write(&path, &kept)?;
    // What rebuild makes is compared as well, though it publishes nothing.
    let rebuild = || Command::new(BINARY).args(["store", "rebuild", "--data-dir"]).arg(&dir).output();
    let rebuilt = rebuild()?;
    let said = String::from_utf8_lossy(&rebuilt.stdout).into_owned();
    ensure!(rebuilt.status.success() && said.contains("no checkpoint is published"), "{rebuilt:?}");
    let other = published_as(&dir, [9; 32])?;
    published::keep(&dir, &other)?;
    let said = String::from_utf8_lossy(&rebuild()?.stderr).into_owned();
    ensure!(said.contains("(fsck.fork)"), "{said}");
    refuses(&mut theatre.stage.platform, &["facts of this journal do not begin with", "(log.rollback)"]).await?;
    fs::write(&path, &kept)?;
    // The next start makes it again from its facts.
    theatre.stage.platform.start(&[]).await?;
    let again = async || Ok(fsck()?.status.success());
    theatre.stage.until("the log is there again", again).await?;
    theatre.close().await
}

/// A checkpoint of all facts of a journal with another root, as somebody's who shows another history.
fn published_as(dir: &Path, root: [u8; 32]) -> Result<Published> {
    let size = StoreStatus::of_sqlite(&dir.join(JOURNAL))?.facts;
    fs::remove_file(dir.join(published::FILE))?;
    let key = SigningKey::try_from_seed(KeyName::try_new("node.example/log")?, KeyKind::Note, &[7; 32])?;
    let signed = SignedCheckpoint::sign(Checkpoint::try_new("node.example/log", size, root)?, &key)?;
    Ok(Published { size, note: signed.to_string().into_bytes() })
}
