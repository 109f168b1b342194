//! `tally fsck`.

use anyhow::{Context, Result, anyhow};
use std::{
    io::IsTerminal,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};
use tallystick_app::{
    Clock as _, SystemClock,
    cause::Trusted,
    fsck::{Behind, ClockSet, Fsck, Progress, Sound},
    port::journal::StoreError,
};
use tallystick_core::{Coded, NostrKey};
use tallystick_graphql::Requests;
use tallystick_lightning::{LightningNode, PlainReader, SEED_FILE};
use tallystick_log::{Checkpoint, NOTE_BYTES_MAX, VerifierKey, WitnessPolicy};

use super::read;
use crate::{
    cli::FsckArgs,
    config::Config,
    init::lightning_dir,
    mark, newest, published,
    secret::{self, PASSPHRASE_VAR},
    store,
};

/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);

/// `tally fsck`. Changes nothing, and looks at one moment of a node that may go on.
///
/// # Errors
/// The first damage, with its code.
pub async fn fsck(mut args: FsckArgs) -> Result<()> {
    let config = Config::read(&args.data_dir)?;
    // Before the moment that is looked at: the node may go on meanwhile, and know more.
    let (known, kept) = (mark::read(&args.data_dir)?, published::read(&args.data_dir)?);
    let store = store::snapshot(&config).await?;
    mark::find(known, &*store).await?;
    // Keys that are named are those of a checkpoint that is there; those that the node has may not have signed one yet.
    let published = match store.log_state().await {
        Ok(state) => state.published.is_some(),
        // What is damaged the check itself tells.
        Err(StoreError::Corrupt(_)) => true,
        Err(error) => return Err(error.into()),
    };
    let own = own_keys(&args, &config)?;
    let policy = match args.trust.witnesses.is_empty() {
        true if published => config.log.policy(args.trust.witnesses_needed)?,
        _ => args.trust.policy()?,
    };
    if let Some((node, log)) = own {
        args.parties.node_key.get_or_insert(node);
        args.log = args.log.or(Some(log).filter(|_| published || !args.checkpoints.is_empty()));
    }
    let trusted = args.parties.trusted(args.log.as_ref());
    let fsck = Fsck {
        store,
        requests: Arc::new(Requests),
        invoices: Arc::new(PlainReader { network: config.network }),
        trusted,
        checkpoints: checkpoints(&args.checkpoints, args.log.as_ref())?,
        published: kept.map(|kept| kept.unverified().clone()),
        key: args.log,
        policy,
        now: SystemClock.now(),
    };
    let sound = run(&fsck).await;
    tell_unchecked(&fsck, published);
    sound
}

/// The node's key and its log's, if the seed is there and can be opened without asking.
fn own_keys(args: &FsckArgs, config: &Config) -> Result<Option<(NostrKey, VerifierKey)>> {
    let (dir, file) = (lightning_dir(&args.data_dir), args.passphrase_file.as_deref());
    let can = file.is_some() || std::env::var_os(PASSPHRASE_VAR).is_some();
    if !can || !dir.join(SEED_FILE).is_file() {
        return Ok(None);
    }
    let (key, seed) = LightningNode::keys(&dir, &secret::passphrase(file, false)?).context("the node's seed")?;
    let log = config.log.key(key.public(), &seed)?.verifier().clone();
    Ok(Some((key.public(), log)))
}

fn tell_unchecked(fsck: &Fsck, published: bool) {
    if !published {
        say!("not checked: a checkpoint, as none is published yet");
    } else if fsck.key.is_none() {
        say!("not checked: who signed the checkpoint (--log, or --passphrase-file)");
    }
    if published && fsck.policy.k() == 0 {
        say!("not checked: who cosigned the checkpoint, as [log] names no witnesses (--witness)");
    }
    if fsck.trusted.node.is_none() {
        say!("not checked: whether the node's words are by its own key, but they are all by one (--node-key)");
    }
    if fsck.checkpoints.is_empty() {
        say!("not checked: whether somebody has seen more, or something else (--checkpoint)");
    }
}

