//! `tally witness` with the real binary: made, run, stopped at every step of a write, and asked what it knows.

use anyhow::{Context, Result, ensure};
use bitcoin::hashes::Hash as _;
use serde_json::Value;
use std::{
    convert::Infallible,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Output, Stdio},
    time::Duration,
};
use tallystick_app::port::witness::{Witness as _, WitnessError};
use tallystick_log::*;
use tallystick_witness_client::{HttpWitness, HttpWitnessConfig};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
    time::timeout,
};

use crate::support::BINARY;

const ORIGIN: &str = "log.example/journal";
const PATIENCE: Duration = Duration::from_secs(60);
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;

/// A log below 256 leaves, which are one tile.
struct Log {
    leaves: Vec<Hash>,
    key: SigningKey,
}

impl Log {
    fn new(word: &str) -> Result<Self> {
        let key = SigningKey::try_from_seed(KeyName::try_new(ORIGIN)?, KeyKind::Note, &[1; 32])?;
        // Ten leaves are common to all.
        let leaf = |at: u8| leaf_hash(format!("{} {at}", if at < 10 { "common" } else { word }).as_bytes());
        Ok(Self { leaves: (0..200).map(leaf).collect(), key })
    }

    fn request(&self, old: u64, new: u64) -> Result<AddCheckpoint> {
        let tile = |id: TileId| Ok::<_, Infallible>(self.leaves[..usize::from(id.width())].concat());
        let mut prover = Prover::new(new, tile);
        let checkpoint = SignedCheckpoint::sign(Checkpoint::try_new(ORIGIN, new, prover.root()?)?, &self.key)?;
        let proof = if old == 0 { Vec::new() } else { prover.consistency(old)? };
        Ok(AddCheckpoint::try_new(old, proof, checkpoint)?)
    }
}

/// A witness's directory.
pub struct Home {
    dir: TempDir,
    pub vkey: VerifierKey,
}

/// A witness that runs. It is killed when this is dropped.
pub struct Running {
    child: Child,
    words: Lines<BufReader<ChildStderr>>,
    client: HttpWitness,
    /// Where it takes checkpoints.
    pub prefix: String,
}

impl Home {
    async fn make() -> Result<Self> {
        Self::of("witness.example/w1", ORIGIN, &Log::new("x")?.key.verifier().to_vkey()).await
    }

    /// A witness with this name, for one log.
    pub async fn of(name: &str, origin: &str, log: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join("passphrase"), "correct horse\n")?;
        let init = ["init", "--name", name, "--listen", "127.0.0.1:0", "--data-dir"];
        let made = tally(dir.path(), &init, true).await?;
        ensure!(made.status.success(), "{made:?}");
        let vkey = VerifierKey::parse(String::from_utf8(made.stdout)?.trim())?;
        let home = Self { dir, vkey };
        let added = home.tally(&["add-log", "--origin", origin, "--vkey", log, "--data-dir"], false).await?;
        ensure!(added.status.success() && added.stdout.is_empty(), "{added:?}");
        Ok(home)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("witness")
    }

    fn record(&self, origin: &str) -> PathBuf {
        let stem = bitcoin::hashes::sha256::Hash::hash(origin.as_bytes());
        self.data().join(format!("records/{stem}.checkpoint"))
    }

    async fn tally(&self, args: &[&str], passphrase: bool) -> Result<Output> {
        tally(self.dir.path(), args, passphrase).await
    }

    async fn status(&self) -> Result<Value> {
        let shown = self.tally(&["status", "--data-dir"], false).await?;
        ensure!(shown.status.success(), "{shown:?}");
        let status: Value = serde_json::from_slice(&shown.stdout)?;
        ensure!(status["vkey"] == self.vkey.to_vkey(), "{status}");
        Ok(status["logs"][0].clone())
    }

    pub async fn size(&self) -> Result<u64> {
        self.status().await?["size"].as_u64().context("a log has a size")
    }

    /// Starts it, to die at this point; none if it died before it was up.
    pub async fn start(&self, crash_at: &str) -> Result<Option<Running>> {
        let mut command = command(self.dir.path(), &["serve", "--log-format", "json", "--data-dir"], true);
        command.env("TALLY_CRASH_AT", crash_at).env("TALLY_LOG", "info").stderr(Stdio::piped()).stdout(Stdio::null());
        let mut child = command.spawn()?;
        let mut words = BufReader::new(child.stderr.take().context("it has a standard error")?).lines();
        while let Some(line) = timeout(PATIENCE, words.next_line()).await?? {
            let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
            if line["fields"]["message"] == "the witness is up" {
                let prefix = line["fields"]["submission_prefix"].as_str().context("it tells its address")?;
                let client = HttpWitness::try_new(HttpWitnessConfig::new(prefix, self.vkey.clone()))?;
                return Ok(Some(Running { child, words, client, prefix: prefix.to_owned() }));
            }
        }
        let status = timeout(PATIENCE, child.wait()).await??;
        ensure!(status.signal() == Some(SIGABRT), "it ended by itself: {status}");
        Ok(None)
    }
}

