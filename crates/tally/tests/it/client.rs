//! The command line as a client, with the real binary.

use anyhow::{Context, Result};
use std::{path::Path, process::Output};
use tally::{demo::Stage, secret};

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