/// Checks all that can be checked without anybody's word. Answers whether a checkpoint is published: none has to be, after a log
/// was wiped and made again.
///
/// # Errors
/// The first damage, with its code.
pub async fn whole(config: &Config) -> Result<bool> {
    let kept = published::read(&config.data_dir)?.map(|kept| (published::BY.to_owned(), kept.unverified().clone()));
    let fsck = Fsck {
        store: store::snapshot(config).await?,
        requests: Arc::new(Requests),
        invoices: Arc::new(PlainReader { network: config.network }),
        trusted: Trusted::default(),
        checkpoints: kept.into_iter().collect(),
        published: None,
        key: None,
        policy: WitnessPolicy::none(),
        now: SystemClock.now(),
    };
    run(&fsck).await?;
    Ok(fsck.store.log_state().await?.published.is_some())
}

async fn run(fsck: &Fsck) -> Result<()> {
    let (start, mut told) = (Instant::now(), Instant::now());
    let interactive = std::io::stderr().is_terminal();
    let outcome = fsck
        .run(|Progress { what, done }| {
            if told.elapsed() >= TELL {
                told = Instant::now();
                let end = if interactive { '\r' } else { '\n' };
                eprint!("{done} {what} checked{end}");
            }
        })
        .await;
    let Sound { facts, erased, signatures, logged, published, behind, tasks, effects, evidence, clock } =
        outcome.map_err(|damage| anyhow!("{damage} ({}); {RUNBOOK} tells what to do", damage.code()))?;
    say!(
        "sound: {facts} facts, {signatures} signatures, {tasks} tasks, {effects} effects, {erased} facts erased on purpose"
    );
    if evidence > 0 {
        say!(
            "the vault: {evidence} pieces of evidence with the bytes that their hashes name, and keys as they were given"
        );
        say!("not checked: what those keys open, and who gave them, which is no fact: only their readers can tell");
    }
    say!("the log: {logged} of {facts} facts in its tree, {published} under its published checkpoint");
    if let Some(behind) = behind {
        tell_behind(behind);
    }
    if let Some(clock) = clock {
        tell_clock(clock);
    }
    say!("checked in {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// No damage, as far as anybody can tell from the store alone.
fn tell_behind(behind: Behind) {
    let how = match behind {
        Behind::Tree(seq) => format!("fact {seq} is more than ten minutes older than the newest, and not in its tree"),
        Behind::Checkpoint => "the first fact is more than ten minutes older than the newest, and no checkpoint is \
             published"
            .to_owned(),
    };
    say!(
        "note: the log is behind: {how}. If no node could publish for so long, start one. Else it was wiped: a checkpoint \
         that others kept (--checkpoint, with --log) tells what it was, and the next start makes it again; {RUNBOOK}"
    );
}

/// No damage either: any time is possible while a clock is set wrongly.
fn tell_clock(clock: ClockSet) {
    let how = match clock {
        ClockSet::Ahead(id) => format!("the request {id} is remembered for longer than any that has come"),
        ClockSet::Back(id) => format!("the request {id} is remembered, and later ones are forgotten"),
    };
    say!(
        "note: {how}. The clock of a node's machine was set back by more than ten minutes, or somebody wrote there; facts and \
         money do not depend on it, and it goes with time; {RUNBOOK}"
    );
}

/// Where it is told what to do about damage.
const RUNBOOK: &str = "docs/runbooks/fsck-found-something.md";

/// Checkpoints that somebody kept, each with its file's name.
fn checkpoints(paths: &[PathBuf], log: Option<&VerifierKey>) -> Result<Vec<(String, Checkpoint)>> {
    let log = || log.context("--checkpoint needs --log, or --passphrase-file");
    let one = |path: &PathBuf| {
        let name = path.display().to_string();
        let kept = newest::checkpoint(&read(path, NOTE_BYTES_MAX as u64)?, log()?);
        Ok((name.clone(), kept.with_context(|| name)?))
    };
    paths.iter().map(one).collect()
}
