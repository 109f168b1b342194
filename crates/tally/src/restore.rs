//! `tally restore`: a node's directory from a backup.
//!
//! ```text
//! backup ──unpack──▶ a folder beside the directory ──▶ seed opens, and vouches ──▶ fsck ──▶ who has seen more? ──▶ rename
//! ```
//! Until the last step there is nothing in the node's directory; whatever is refused leaves nothing behind. Channels of
//! the old directory, if they are wanted, get their names after that.
#![allow(clippy::print_stderr, reason = "it tells what it does")]

mod channels;
mod refusal;

use anyhow::{Context, Result, bail};
use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    path::Path,
    sync::Arc,
};
use tallystick_app::{
    Clock as _, SystemClock,
    cause::Trusted,
    fsck::{Damage, Fsck},
    port::{journal::Head, tasks::TaskRebuild as _, witness::Witness},
};
use tallystick_graphql::Requests;
use tallystick_lightning::{BackupKey, LightningNode, PlainReader, SEED_FILE};
use tallystick_log::{Checkpoint, NOTE_BYTES_MAX, SigningKey, WitnessPolicy};
use tallystick_store::{Enclosed, SqliteSnapshot, SqliteStore, unpack};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::{
    cli::RestoreArgs,
    config::{Config, FILE},
    init::lightning_dir,
    log::{LogSection, WitnessSection},
    mark,
    newest::{self, Heard, Held},
    owner::Crash,
    secret,
    store::JOURNAL,
};

use channels::Channels;
pub use channels::restoring;
pub use refusal::Refusal;
pub(crate) use refusal::told;

/// `tally restore`.
///
/// # Errors
/// If the directory is not empty, the backup is damaged, the passphrase does not open its seed, somebody has seen more
/// than it holds, or the old channels are in use.
pub async fn run(args: RestoreArgs) -> Result<()> {
    let (data_dir, crash) = (std::path::absolute(&args.data_dir)?, Crash::default());
    if let Some(old) = &args.lightning
        && channels::resume(old, &data_dir)?
    {
        say!("{} has the channels of {}: the restore has come to its end", data_dir.display(), old.display());
        return Ok(());
    }
    must_be_empty(&data_dir)?;
    let channels = args.lightning.as_deref().map(Channels::take).transpose()?;
    must_be_a_file(&args.from)?;
    let passphrase = secret::passphrase(args.passphrase_file.as_deref(), false)?;
    let stage = stage(&data_dir)?;
    let (from, journal) = (args.from.clone(), stage.path().join(JOURNAL));
    let unpacked = tokio::task::spawn_blocking(move || unpack(&from, &journal)).await?.map_err(told)?;
    let enclosed = &unpacked.enclosed;
    // First of all: nothing else in it is believed.
    let seed = open_seed(&stage, &passphrase, enclosed)?;
    if !BackupKey::of(&seed).vouches_for(unpacked.digest, &unpacked.code) {
        return Err(told(Refusal::Forged));
    }
    let in_file = || told(Refusal::Config(FILE.to_owned()));
    let text = String::from_utf8(take(enclosed, FILE)?.to_vec()).with_context(in_file)?;
    let config = Config::parse(&text, stage.path()).with_context(in_file)?;
    let key = reseal(&stage, &passphrase, &seed, args.birth_height, &config)?;
    if let Some(channels) = &channels {
        channels.copy(stage.path(), &seed)?;
    }
    let head = check(&stage, &config, &key, &args).await?;
    mark::write(&stage.path().join(mark::FILE), head)?;
    secret::write_private(&stage.path().join(FILE), &text)?;
    crash.pass("before the directory gets its name");
    settle(stage, &data_dir)?;
    say!("{} has {} facts, sound from the first, and the seed", data_dir.display(), head.seq);
    match (channels, &args.lightning) {
        (Some(channels), Some(old)) => {
            channels.hand_over(&data_dir, &crash)?;
            say!("It has the channels of {}, which can run no node any more.", old.display());
        }
        _ => say!(
            "It has no channels. If the old node's directory survived whole, and nothing has run on a copy of it since, do \
            not start this one: delete it, and restore again with --lightning <that directory>. Never copy {} by hand: the \
            newest state may be in files beside it. Else what is on the chain comes back by the seed.",
            Path::new("lightning").join(tallystick_lightning::SQLITE_FILE).display()
        ),
    }
    introduce(&config);
    say!("Check {} before the first start: paths, addresses, passwords.", data_dir.join(FILE).display());
    Ok(())
}

