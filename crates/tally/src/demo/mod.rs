//! `tally demo`: seven stories of escrow, on real Lightning nodes and a private chain; then a proof of what happened.
//!
//! The node is a process of its own, so that it can be killed like one; chain, requester and worker live in this one.

mod disputed;
mod kept;
mod platform;
mod proven;
mod renewed;
mod report;
mod stage;
mod stories;

use anyhow::{Context, Result, anyhow, bail, ensure};
use std::{path::Path, time::Duration};
use tallystick_devnet::RegtestChain;
use tempfile::TempDir;

pub use platform::{LOOK, PASSPHRASE, Platform};
pub use report::Report;
pub use stage::{Actor, Purses, STEP_MAX, Side, Stage, read_msat};
pub use stories::{Moved, Payment, Teller, task_input};

use crate::signal::StopSignals;

/// How often the folder is tried to be removed while a killed node may still be writing into it.
const REMOVALS_MAX: u32 = 40;

/// Plays the stories.
///
/// # Errors
/// If anything is off: a step fails or takes too long, the balances do not add up, or SIGINT or SIGTERM comes before
/// the end. Everything is kept for whoever looks into a failure; after a signal nothing is.
pub async fn run(keep: bool) -> Result<()> {
    // Before the folder: from here on a signal does not end the process without it being removed.
    let mut signals = StopSignals::listen()?;
    let folder = tempfile::Builder::new().prefix("tally-demo-").tempdir()?;
    let mut report = Report::new();
    let performance = Box::pin(perform(folder.path(), &mut report));
    let played = match signals.unless_heard(performance).await {
        Some(Ok(stage)) => finish(stage, keep, &mut report, &mut signals).await,
        Some(Err(error)) => Err(error),
        None => {
            // What was running is dropped by now, and the node's process killed with it.
            remove(folder).await?;
            bail!("stopped by a signal");
        }
    };
    played.map_err(|error| keep_for_inspection(folder, &error))
}

async fn perform(folder: &Path, report: &mut Report) -> Result<Stage> {
    let binary = std::env::current_exe().context("this program cannot find itself")?;
    report.title("Tallystick: escrow over Lightning");
    report.line("  Starting a private Bitcoin chain, a requester, a worker and the node; opening channels …");
    let mut stage = Stage::start(RegtestChain::start().await?, &binary, folder, &[]).await?;
    let height = stage.height().await?;
    report.columns();
    report.step(height, None, "network", "three Lightning nodes, two channels: requester ⇄ node ⇄ worker");
    play(&mut stage, report).await?;
    Ok(stage)
}

/// After the stories: everything goes on running if wanted, until a signal comes; then all is stopped in order.
async fn finish(mut stage: Stage, keep: bool, report: &mut Report, signals: &mut StopSignals) -> Result<()> {
    if keep && let Some(ended) = signals.unless_heard(Box::pin(kept::attend(&mut stage, report))).await {
        ended?;
    }
    signals.unless_heard(stage.stop()).await.unwrap_or(Ok(()))
}

/// An error that tells the end of the node's log, and where everything is.
fn keep_for_inspection(folder: TempDir, error: &anyhow::Error) -> anyhow::Error {
    let folder = folder.keep();
    let words = Platform::last_words(&folder);
    anyhow!("{error:#}\n\nThe node's last words:\n{words}\n\nEverything is kept in {}", folder.display())
}

/// Removes the folder, seeds and all.
async fn remove(folder: TempDir) -> Result<()> {
    let path = folder.keep();
    let mut removed = Ok(());
    for _ in 0..REMOVALS_MAX {
        removed = std::fs::remove_dir_all(&path);
        if removed.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    removed.with_context(|| format!("cannot remove {}", path.display()))
}

async fn play(stage: &mut Stage, report: &mut Report) -> Result<()> {
    let before = stage.purses().await?;
    let moved = Teller::new(stage, report).all().await?;
    let after = stage.purses().await?;
    show(report, &before, &after);
    check(&before, &after, moved)?;
    report.line("\n  They add up, to the millisatoshi: what was paid is what was earned and kept. Nothing else moved.");
    Ok(())
}

fn show(report: &mut Report, before: &Purses, after: &Purses) {
    report.title("Balances in channels, in msat");
    report.line(&format!("  {:<10} {:>15} {:>15} {:>12}", "", "before", "after", "change"));
    let rows = [
        ("requester", before.requester, after.requester),
        ("worker", before.worker, after.worker),
        ("node", before.platform, after.platform),
        ("together", before.sum(), after.sum()),
    ];
    for (who, before, after) in rows {
        let change = i128::from(after) - i128::from(before);
        report.line(&format!("  {who:<10} {before:>15} {after:>15} {change:>+12}"));
    }
}

/// What payers paid = what payees got + what the node kept, and nothing else moved.
///
/// # Errors
/// If a balance is off by a millisatoshi.
pub fn check(before: &Purses, after: &Purses, moved: Moved) -> Result<()> {
    let kept = moved.paid_msat - moved.earned_msat;
    ensure!(before.sum() == after.sum(), "{} msat became {} msat", before.sum(), after.sum());
    ensure!(before.requester - moved.paid_msat == after.requester, "the requester's balance is off: {after:?}");
    ensure!(before.worker + moved.earned_msat == after.worker, "the worker's balance is off: {after:?}");
    ensure!(before.platform + kept == after.platform, "the node's balance is off: {after:?}");
    Ok(())
}
