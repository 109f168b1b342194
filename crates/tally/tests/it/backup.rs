//! `tally backup` and `tally restore` with the real binary, a real node and a real witness.

use anyhow::{Context, Result, ensure};
use memchr::memmem;
use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tally::{
    config::{Config, FILE},
    demo::{PASSPHRASE, Platform},
    init::lightning_dir,
    restore::log_key,
    store::JOURNAL,
};
use tallystick_bitcoin::{RpcAuth, RpcConfig};
use tallystick_lightning::{LightningNode, SQLITE_FILE};
use tallystick_log::{Checkpoint, SignedCheckpoint, SigningKey};
use tallystick_store::{StoreStatus, Unpacked, back_up, unpack};
use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use crate::driver::{Driver, End};
use crate::support::{BINARY, Theatre};
use crate::witness::Home;

const PAYOUT_SAT: u64 = 20_000;
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `tally`; answers whether it went well, and all that it said.
async fn tally(words: &[&OsStr]) -> Result<(bool, String)> {
    let mut command = Command::new(BINARY);
    command.args(words).env("TALLY_PASSPHRASE", PASSPHRASE).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(PATIENCE, command.output()).await??;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

async fn backup(dir: &Path, out: &Path) -> Result<()> {
    let (well, said) =
        tally(&["backup".as_ref(), "--data-dir".as_ref(), dir.as_ref(), "--out".as_ref(), out.as_ref()]).await?;
    ensure!(well && said.contains("verified"), "{said}");
    Ok(())
}

/// A folder with backups, and with what is made of them.
struct Shelf(TempDir);

impl Shelf {
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    async fn restore(&self, from: &str, to: &str, more: &[&OsStr]) -> Result<(bool, String)> {
        let (from, to) = (self.path(from), self.path(to));
        let words: [&OsStr; 5] =
            ["restore".as_ref(), "--from".as_ref(), from.as_ref(), "--data-dir".as_ref(), to.as_ref()];
        tally(&[&words, more].concat()).await
    }

    /// Refused, in these words, and nothing is left of it.
    async fn refuses(&self, from: &str, more: &[&OsStr], words: &[&str]) -> Result<()> {
        let before = fs::read_dir(self.0.path())?.count();
        let (well, said) = self.restore(from, "refused", more).await?;
        ensure!(!well && words.iter().all(|word| said.contains(word)), "{from}: {said}");
        ensure!(fs::read_dir(self.0.path())?.count() == before, "{from}: something is left");
        Ok(())
    }

    async fn takes(&self, from: &str, to: &str, more: &[&OsStr], words: &[&str]) -> Result<()> {
        let (well, said) = self.restore(from, to, more).await?;
        ensure!(well && words.iter().all(|word| said.contains(word)), "{from}: {said}");
        let (sound, said) = tally(&["fsck".as_ref(), "--data-dir".as_ref(), self.path(to).as_ref()]).await?;
        ensure!(sound && said.contains("sound"), "{said}");
        Ok(())
    }

    /// Writes a checkpoint that the log signed.
    fn checkpoint(&self, key: &SigningKey, size: u64) -> Result<PathBuf> {
        let checkpoint = Checkpoint::try_new(key.verifier().name().as_str(), size, [7; 32])?;
        let path = self.path(&format!("checkpoint-{size}"));
        fs::write(&path, SignedCheckpoint::sign(checkpoint, key)?.to_string())?;
        Ok(path)
    }
}

fn facts(dir: &Path) -> Result<u64> {
    Ok(StoreStatus::of_sqlite(&dir.join(JOURNAL))?.facts)
}

/// Posts a task, and waits until the witness has seen all that is in the journal.
async fn go_on(theatre: &Theatre, home: &Home) -> Result<()> {
    theatre.stage.post("One more", &[PAYOUT_SAT], "REFUND").await?;
    let dir = theatre.stage.platform.dir();
    theatre.stage.until("the witness has seen it", async || Ok(home.size().await? == facts(dir)?)).await
}

/// A node that went back to an older journal ends, and says why.
async fn is_caught(dir: &Path) -> Result<()> {
    let words: [&OsStr; 3] = ["serve".as_ref(), "--data-dir".as_ref(), dir.as_ref()];
    let (well, said) = tally(&words).await?;
    ensure!(!well && said.contains("knows a tree of"), "{said}");
    ensure!(!said.contains("the Lightning node is up"), "its channels were opened: {said}");
    Ok(())
}

/// The journal comes from a backup, and the channels from the old directory: with what its killed node wrote last.
async fn goes_on(theatre: &mut Theatre, shelf: &Shelf) -> Result<()> {
    let (dir, old) = (theatre.stage.platform.dir().to_owned(), shelf.path("old-node"));
    fs::rename(&dir, &old)?;
    let to = dir.to_str().context("UTF-8")?.to_owned();
    let written = fs::metadata(lightning_dir(&old).join(format!("{SQLITE_FILE}-wal")))?.len();
    ensure!(written > 0, "nothing is in the write-ahead log");
    let more: [&OsStr; 2] = ["--lightning".as_ref(), old.as_ref()];
    shelf.takes("new.backup", &to, &more, &["sound from the first", "has the channels of"]).await?;
    let (well, said) = shelf.restore("new.backup", "twice", &more).await?;
    ensure!(!well && said.contains("was moved away"), "{said}");
    for file in ["passphrase", "cookie"] {
        fs::copy(old.join(file), dir.join(file))?;
    }
    theatre.stage.platform.start(&[]).await?;
    theatre.stage.until_usable().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_is_backed_up_while_it_runs_and_never_put_back_unseen() -> Result<()> {
    let mut theatre = Box::pin(Theatre::open(&[])).await?;
    theatre.stage.platform.stop().await?;
    let (shelf, dir) = (Shelf(tempfile::tempdir()?), theatre.stage.platform.dir().to_owned());
    let key = log_key(&Config::read(&dir)?, &lightning_dir(&dir), PASSPHRASE)?;
    let log = key.verifier();
    // It names no witness.
    backup(&dir, &shelf.path("before.backup")).await?;
    let home = Home::of("witness.example/w1", log.name().as_str(), &log.to_vkey()).await?;
    let witness = home.start("").await?.context("it lives")?;
    let text = fs::read_to_string(dir.join(FILE))?;
    let named = format!("[[log.witnesses]]\nurl = \"{}\"\nvkey = \"{}\"\n", witness.prefix, home.vkey.to_vkey());
    let named = text.replace("# witnesses_needed = 2\n", &named).replace("# interval_ms = 1000", "interval_ms = 100");
    ensure!(named.contains("[[log.witnesses]]\nurl") && named.contains("\ninterval_ms"), "{named}");
    fs::write(dir.join(FILE), &named)?;
    theatre.stage.platform.start(&[]).await?;
    theatre.stage.until_usable().await?;

    go_on(&theatre, &home).await?;
    backup(&dir, &shelf.path("old.backup")).await?;
    let old = home.size().await?;
    Box::pin(Driver::new(&theatre.stage).run(End::Paid, &[PAYOUT_SAT])).await?;
    go_on(&theatre, &home).await?;
    let new = home.size().await?;
    ensure!(old < new, "{old}, {new}");
    backup(&dir, &shelf.path("new.backup")).await?;
    backup(&dir, &shelf.path("new.backup")).await?;
    theatre.stage.platform.kill().await?;
    let before = StoreStatus::of_sqlite(&dir.join(JOURNAL))?;

    let told = format!("knows a tree of {new} facts, and this journal has {old}");
    shelf.refuses("old.backup", &[], &[&told, "witness.example/w1", "log.rollback", "--force-rollback"]).await?;
    let force: &OsStr = "--force-rollback".as_ref();
    shelf.takes("old.backup", "forced", &[force], &["warning", &told]).await?;
    is_caught(&shelf.path("forced")).await?;
    // It is told before anything is asked.
    let (well, said) = shelf.restore("new.backup", "forced", &[]).await?;
    ensure!(!well && said.contains("is not empty (restore.not_empty)"), "{said}");
    let (later, forged) = (shelf.checkpoint(&key, new + 50)?, shelf.checkpoint(&key, 1)?);
    let checkpoint: &OsStr = "--checkpoint".as_ref();
    let more = format!("is the checkpoint of a tree of {} facts", new + 50);
    shelf.refuses("new.backup", &[checkpoint, later.as_ref()], &[&more, "log.rollback"]).await?;
    shelf
        .refuses("new.backup", &[checkpoint, forged.as_ref(), force], &["another history", "restore.other_history"])
        .await?;
    let mut bytes = fs::read(shelf.path("new.backup"))?;
    let at = memmem::find(&bytes, b"The configuration of this").context("the configuration is in it")?;
    bytes[at] ^= 1;
    fs::write(shelf.path("bent.backup"), bytes)?;
    shelf.refuses("bent.backup", &[force], &["does not hold what was backed up", "store.corrupt"]).await?;

    // Whoever has no passphrase can make a backup that is whole.
    forge(&shelf)?;
    shelf.refuses("forged.backup", &[force], &["somebody changed what it holds", "restore.forged"]).await?;
    let operator = Config::read(&dir)?.api.operators.first().context("an operator")?.to_string();
    shelf.takes("before.backup", "unwitnessed", &[], &["It has no witnesses", &operator]).await?;
    let (url, vkey) = (witness.prefix.clone(), home.vkey.to_vkey());
    let named: [&OsStr; 3] = ["--witness".as_ref(), url.as_ref(), vkey.as_ref()];
    shelf.refuses("before.backup", &named, &["knows a tree of", "log.rollback"]).await?;

    goes_on(&mut theatre, &shelf).await?;
    ensure!(StoreStatus::of_sqlite(&dir.join(JOURNAL))?.facts >= before.facts, "facts were lost");
    let seeds = [&shelf.path("old-node"), &dir].map(|dir| LightningNode::reveal_seed(&lightning_dir(dir), PASSPHRASE));
    let [first, second] = seeds;
    ensure!(*first? == *second?, "another seed");
    Box::pin(Driver::new(&theatre.stage).run(End::Paid, &[PAYOUT_SAT])).await?;
    go_on(&theatre, &home).await?;

    witness.stop().await?;
    let silent = ["witness.unavailable", "only 0 of 1 witnesses", "restore.unseen"];
    shelf.refuses("new.backup", &[], &silent).await?;
    shelf.takes("new.backup", "unseen", &[force], &silent).await?;
    theatre.close().await
}

/// A backup without its witness and with a seal of its own, as anybody can make one.
fn forge(shelf: &Shelf) -> Result<()> {
    let journal = shelf.path("forged.sqlite");
    let Unpacked { mut enclosed, code, .. } = unpack(&shelf.path("new.backup"), &journal)?;
    let config = enclosed.iter_mut().find(|one| one.name == FILE).context("the configuration is in it")?;
    let text = String::from_utf8(config.bytes.clone())?;
    let (before, section) = text.split_once("\n[[log.witnesses]]\n").context("a witness is named")?;
    let rest: Vec<&str> = section.lines().skip_while(|line| !line.starts_with("vkey")).skip(1).collect();
    config.bytes = format!("{before}\n{}\n", rest.join("\n")).into();
    back_up(&journal, &shelf.path("forged.backup"), &enclosed, |_| code, |_, _| ())?;
    fs::remove_file(journal)?;
    Ok(())
}

/// A chain source that nobody asks.
fn nowhere() -> RpcConfig {
    let auth = RpcAuth::UserPass { user: "u".to_owned(), password: "p".to_owned() };
    RpcConfig::new("http://127.0.0.1:1".to_owned(), auth)
}

/// A node that has never run: its read model is not whole, and its first start makes it.
#[tokio::test]
async fn a_new_node_is_restored_without_its_read_model() -> Result<()> {
    let shelf = Shelf(tempfile::tempdir()?);
    let node = Platform::init(Path::new(BINARY), shelf.0.path(), &nowhere())?;
    let fsck = async || tally(&["fsck".as_ref(), "--data-dir".as_ref(), node.dir().as_ref()]).await;
    let (well, said) = fsck().await?;
    ensure!(
        !well && said.contains("the store is not available") && !node.dir().join("journal.sqlite").exists(),
        "{said}"
    );
    tally(&["store".as_ref(), "migrate".as_ref(), "--data-dir".as_ref(), node.dir().as_ref()]).await?;
    let (well, said) = fsck().await?;
    ensure!(!well && said.contains("the node makes it again"), "{said}");
    // The journal lost what a node in this directory knew.
    let known = node.dir().join(tally::mark::FILE);
    fs::write(&known, format!("5 {}\n", "07".repeat(32)))?;
    let (well, said) = fsck().await?;
    ensure!(!well && said.contains("this node knew fact 5") && said.contains("log.rollback"), "{said}");
    fs::remove_file(known)?;
    // The folder is made.
    backup(node.dir(), &shelf.path("backups")).await?;
    let file = fs::read_dir(shelf.path("backups"))?.next().context("a backup")??.path();
    fs::rename(file, shelf.path("one.backup"))?;
    fs::write(shelf.path("else"), "not a backup")?;
    let (data, out) = (node.dir(), shelf.path("else"));
    let words: [&OsStr; 5] = ["backup".as_ref(), "--data-dir".as_ref(), data.as_ref(), "--out".as_ref(), out.as_ref()];
    let (well, said) = tally(&words).await?;
    ensure!(!well && said.contains("cannot make the folder"), "{said}");
    ensure!(fs::read_to_string(&out)? == "not a backup");
    let (well, said) = shelf.restore("one.backup", "new", &[]).await?;
    ensure!(well && said.contains("made again at the first start") && said.contains("no witnesses"), "{said}");
    let wrong = shelf.path("passphrase");
    fs::write(&wrong, "another")?;
    let more: [&OsStr; 2] = ["--passphrase-file".as_ref(), wrong.as_ref()];
    shelf.refuses("one.backup", &more, &["the backup's seed", "lightning.wrong_passphrase"]).await
}

/// What is in PostgreSQL is backed up there.
#[tokio::test]
async fn a_database_is_backed_up_by_its_own_tools() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let node = Platform::init_on(Path::new(BINARY), dir.path(), &nowhere(), "host=127.0.0.1 dbname=journal")?;
    let out = dir.path().join("one.backup");
    let words: [&OsStr; 5] =
        ["backup".as_ref(), "--data-dir".as_ref(), node.dir().as_ref(), "--out".as_ref(), out.as_ref()];
    let (well, said) = tally(&words).await?;
    ensure!(!well && said.contains("PostgreSQL") && said.contains("docs/runbooks/backup-and-restore.md"), "{said}");
    ensure!(!out.exists());
    Ok(())
}
