//! After the stories: a stranger checks a fact of the first one, with a file and the log's key alone.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::{fs, path::Path};
use tallystick_escrow::Event;
use tokio::process::Command;

use super::{platform::PASSPHRASE, stories::Teller};
use crate::{ask::documents, config::Config, init::lightning_dir, restore::log_key, secret};

/// What is shown of what the verifier says.
const SHOWN: [&str; 4] = ["proven", "what", "when", "caused by"];

impl Teller<'_> {
    /// The requester proves that it approved the first task; a file that was changed proves nothing.
    ///
    /// # Errors
    /// If the proof is refused, or the changed one is not.
    pub async fn proven(&mut self) -> Result<()> {
        self.report.title("8. Anyone can check it: a proof in one file, without the node");
        let id = self.first.clone().context("a task was told of")?;
        let bundle = self.approval(&id).await?;
        let folder = self.stage.dir().join("proof");
        secret::make_private_dir(&folder)?;
        let path = folder.join("approved.proof");
        fs::write(&path, &bundle)?;
        self.step("requester", &format!("writes what proves the approval of story 1: {} bytes", bundle.len())).await?;
        let dir = self.stage.platform.dir();
        let key = log_key(&Config::read(dir)?, &lightning_dir(dir), PASSPHRASE)?.verifier().to_vkey();
        let (proven, said) = self.verify(&path, &key).await?;
        ensure!(proven, "the proof is refused: {said}");
        self.step("stranger", "runs `tally verify` with the file and the log's key").await?;
        for line in said.lines().filter(|line| SHOWN.iter().any(|shown| line.starts_with(shown))) {
            self.report.line(&format!("{:>22}{line}", ""));
        }
        fs::write(&path, bent(&bundle).context("a proof has letters")?)?;
        let (proven, said) = self.verify(&path, &key).await?;
        ensure!(!proven, "a proof that was changed is taken: {said}");
        self.step("somebody", "changes one bit of it").await?;
        self.report.line(&format!("{:>22}{}", "", said.trim()));
        Ok(())
    }

    /// The bundle of the fact, once its log's checkpoint holds it.
    async fn approval(&self, id: &str) -> Result<String> {
        let api = &self.stage.requester.api;
        let read = async || -> Result<Option<String>> {
            let task = api.ask("task", documents::PROOFS, json!({ "id": id })).await?;
            let proofs: &[Value] = task["proofs"].as_array().map_or(&[], Vec::as_slice);
            let approved = proofs.iter().find(|proof| proof["kind"] == Event::RELEASE_BEGUN);
            Ok(approved.context("the task was approved")?["bundle"].as_str().map(str::to_owned))
        };
        self.stage.until("the approval is in the log", async || Ok(read().await?.is_some())).await?;
        read().await?.context("what is in the log stays there")
    }

    /// Whether the program takes it, and what it says.
    async fn verify(&self, bundle: &Path, key: &str) -> Result<(bool, String)> {
        let mut verify = Command::new(self.stage.platform.binary());
        let output = verify.arg("verify").arg(bundle).args(["--log", key]).kill_on_drop(true).output().await?;
        let said = if output.status.success() { output.stdout } else { output.stderr };
        Ok((output.status.success(), String::from_utf8(said)?))
    }
}

/// The same with one bit changed, in the line that holds the fact: base64 before and after.
fn bent(bundle: &str) -> Option<String> {
    let (start, fact) = (bundle.find("extra ")?, bundle.lines().find(|line| line.starts_with("extra "))?);
    let letter = |byte: u8| byte.is_ascii_alphanumeric();
    let mut places = (fact.len() / 2..fact.len()).map(|at| start + at);
    let mut bytes = bundle.as_bytes().to_vec();
    let place = places.find(|at| letter(bytes[*at]) && letter(bytes[*at] ^ 1))?;
    bytes[place] ^= 1;
    String::from_utf8(bytes).ok()
}
