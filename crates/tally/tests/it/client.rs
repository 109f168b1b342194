//! The command line as a client, with the real binary.

use anyhow::{Context, Result};
use std::{path::Path, process::Output};
use tally::{
    ask::bond,
    demo::{Actor, Stage},
    secret,
};
use tallystick_core::{Duration, Msat};

use crate::support::{BINARY, Theatre};

const PAYOUT_SAT: u64 = 1_000;
const PASSPHRASE: &str = "correct horse";

/// Runs `tally task` with a requester's key.
async fn task(stage: &Stage, key: &Path, args: &[&str]) -> Result<Output> {
    let mut command = tokio::process::Command::new(BINARY);
    command.arg("task").args(args).env("TALLY_URL", stage.platform.url()).env("TALLY_KEY", key);
    Ok(command.env("TALLY_KEY_PASSPHRASE", PASSPHRASE).kill_on_drop(true).output().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn funding_is_shown_if_it_fits_and_a_watch_ends_with_the_task() -> Result<()> {
    let theatre = Theatre::open(&[]).await?;
    let stage = &theatre.stage;
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("key");
    let missing = task(stage, &key, &["list"]).await?;
    assert!(String::from_utf8_lossy(&missing.stderr).contains("`tally key new` makes one"), "{missing:?}");
    secret::save_key(&key, &stage.requester.keys, PASSPHRASE)?;

    let posted = stage.post("Pay me", &[PAYOUT_SAT], "REFUND").await?;
    let id = posted["id"].as_str().context("a task has an id")?;
    stage.take(id, &[PAYOUT_SAT]).await?;
    // Whoever knows the node by another key is shown nothing that could be paid.
    let (other, _) = stage.worker.party.address().await?;
    let refused = task(stage, &key, &["fund", id, "--node-id", &other]).await?;
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("do not pay"), "{refused:?}");
    let requester = stage.requester.keys.public_key().to_hex();
    let refused = task(stage, &key, &["fund", id, "--worker", &requester]).await?;
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("do not pay"), "{refused:?}");
    let shown = task(stage, &key, &["fund", id]).await?;
    let worker = stage.worker.keys.public_key().to_hex();
    assert!(String::from_utf8_lossy(&shown.stderr).contains(&worker), "{shown:?}");
    assert!(shown.status.success(), "{shown:?}");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("\"fundingInvoice\": \"lnbcrt"), "{shown:?}");

    let watch = ["watch", id];
    let (watched, cancelled) = tokio::join!(task(stage, &key, &watch), stage.requester.api.cancel(id));
    cancelled?;
    let watched = watched?;
    assert!(watched.status.success(), "{watched:?}");
    assert!(String::from_utf8_lossy(&watched.stdout).contains("\"state\":\"CANCELLED\""), "{watched:?}");
    theatre.close().await
}

/// What a command printed.
fn shown(output: &Output) -> Result<serde_json::Value> {
    anyhow::ensure!(output.status.success(), "{output:?}");
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_side_is_shown_what_its_own_bond_takes() -> Result<()> {
    let theatre = Theatre::open(&[]).await?;
    let stage = &theatre.stage;
    let folder = tempfile::tempdir()?;
    let key = |name: &str, actor: &Actor| -> Result<_> {
        let path = folder.path().join(name);
        secret::save_key(&path, &actor.keys, PASSPHRASE)?;
        Ok(path)
    };
    let (requester, worker) = (key("requester", &stage.requester)?, key("worker", &stage.worker)?);
    let hash = "ab".repeat(32);
    let terms = ["create", "--title", "Pay me", "--description-hash", &hash, "--payout-sat", "1000"];
    let no_panel = task(stage, &requester, &[&terms[..], &["--requester-bond-sat", "3000"]].concat()).await?;
    assert!(String::from_utf8_lossy(&no_panel.stderr).contains("--panel"), "{no_panel:?}");
    let bonds = ["--requester-bond-sat", "3000", "--worker-bond-sat", "2000", "--panel", "one", "--work-hours", "2"];
    let posted = shown(&task(stage, &requester, &[&terms[..], &bonds].concat()).await?)?;
    let id = posted["id"].as_str().context("a task has an id")?;

    let invoices = stage.invoices(&[PAYOUT_SAT, 3_000]).await?;
    shown(&task(stage, &worker, &["accept", id, &invoices[0], &invoices[1]]).await?)?;
    let early = task(stage, &worker, &["fund-bond", id]).await?;
    assert!(String::from_utf8_lossy(&early.stderr).contains("does not show the request"), "{early:?}");
    let own = stage.requester.party.invoice(Msat::try_new(2_000_000)?, Duration::from_secs(7 * 86_400)).await?;
    let funded = shown(&task(stage, &requester, &["fund", id, "--bond-invoice", &own]).await?)?;
    let text =
        |hold: Option<&serde_json::Value>, name: &str| hold.and_then(|hold| hold[name].as_str()).map(str::to_owned);
    assert!(text(bond(&funded, "REQUESTER"), "fundingInvoice").is_some_and(|bolt11| bolt11.starts_with("lnbcrt")));

    let (other, _) = stage.requester.party.address().await?;
    let refused = task(stage, &worker, &["fund-bond", id, "--node-id", &other]).await?;
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("do not pay"), "{refused:?}");
    let asked = shown(&task(stage, &worker, &["fund-bond", id]).await?)?;
    let hold = bond(&asked, "WORKER");
    assert_eq!(text(hold, "payoutInvoice").as_deref(), Some(own.as_str()));
    assert!(text(hold, "fundingInvoice").is_some_and(|bolt11| bolt11.starts_with("lnbcrt")));
    shown(&task(stage, &requester, &["cancel", id]).await?)?;
    theatre.close().await
}
