//! Standing from the command line: from a running node, and from its export without one.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};
use tally::secret;

use crate::support::{BINARY, Theatre};

const PASSPHRASE: &str = "correct horse";

struct Client {
    url: String,
    key: PathBuf,
}

impl Client {
    async fn run(&self, args: &[&str]) -> Result<Output> {
        let mut command = tokio::process::Command::new(BINARY);
        command.args(args).env("TALLY_URL", &self.url).env("TALLY_KEY", &self.key);
        Ok(command.env("TALLY_KEY_PASSPHRASE", PASSPHRASE).kill_on_drop(true).output().await?)
    }

    async fn told(&self, args: &[&str]) -> Result<String> {
        let Output { status, stdout, stderr } = self.run(args).await?;
        ensure!(status.success(), "{args:?}: {}", String::from_utf8_lossy(&stderr));
        Ok(String::from_utf8(stdout)?)
    }

    async fn json(&self, args: &[&str]) -> Result<Value> {
        Ok(serde_json::from_str(&self.told(args).await?)?)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_and_its_export_tell_the_same_and_limits_are_kept() -> Result<()> {
    let mut theatre = Theatre::open(&[]).await?;
    theatre.teller().paid_out().await?;
    let platform = &mut theatre.stage.platform;
    let dir = platform.dir().to_owned();
    platform.stop().await?;
    let file = dir.join("tally.toml");
    let config = fs::read_to_string(&file)?.replace("enforce = false", "enforce = true\nopen_tasks = [1, 2, 3, 4]");
    fs::write(&file, config)?;
    platform.start(&[]).await?;

    let folder = tempfile::tempdir()?;
    let key = folder.path().join("key");
    secret::save_key(&key, &theatre.stage.requester.keys, PASSPHRASE)?;
    let client = Client { url: theatre.stage.platform.url(), key };
    let worker = theatre.stage.worker.keys.public_key().to_hex();
    let told = client.json(&["standing", &worker, "--json"]).await?;
    let in_role = &told[1];
    assert_eq!(
        (&in_role["role"], &in_role["tier"], &in_role["tasksLimit"]),
        (&"WORKER".into(), &"NOVICE".into(), &1.into())
    );
    let facts = in_role["terms"][0]["facts"].as_array().context("the deal is there")?;
    assert_eq!((in_role["terms"][0]["name"].as_str(), facts.len()), (Some("trade"), 1));
    let words = client.told(&["standing", &worker, "--role", "worker"]).await?;
    assert!(
        words.contains(" as worker: novice, 0 points, as of fact ") && words.contains("+0 trade: 1 deals with "),
        "{words}"
    );

    // The same from the facts alone, with no node; the file is its owner's, and is not written twice.
    let export = folder.path().join("export.jsonl");
    let path = export.to_str().context("a name")?;
    let write = ["journal", "export", "--data-dir", dir.to_str().context("a name")?, "--out", path];
    client.told(&write).await?;
    let at = in_role["at"].to_string();
    let same = client.json(&["standing", &worker, "--json", "--from", path, "--at", &at]).await?;
    assert_eq!(same, told);
    assert_eq!(client.told(&["anomalies", "--from", path]).await?.trim(), "nothing looks odd");
    assert_eq!(mode(&export)?, 0o600);
    let again = client.run(&write).await?;
    assert!(!again.status.success() && String::from_utf8_lossy(&again.stderr).contains("cannot make"), "{again:?}");
    let lines = fs::read_to_string(&export)?;
    fs::write(&export, lines.lines().take(5).map(|line| format!("{line}\n")).collect::<String>())?;
    let cut = client.run(&["standing", &worker, "--from", path]).await?;
    assert!(String::from_utf8_lossy(&cut.stderr).contains("export.end"), "{cut:?}");

    // Flags are for operators, and a second task is one too many.
    let refused = client.run(&["anomalies"]).await?;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("auth."), "{refused:?}");
    theatre.stage.post("One", &[1_000], "REFUND").await?;
    let refused = theatre.stage.post("Two", &[1_000], "REFUND").await.unwrap_err().to_string();
    assert!(refused.contains("1 tasks open at once (novice)"), "{refused}");
    theatre.close().await
}

fn mode(path: &Path) -> Result<u32> {
    use std::os::unix::fs::PermissionsExt;
    Ok(fs::metadata(path)?.permissions().mode() & 0o777)
}
