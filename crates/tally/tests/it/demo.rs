//! What `tally demo` and `tally serve` do when they are told to stop, or cannot start.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Stdio,
    time::Instant,
};
use tally::{
    config::Config,
    demo::{LOOK, Platform, STEP_MAX},
};
use tallystick_devnet::RegtestChain;
use tokio::process::{Child, Command};

use crate::support::BINARY;

#[tokio::test]
async fn a_demo_that_is_told_to_stop_leaves_nothing_behind() -> Result<()> {
    for signal in [Signal::INT, Signal::TERM] {
        let dir = tempfile::tempdir()?;
        let mut demo = demo(dir.path(), "info")?;
        let log = until_logged(dir.path(), "the node is up").await?;
        tell(&demo, signal)?;
        assert!(!demo.wait().await?.success(), "a demo without an end has failed");
        assert!(!log.exists(), "the node's directory is gone");
        assert_eq!(fs::read_dir(dir.path())?.count(), 0, "the folder with its seeds is gone");
    }
    Ok(())
}

#[tokio::test]
async fn a_node_stops_when_its_demo_is_killed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut demo = demo(dir.path(), "info")?;
    until_logged(dir.path(), "the node is up").await?;
    demo.kill().await?;
    until_logged(dir.path(), "stopping").await?;
    Ok(())
}

#[tokio::test]
async fn a_demo_that_cannot_start_says_why_and_keeps_the_log() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let output = demo(dir.path(), "tally=loud")?.wait_with_output().await?;
    let told = String::from_utf8(output.stderr)?;
    assert!(!output.status.success());
    assert!(told.contains("TALLY_LOG is no filter: tally=loud"), "the node's own words: {told}");
    let log = find_log(dir.path()).context("the log is kept")?;
    let kept = log.ancestors().nth(2).context("the log is in the node's directory, in the demo's folder")?;
    assert!(told.contains(&kept.display().to_string()), "{told}");
    Ok(())
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_before_anything_is_touched() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let chain = RegtestChain::start_empty().await?;
    let mut platform = Platform::init(Path::new(BINARY), dir.path(), &chain.rpc_config())?;
    let _other = TcpListener::bind(Config::read(platform.dir())?.api.listen)?;
    assert!(platform.start(&[]).await.is_err());
    assert!(Platform::last_words(dir.path()).contains("[api]"));
    assert!(!platform.dir().join("journal.sqlite").exists());
    Ok(())
}

/// A demo below this folder.
fn demo(dir: &Path, log: &str) -> Result<Child> {
    let mut command = Command::new(BINARY);
    command.arg("demo").env("TMPDIR", dir).env("TALLY_LOG", log).stdout(Stdio::null()).stderr(Stdio::piped());
    Ok(command.kill_on_drop(true).spawn()?)
}

fn tell(child: &Child, signal: Signal) -> Result<()> {
    let id = child.id().context("it still runs")?;
    kill_process(Pid::from_raw(id.cast_signed()).context("a process has a number")?, signal)?;
    Ok(())
}

/// Waits until the demo's node has logged something.
async fn until_logged(dir: &Path, what: &str) -> Result<PathBuf> {
    let start = Instant::now();
    loop {
        let log = find_log(dir);
        if let Some(log) = log
            && fs::read_to_string(&log)?.contains(what)
        {
            return Ok(log);
        }
        ensure!(start.elapsed() < STEP_MAX, "the node does not log: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

fn find_log(dir: &Path) -> Option<PathBuf> {
    let folder = fs::read_dir(dir).ok()?.next()?.ok()?.path();
    Some(folder.join("platform/log")).filter(|log| log.exists())
}
