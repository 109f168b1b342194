//! `tally demo`: five stories of escrow, on real Lightning nodes and a private chain.
//!
//! The node is a process of its own, so that it can be killed like one; chain, requester and worker live in this one.

mod platform;
mod report;
mod stage;
mod stories;

use anyhow::{Context, Result, ensure};

pub use platform::{LOOK, Platform};
pub use report::Report;
pub use stage::{Actor, Purses, STEP_MAX, Stage, read_msat};
pub use stories::{Moved, Payment, SETTLE_MAX, Teller};

/// Plays the stories.
///
/// # Errors
/// If anything is off: a step fails or takes too long, or the balances do not add up.
pub async fn run(keep: bool) -> Result<()> {
    let binary = std::env::current_exe().context("this program cannot find itself")?;
    let folder = tempfile::tempdir()?;
    let mut report = Report::new();
    report.title("Tallystick: escrow over Lightning");
    report.line("  Starting a private Bitcoin chain, a requester, a worker and the node; opening channels …");
    let mut stage = Stage::start(&binary, folder.path(), &[]).await?;
    let height = stage.height().await?;
    report.step(height, "network", "three Lightning nodes, two channels: requester ⇄ node ⇄ worker");

    let result = Box::pin(play(&mut stage, &mut report)).await;
    if let Err(error) = &result {
        let kept = folder.keep();
        report.line(&format!("\nFAILED: {error:#}\nEverything is kept in {}", kept.display()));
        return result;
    }
    if keep {
        keep_running(&mut stage, &mut report).await?;
    }
    stage.platform.stop().await?;
    stage.requester.party.go_offline().await;
    stage.worker.party.go_offline().await;
    Ok(())
}

async fn play(stage: &mut Stage, report: &mut Report) -> Result<()> {
    let before = stage.purses().await?;
    let mut teller = Teller { stage, report };
    let moved = teller
        .paid_out()
        .await?
        .and(teller.cancelled().await?)
        .and(teller.killed().await?)
        .and(teller.worker_offline().await?)
        .and(teller.deadline().await?);
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

async fn keep_running(stage: &mut Stage, report: &mut Report) -> Result<()> {
    let keys = stage.dir().join("keys");
    std::fs::create_dir_all(&keys)?;
    let passphrase = stage.platform.dir().join("passphrase");
    let words = std::fs::read_to_string(&passphrase)?;
    for (name, key) in [("requester", &stage.requester.keys), ("worker", &stage.worker.keys)] {
        crate::secret::save_key(&keys.join(name), key, &words)?;
    }
    crate::secret::save_key(&keys.join("operator"), stage.platform.operator_keys(), &words)?;
    let rpc = stage.chain.rpc_config();
    let (id, listen) = stage.worker.party.address().await?;
    report.title("Everything goes on running; Ctrl-C ends it");
    report.line(&format!("  API         {}", stage.platform.url()));
    report.line(&format!("  Bitcoin RPC {} (cookie: {})", rpc.url, stage.platform.dir().join("cookie").display()));
    report.line(&format!("  worker      {id}@{listen}"));
    report.line(&format!("  node's log  {}", stage.platform.log_file().display()));
    report.line("\n  Try, in another terminal:");
    report.line(&format!("    export TALLY_URL={}", stage.platform.url()));
    report.line(&format!("    export TALLY_PASSPHRASE='{words}'"));
    report.line(&format!("    export TALLY_KEY={}", keys.join("requester").display()));
    report.line("    tally task list");
    report.line("    tally task create --title 'Write a song' --payout-sat 1000 \\");
    report.line(&format!("        --description-hash {}", tallystick_core::canonical::sha256(b"Write a song")));
    report.line(&format!("    tally node balances --key {}", keys.join("operator").display()));
    tokio::signal::ctrl_c().await?;
    Ok(())
}