impl Running {
    /// Waits until it has ended, however that came.
    async fn ended(mut self) -> Result<ExitStatus> {
        // What it says to the end must go somewhere, or it would wait for a reader.
        while timeout(PATIENCE, self.words.next_line()).await??.is_some() {}
        Ok(timeout(PATIENCE, self.child.wait()).await??)
    }

    pub async fn stop(self) -> Result<()> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.context("it runs")?, rustix::process::Signal::TERM)?;
        let status = self.ended().await?;
        ensure!(status.success(), "{status}");
        Ok(())
    }

    async fn kill(mut self) -> Result<()> {
        self.child.start_kill()?;
        let status = self.ended().await?;
        ensure!(status.signal() == Some(SIGKILL), "{status}");
        Ok(())
    }
}

fn command(dir: &Path, args: &[&str], passphrase: bool) -> Command {
    let mut command = Command::new(BINARY);
    command.arg("witness").args(args).arg(dir.join("witness")).stdin(Stdio::null()).kill_on_drop(true);
    if passphrase {
        command.arg("--passphrase-file").arg(dir.join("passphrase"));
    }
    command
}

async fn tally(dir: &Path, args: &[&str], passphrase: bool) -> Result<Output> {
    Ok(timeout(PATIENCE, command(dir, args, passphrase).output()).await??)
}