/// Who has a say in the restored node.
fn introduce(config: &Config) {
    for operator in &config.api.operators {
        say!("operator  {operator} (at the first start; `tally admin roles` tells who is one now)");
    }
    for witness in &config.log.witnesses {
        say!("witness   {} {}", witness.url, witness.vkey);
    }
    if config.api.operators.is_empty() {
        say!("Its configuration names no operators.");
    }
    if config.log.witnesses.is_empty() {
        say!("It has no witnesses.");
    }
}

impl RestoreArgs {
    /// The witnesses that were named beside those of the configuration.
    fn named(&self) -> Result<Vec<Arc<dyn Witness>>> {
        let sections = self.witnesses.chunks_exact(2).map(|pair| WitnessSection {
            url: pair[0].clone(),
            vkey: pair[1].clone(),
            insecure: false,
        });
        LogSection { witnesses: sections.collect(), ..LogSection::default() }.witnesses().context("--witness")
    }
}

fn must_be_empty(data_dir: &Path) -> Result<()> {
    match fs::read_dir(data_dir) {
        Ok(entries) => match entries.count() {
            0 => Ok(()),
            _ => Err(told(Refusal::NotEmpty(data_dir.display().to_string()))),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", data_dir.display())),
    }
}

/// Before the passphrase is asked for.
fn must_be_a_file(from: &Path) -> Result<()> {
    match fs::metadata(from) {
        Ok(found) if found.is_dir() => bail!("--from {}: this is a folder; name a backup in it", from.display()),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("--from {}: there is no such file", from.display()),
        Err(error) => Err(error).with_context(|| format!("--from {}", from.display())),
    }
}

/// A folder of its owner's alone, on the directory's own file system.
fn stage(data_dir: &Path) -> Result<TempDir> {
    let parent = data_dir.parent().context("the root is no node's directory")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    let stage = tempfile::Builder::new().prefix(".tally-restore-").tempdir_in(parent);
    stage.with_context(|| format!("cannot write to {}", parent.display()))
}

fn take<'a>(enclosed: &'a [Enclosed], name: &str) -> Result<&'a [u8]> {
    let found = enclosed.iter().find(|one| one.name == name);
    Ok(&found.ok_or_else(|| told(Refusal::Incomplete(name.to_owned())))?.bytes)
}

/// Opens the seed.
fn open_seed(stage: &TempDir, passphrase: &str, enclosed: &[Enclosed]) -> Result<Zeroizing<[u8; 32]>> {
    let dir = stage.path().join("seed");
    secret::make_private_dir(&dir)?;
    fs::write(dir.join(SEED_FILE), take(enclosed, SEED_FILE)?)?;
    let seed = LightningNode::reveal_seed(&dir, passphrase).map_err(told).context("the backup's seed")?;
    fs::remove_dir_all(&dir)?;
    Ok(seed)
}

/// Seals the seed again as that of an earlier node: the wallet looks for its coins. Answers the log's key.
fn reseal(stage: &TempDir, passphrase: &str, seed: &[u8; 32], birth: u32, config: &Config) -> Result<SigningKey> {
    let dir = lightning_dir(stage.path());
    secret::make_private_dir(&dir)?;
    LightningNode::restore(&dir, passphrase, *seed, birth)?;
    log_key(config, &dir, passphrase)
}

/// The key of a node's log.
///
/// # Errors
/// If the passphrase does not open the seed in its Lightning node's directory.
pub fn log_key(config: &Config, lightning: &Path, passphrase: &str) -> Result<SigningKey> {
    let (node, seed) = LightningNode::keys(lightning, passphrase)?;
    config.log.key(node.public(), &seed)
}

