//! `tally hammer`: a load generator that believes nothing it is answered.
//!
//! ```text
//! requesters ──signed requests──▶ node ──▶ journal ──▶ log
//!     │ each reply is checked                           │ checkpoint, tiles, entries
//!     ▼                                                 ▼
//!   ledger: what was acknowledged ◀──── what the log holds: follower
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | `requester` | posts and cancels tasks, sends some requests twice, checks every reply |
//! | `follow` | checks each checkpoint against the one before, and every entry |
//! | `files` | fetches the log's files |
//! | `ledger` | what was acknowledged, and what the log holds of it |
//! | `settle` | waits until the log holds it all, and verifies proofs |
//! | `run` | what these share |
//! | `numbers`, `report` | what was measured |
//! | [`violation`] | the promises that it looks after |
//!
//! It uses the public API alone, with fresh keys. Of its tasks those that were not cancelled stay open for an hour.

mod files;
mod follow;
mod ledger;
mod numbers;
mod report;
mod requester;
mod run;
mod settle;
pub mod violation;

use anyhow::{Context, Result, anyhow};
use std::{
    io::IsTerminal,
    pin::pin,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};
use tallystick_core::Coded;
use tallystick_graphql::client::Options;
use tokio::task::JoinSet;

pub use report::Report;
pub use violation::Violation;

use crate::{
    ask::{Api, print},
    cli::HammerArgs,
    serve::exit_when_told_again,
    signal::StopSignals,
};
use files::Files;
use follow::{Follower, Signers};
use requester::Requester;
use run::{Run, Stop};

/// For how long tasks are posted if nothing else is said.
const SECS: u64 = 10;
/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);

/// `tally hammer`. SIGINT and SIGTERM end the posting, and what was written is checked; a second one ends the process.
///
/// # Errors
/// The first [`Violation`], or why the node cannot be loaded.
pub async fn run(args: &HammerArgs) -> Result<()> {
    let mut signals = StopSignals::listen()?;
    let stop = async move {
        signals.heard().await;
        tokio::spawn(exit_when_told_again(signals));
    };
    let done = hammer(args, stop, &mut tell).await;
    clear();
    let report = done.map_err(|error| match error.downcast::<Violation>() {
        Ok(violation) => anyhow!("violation: {violation} ({})", violation.code()),
        Err(error) => error,
    })?;
    print::until_closed(print::line(report))
}

/// Loads a node until `stop` or the end that the arguments name, checks everything, and answers what was measured.
/// `tell` hears of the progress.
///
/// # Errors
/// The first [`Violation`], or why the node cannot be loaded.
pub async fn hammer(args: &HammerArgs, stop: impl Future<Output = ()>, tell: &mut dyn FnMut(&str)) -> Result<Report> {
    let signers = Signers { log: args.log.clone(), policy: args.trust.policy()? };
    let run = Arc::new(Run::new(signers, args.tasks));
    let requesters = (0..args.clients).map(|_| api(args)).zip(0..);
    let requesters = requesters.map(|(api, number)| Ok(Requester { api: api?, number, run: Arc::clone(&run) }));
    let requesters = requesters.collect::<Result<Vec<_>>>()?;
    let files = Files::new(api(args)?.client().clone(), Arc::clone(&run.numbers));
    let (signers, ledger, numbers) = (Arc::clone(&run.signers), Arc::clone(&run.ledger), Arc::clone(&run.numbers));
    let mut follower = Box::pin(Follower::begin(files, signers, ledger, numbers)).await?;

    let start = Instant::now();
    load(args, &run, &requesters, &mut follower, stop, tell).await?;
    let took = start.elapsed();
    if let Some(last) = requesters.first() {
        last.close().await?;
    }
    tell("posted; waiting for the log to hold everything");
    Box::pin(settle::logged(&run, &mut follower, Duration::from_secs(args.settle_secs))).await?;
    tell("fetching and verifying proofs");
    let proven = Box::pin(settle::proven(&run, &requesters, args.proofs)).await?;
    Ok(Report::new(&run, took, proven))
}

/// A client with a key that is made for this run.
fn api(args: &HammerArgs) -> Result<Api> {
    let options = Options { insecure: args.insecure, ..Options::default() };
    Api::with_options(&args.url, nostr::key::Keys::generate(), &options)
        .with_context(|| format!("cannot use the node's address {:?} (--url or TALLY_URL)", args.url))
}

/// All requesters at once, and the log followed beside them, until they are done. Whatever fails first ends it.
async fn load(
    args: &HammerArgs,
    run: &Arc<Run>,
    requesters: &[Requester],
    follower: &mut Follower,
    stop: impl Future<Output = ()>,
    tell: &mut dyn FnMut(&str),
) -> Result<()> {
    let secs = args.secs.or_else(|| args.tasks.is_none().then_some(SECS));
    let time_is_up = async {
        match secs {
            Some(secs) => tokio::time::sleep(Duration::from_secs(secs)).await,
            None => std::future::pending().await,
        }
    };
    let (call, heard) = Stop::new();
    let mut working = JoinSet::new();
    for requester in requesters {
        working.spawn(requester.clone().work(heard.clone()));
    }
    let mut ending = pin!(async {
        tokio::select! {
            () = stop => {}
            () = time_is_up => {}
        }
    });
    let mut following = Box::pin(follower.follow());
    let mut told = tokio::time::interval(TELL);
    let mut stopping = false;
    loop {
        tokio::select! {
            done = working.join_next() => match done {
                Some(done) => done.context("a requester broke off")??,
                None => return Ok(()),
            },
            failed = &mut following => failed?,
            () = &mut ending, if !stopping => {
                stopping = true;
                call.send_replace(true);
            }
            _ = told.tick() => {
                let (answered, size) = (run.numbers.answer_count(), run.numbers.size.load(Ordering::Relaxed));
                let entries = run.numbers.entries.load(Ordering::Relaxed);
                tell(&format!("{answered} requests answered, {entries} entries checked, {size} facts in the log"));
            }
        }
    }
}

/// Progress on a terminal is one line, which goes when it is over.
#[allow(clippy::print_stderr, reason = "the standard output is the report alone")]
fn clear() {
    if std::io::stderr().is_terminal() {
        eprint!("\x1b[K");
    }
}

#[allow(clippy::print_stderr, reason = "the standard output is the report alone")]
fn tell(progress: &str) {
    let end = if std::io::stderr().is_terminal() { "\x1b[K\r" } else { "\n" };
    eprint!("{progress}{end}");
}
