//! `tally fsck` and `tally verify`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "they tell what they found")]

use anyhow::{Context, Result, anyhow, bail};
use std::{
    fs::File,
    io::{IsTerminal, Read},
    path::Path,
    time::{Duration, Instant},
};
use tallystick_app::fsck::{Fsck, Progress, Sound};
use tallystick_bundle::{FactBundle, Proven};
use tallystick_core::{Coded, canonical};
use tallystick_escrow::Event;
use tallystick_log::{BUNDLE_BYTES_MAX, VerifierKey, WitnessPolicy, anchor::Headers};

use crate::{
    cli::{FsckArgs, Trust, VerifyArgs},
    config::Config,
    store::NodeStore,
};

/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);
/// More headers than Bitcoin will have for long.
const HEADERS_BYTES_MAX: u64 = 80 * 4_000_000;

/// `tally fsck`.
///
/// # Errors
/// The first damage, with its code.
pub async fn fsck(args: FsckArgs) -> Result<()> {
    let store = NodeStore::open(&Config::read(&args.data_dir)?).await?;
    let fsck = Fsck {
        journal: store.journal(),
        log: store.log(),
        rows: store.rows(),
        key: args.log,
        policy: args.trust.policy()?,
    };
    let pinned = fsck.key.is_some();
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
    store.close().await;
    if !pinned {
        println!("who signed the checkpoint was not checked: give --log");
    }
    let Sound { facts, erased, signatures, logged, published, tasks } =
        outcome.map_err(|damage| anyhow!("{damage} ({})", damage.code()))?;
    println!("sound: {facts} facts, {signatures} signatures, {tasks} tasks, {erased} facts erased on purpose");
    println!("the log: {logged} facts in its tree, {published} under its published checkpoint");
    println!("checked in {:.1} s", start.elapsed().as_secs_f32());
    Ok(())
}

/// `tally verify`. Needs no network and no node.
///
/// # Errors
/// Why the bundle proves nothing, with its code.
pub fn verify(args: &VerifyArgs) -> Result<()> {
    let bytes = read(&args.bundle, BUNDLE_BYTES_MAX as u64)?;
    let refused = |code: tallystick_core::Code, why: String| anyhow!("the bundle proves nothing: {why} ({code})");
    let bundle = FactBundle::parse(&bytes).map_err(|error| refused(error.code(), error.to_string()))?;
    let headers = headers(args)?;
    let proven = bundle
        .verify(&args.log, &args.trust.policy()?, headers.as_ref())
        .map_err(|error| refused(error.code(), error.to_string()))?;
    tell(&proven, &args.log);
    match (&proven.anchored, bundle.has_anchor()) {
        (Some(anchored), _) => println!(
            "in Bitcoin   block {} at height {}, {} confirmations, {} s since 1970; it spends {}: whether that is the log's \
             own chain of anchors is not checked here",
            anchored.block, anchored.height, anchored.confirmations, anchored.time, anchored.seal
        ),
        (None, true) => println!("in Bitcoin   not checked: give --headers and --headers-from"),
        (None, false) => println!("in Bitcoin   not yet"),
    }
    Ok(())
}

fn tell(proven: &Proven<'_>, log: &VerifierKey) {
    let fact = proven.fact;
    println!("proven       fact {} of {}", fact.seq, log.name());
    println!("what         {} (version {} of {})", fact.kind, fact.version, fact.stream);
    println!("when         {} at block height {}", fact.recorded_at, fact.height.0);
    match proven.author {
        Some(author) => println!("caused by    a word that {author} signed"),
        None => println!("caused by    not told"),
    }
    match fact.body.content() {
        Some(content) => println!("contents     {}", words(content)),
        None => println!("contents     not told"),
    }
    println!("checkpoint   {} facts", proven.checkpoint.size());
    for cosigned in &proven.cosigned {
        println!("witness      {}, {} s since 1970", cosigned.witness, cosigned.time_s);
    }
}

/// A body in words if it is one of escrow, else as hexadecimal digits.
fn words(content: &[u8]) -> String {
    match canonical::decode::<Event>("escrow event", content) {
        Ok(event) => format!("{event:?}"),
        Err(_) => content.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn headers(args: &VerifyArgs) -> Result<Option<Headers>> {
    let (Some(path), Some(from)) = (&args.headers, args.headers_from) else { return Ok(None) };
    let bytes = read(path, HEADERS_BYTES_MAX)?;
    let easiest = bitcoin::params::Params::new(args.network).max_attainable_target;
    let headers = Headers::parse(from, &bytes, easiest);
    Ok(Some(headers.map_err(|error| anyhow!("{}: {error} ({})", path.display(), error.code()))?))
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let name = path.display();
    let source: Box<dyn Read> = match path.to_str() {
        Some("-") => Box::new(std::io::stdin()),
        _ => Box::new(File::open(path).with_context(|| format!("cannot read {name}"))?),
    };
    let mut bytes = Vec::new();
    source.take(bytes_max + 1).read_to_end(&mut bytes).with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > bytes_max {
        bail!("{name} is longer than {bytes_max} bytes");
    }
    Ok(bytes)
}

impl Trust {
    /// The policy that these keys make.
    ///
    /// # Errors
    /// If it cannot be met.
    pub(crate) fn policy(&self) -> Result<WitnessPolicy> {
        let majority = if self.witnesses.is_empty() { 0 } else { self.witnesses.len() / 2 + 1 };
        let needed = self.witnesses_needed.unwrap_or(majority);
        WitnessPolicy::try_new(needed, self.witnesses.clone())
            .with_context(|| format!("{needed} of {} witnesses", self.witnesses.len()))
    }
}
