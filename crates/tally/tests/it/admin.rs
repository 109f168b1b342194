//! Admins on the command line, with the real binary and a real node.

use anyhow::{Context, Result, ensure};
use nostr::key::Keys;
use serde_json::Value;
use std::{fs, path::Path, process::Output};
use tally::{demo::Stage, secret};

use crate::support::{Authenticator, BINARY, Theatre};

const PASSPHRASE: &str = "correct horse";

/// Runs `tally` with a user's key.
async fn tally(stage: &Stage, key: &Path, args: &[&str]) -> Result<Output> {
    let mut command = tokio::process::Command::new(BINARY);
    command.args(args).env("TALLY_URL", stage.platform.url()).env("TALLY_KEY", key);
    Ok(command.env("TALLY_KEY_PASSPHRASE", PASSPHRASE).kill_on_drop(true).output().await?)
}

/// What it answers.
async fn answer(stage: &Stage, key: &Path, args: &[&str]) -> Result<Value> {
    let output = tally(stage, key, args).await?;
    ensure!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn saved(folder: &Path, name: &str, keys: &Keys) -> Result<std::path::PathBuf> {
    let path = folder.join(name);
    secret::save_key(&path, keys, PASSPHRASE)?;
    Ok(path)
}

#[tokio::test(flavor = "multi_thread")]
async fn two_admins_act_together_and_who_has_the_machine_makes_another() -> Result<()> {
    let mut theatre = Theatre::open(&[]).await?;
    let folder = tempfile::tempdir()?;
    let (second, third) = (Keys::generate(), Keys::generate());
    let first_key = saved(folder.path(), "first", theatre.stage.platform.operator_keys())?;
    let second_key = saved(folder.path(), "second", &second)?;
    let third_key = saved(folder.path(), "third", &third)?;
    let (second, third) = (second.public_key().to_hex(), third.public_key().to_hex());

    let stage = &theatre.stage;
    let authenticator = Authenticator::enrol(stage.platform.operator()).await?;
    let code = authenticator.next();
    assert_eq!(answer(stage, &first_key, &["admin", "do", "--code", &code, "grant", "admin", &second]).await?, true);
    let again = tally(stage, &first_key, &["admin", "do", "--code", &code, "grant", "operator", &second]).await?;
    assert!(String::from_utf8_lossy(&again.stderr).contains("roles.code_used"), "{again:?}");

    let proposed = answer(stage, &first_key, &["admin", "propose", "grant", "operator", &third]).await?;
    let number = proposed["proposal"].as_u64().context("a proposal has a number")?.to_string();
    let shown = answer(stage, &second_key, &["admin", "proposals"]).await?;
    assert_eq!(
        (&shown[0]["action"]["operation"], &shown[0]["action"]["key"]),
        (&"grantRole".into(), &third.as_str().into())
    );
    let own = tally(stage, &first_key, &["admin", "confirm", &number, "--yes"]).await?;
    assert!(String::from_utf8_lossy(&own.stderr).contains("roles.own_proposal"), "{own:?}");
    let unseen = tally(stage, &second_key, &["admin", "confirm", &number]).await?;
    assert!(!unseen.status.success() && String::from_utf8_lossy(&unseen.stderr).contains("--yes"), "{unseen:?}");
    assert!(tally(stage, &third_key, &["node", "balances"]).await?.status.code() != Some(0));
    assert_eq!(answer(stage, &second_key, &["admin", "confirm", &number, "--yes"]).await?, true);
    answer(stage, &third_key, &["node", "balances"]).await?;
    let alone = tally(stage, &first_key, &["node", "close", "ab"]).await?;
    assert!(String::from_utf8_lossy(&alone.stderr).contains("roles.second_factor"), "{alone:?}");

    // The key that runs the node becomes an admin's at the machine.
    let passphrase = folder.path().join("passphrase");
    fs::write(&passphrase, tally::demo::PASSPHRASE)?;
    let dir = theatre.stage.platform.dir().display().to_string();
    let file = passphrase.display().to_string();
    let recover = ["recover-admin", third.as_str(), "--data-dir", &dir, "--passphrase-file", &file];
    assert!(!tally(&theatre.stage, &third_key, &recover).await?.status.success(), "the node runs");
    theatre.stage.platform.stop().await?;
    for words in ["is an admin and an operator now", "already"] {
        let output = tally(&theatre.stage, &third_key, &recover).await?;
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && told.contains(words), "{told}");
    }
    theatre.stage.platform.start(&[]).await?;
    let roles = answer(&theatre.stage, &third_key, &["admin", "roles"]).await?;
    assert_eq!(roles["admins"].as_array().map(Vec::len), Some(3), "{roles}");
    theatre.close().await
}