/// Checks the journal from its first fact, and that nobody has seen more of it. Answers its last one.
async fn check(stage: &TempDir, config: &Config, key: &SigningKey, args: &RestoreArgs) -> Result<Head> {
    let store = SqliteStore::open(stage.path().join(JOURNAL)).map_err(told)?;
    let snapshot = SqliteSnapshot::open(&stage.path().join(JOURNAL)).map_err(told)?;
    let outcome = check_store((&store, snapshot), config, key, args).await;
    store.close().await;
    outcome
}

async fn check_store(
    (store, snapshot): (&SqliteStore, SqliteSnapshot),
    config: &Config,
    key: &SigningKey,
    args: &RestoreArgs,
) -> Result<Head> {
    let witnesses = config.log.witnesses()?;
    // Which witnesses cosigned is not asked here: they may have been others when the backup was made.
    let policy = WitnessPolicy::try_new(0, Vec::new())?;
    let log = key.verifier();
    let fsck = Fsck {
        store: Arc::new(snapshot),
        requests: Arc::new(Requests),
        invoices: Arc::new(PlainReader { network: config.network }),
        // Who was an operator once is not known here.
        trusted: Trusted { node: crate::check::node_of(log), ..Trusted::default() },
        key: Some(log.clone()),
        policy,
        checkpoints: Vec::new(),
        published: None,
        now: SystemClock.now(),
    };
    let outcome = fsck.run(|_| ()).await;
    drop(fsck);
    match outcome {
        Ok(_) => {}
        // It was being made, or an older program made it: it is thrown away, and the first start makes it from the facts.
        Err(Damage::Rows(why)) => {
            eprintln!("note: the read model is made again at the first start: {why}");
            store.clear_rows().await?;
        }
        Err(damage) => return Err(told(damage).context("the backup")),
    }

    let checkpoints = args.checkpoints.iter().map(|path| {
        let name = path.display().to_string();
        let read = newest::checkpoint(&read(path)?, log).with_context(|| name.clone());
        Ok((name, read?))
    });
    let checkpoints: Vec<(String, Checkpoint)> = checkpoints.collect::<Result<_>>()?;
    let sizes: Vec<u64> = checkpoints.iter().map(|(_, checkpoint)| checkpoint.size()).collect();
    let held = Held::read(store, &sizes).await?;
    let mut heard = Heard::default();
    held.compare(&checkpoints, &mut heard)?;
    let (count, needed) = (witnesses.len(), config.log.needed());
    held.ask(witnesses, key, &mut heard).await?;
    eprint!("{heard}");
    let mut named = Heard::default();
    held.ask(args.named()?, key, &mut named).await?;
    eprint!("{named}");
    if count == 0 && args.witnesses.is_empty() && checkpoints.is_empty() {
        eprintln!("warning: this node has no witnesses: nobody can tell whether this backup is the newest");
    }
    // Each of those that were named must answer.
    match heard.check(count, needed).and_then(|()| named.check(args.witnesses.len() / 2, 1)) {
        Ok(()) => {}
        Err(why) if args.force_rollback => eprintln!(
            "warning: {why:#}\nwarning: going on, as --force-rollback says. What was acknowledged after this backup is \
            lost, and may be done again or never; a witness that has seen more cosigns nothing of this log any more, and \
            stops the node (log.rollback)"
        ),
        Err(why) => return Err(why.context("not restored; --force-rollback would go on all the same")),
    }
    Ok(store.head().await?)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let context = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    let limit = NOTE_BYTES_MAX as u64;
    File::open(path).with_context(context)?.take(limit + 1).read_to_end(&mut bytes).with_context(context)?;
    Ok(bytes)
}

/// Makes everything durable, and gives it its name: only an empty directory makes room for it.
fn settle(stage: TempDir, data_dir: &Path) -> Result<()> {
    for path in [stage.path().join(JOURNAL), lightning_dir(stage.path()), stage.path().to_owned()] {
        File::open(&path)
            .and_then(|file| file.sync_all())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    fs::rename(stage.path(), data_dir)
        .with_context(|| format!("cannot make {} of {}", data_dir.display(), stage.path().display()))?;
    // It has another name now.
    drop(stage.keep());
    let parent = data_dir.parent().context("the root is no node's directory")?;
    File::open(parent)
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("cannot write {}", parent.display()))
}