fn says(output: &Output, words: &str) -> Result<()> {
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(!output.status.success() && said.contains(words), "expected {words:?}: {output:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_witness_is_stopped_at_every_step_and_never_goes_back() -> Result<()> {
    let (home, log, other) = (Home::make().await?, Log::new("one")?, Log::new("other")?);
    let witness = home.start("").await?.context("it lives")?;
    witness.client.add_checkpoint(&log.request(0, 10)?).await?;
    witness.kill().await?;
    let (mut size, mut deaths) = (10, 0);
    for point in 1..30 {
        let next = size + 6;
        let Some(witness) = home.start(&point.to_string()).await? else {
            deaths += 1;
            continue;
        };
        let answer = witness.client.add_checkpoint(&log.request(size, next)?).await;
        if let Err(error) = &answer {
            ensure!(matches!(error, WitnessError::Unavailable(_)), "{error}");
            let status = witness.ended().await?;
            ensure!(status.signal() == Some(SIGABRT), "{status}");
            deaths += 1;
        } else {
            witness.kill().await?;
        }
        let found = home.size().await?;
        ensure!(found == next || (answer.is_err() && found == size), "point {point}: {size}, then {found}");
        if found == next {
            let witness = home.start("").await?.context("it lives")?;
            let behind = witness.client.add_checkpoint(&other.request(size, next)?).await;
            ensure!(behind == Err(WitnessError::Behind { size: next }), "point {point}: {behind:?}");
            let refused = witness.client.add_checkpoint(&other.request(next, next + 1)?).await;
            ensure!(matches!(refused, Err(WitnessError::OtherHistory(_))), "point {point}: {refused:?}");
            witness.client.add_checkpoint(&log.request(next, next)?).await?;
            witness.stop().await?;
        }
        if answer.is_ok() {
            // Opening waits for the folder's names; record and mark have three steps each. Each step has a point before and
            // one after.
            ensure!(deaths == 14, "{deaths} deaths");
            return Ok(());
        }
        size = found;
    }
    anyhow::bail!("there is no end of points")
}

#[tokio::test(flavor = "multi_thread")]
async fn two_histories_are_refused_kept_and_shown() -> Result<()> {
    let (home, log, other) = (Home::make().await?, Log::new("one")?, Log::new("other")?);
    ensure!(home.size().await? == 0, "nothing was cosigned yet");
    let witness = home.start("").await?.context("it lives")?;
    let line = witness.client.add_checkpoint(&log.request(0, 20)?).await?;
    ensure!(line.name() == home.vkey.name(), "{line}");
    let refused = witness.client.add_checkpoint(&other.request(20, 20)?).await;
    ensure!(matches!(refused, Err(WitnessError::OtherHistory(_))), "{refused:?}");
    // Also while it runs.
    let status = home.status().await?;
    ensure!(status["size"] == 20 && status["two_histories"] == 1, "{status}");
    let shown = home.tally(&["evidence", "--data-dir"], false).await?;
    let piece: Value = serde_json::from_slice(&shown.stdout)?;
    ensure!(piece["verdict"] == "the log signed two trees of one size", "{piece}");
    for (signed, history) in [("cosigned", &log), ("refused", &other)] {
        let checkpoint = SignedCheckpoint::parse(piece[signed].as_str().context("a note")?.as_bytes())?;
        let root = *checkpoint.verify(log.key.verifier())?.root();
        ensure!(root == *history.request(0, 20)?.checkpoint().unverified().root(), "{signed}");
    }
    witness.stop().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_order_is_told() -> Result<()> {
    let home = Home::make().await?;
    let log = Log::new("x")?.key.verifier().to_vkey();
    let add = ["add-log", "--origin", ORIGIN, "--vkey", &log, "--data-dir"];
    says(&home.tally(&add, false).await?, "already")?;
    says(&home.tally(&["init", "--name", "w.example", "--data-dir"], true).await?, "already")?;
    let second = SigningKey::try_from_seed(KeyName::try_new("log.example/two")?, KeyKind::Note, &[2; 32])?;
    let second = second.verifier().to_vkey();
    let add_second = ["add-log", "--origin", "log.example/two", "--vkey", &second, "--data-dir"];
    let misnamed = ["add-log", "--origin", "log.example/three", "--vkey", &second, "--data-dir"];
    says(&home.tally(&misnamed, false).await?, "another name")?;

    let witness = home.start("").await?.context("it lives")?;
    says(&home.tally(&["serve", "--data-dir"], true).await?, "in use by another process")?;
    says(&home.tally(&add_second, false).await?, "in use by another process")?;
    witness.stop().await?;
    let added = home.tally(&add_second, false).await?;
    ensure!(added.status.success(), "{added:?}");

    fs::write(home.dir.path().join("passphrase"), "battery staple\n")?;
    says(&home.tally(&["serve", "--data-dir"], true).await?, "does not open the key file")?;
    fs::write(home.dir.path().join("passphrase"), "correct horse\n")?;
    let record = home.record(ORIGIN);
    let bytes = fs::read(&record)?;
    fs::write(&record, b"Nothing was cosigned yet for this log:\nanother\n")?;
    says(&home.tally(&["serve", "--data-dir"], true).await?, "damaged")?;
    says(&home.tally(&["status", "--data-dir"], false).await?, "1 records are not in order")?;
    fs::remove_file(&record)?;
    says(&home.tally(&["serve", "--data-dir"], true).await?, "there is no record")?;
    fs::write(&record, bytes)?;
    home.start("").await?.context("it lives")?.stop().await
}

/// A record that somebody overwrote with the sentence, or removed, is noticed; only an operator begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_begins_anew_by_itself() -> Result<()> {
    let (home, log) = (Home::make().await?, Log::new("one")?);
    let (record, config) = (home.record(ORIGIN), home.data().join("witness.toml"));
    let (fresh, text) = (fs::read(&record)?, fs::read_to_string(&config)?);
    let witness = home.start("").await?.context("it lives")?;
    witness.client.add_checkpoint(&log.request(0, 20)?).await?;
    witness.stop().await?;
    fs::write(&record, fresh)?;
    says(&home.tally(&["serve", "--data-dir"], true).await?, "an older record is in its place")?;
    fs::remove_file(&record)?;
    says(&home.tally(&["serve", "--data-dir"], true).await?, "add-log --begin-anew")?;
    let vkey = log.key.verifier().to_vkey();
    let add = ["add-log", "--origin", ORIGIN, "--vkey", &vkey, "--data-dir"];
    let (without, _) = text.split_once("[[log]]").context("the log is configured")?;
    fs::write(&config, without)?;
    says(&home.tally(&add, false).await?, "add-log --begin-anew")?;
    // As the message says, with the log in the configuration or without.
    for text in [without, &text] {
        fs::write(&config, text)?;
        let anew = home.tally(&[&["add-log", "--begin-anew"], &add[1..]].concat(), false).await?;
        let said = String::from_utf8_lossy(&anew.stderr);
        ensure!(anew.status.success() && said.contains("is forgotten"), "{anew:?}");
        ensure!(home.size().await? == 0, "it knows nothing of it any more");
    }
    let witness = home.start("").await?.context("it lives")?;
    witness.client.add_checkpoint(&Log::new("other")?.request(0, 30)?).await?;
    witness.stop().await
}
