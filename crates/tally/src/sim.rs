//! `tally sim`: plays escrow by the thousand, in virtual time, with everything going wrong that may, and checks every law
//! after every step.

use anyhow::{Result, bail};
use std::{
    io::{IsTerminal, Write},
    num::NonZeroUsize,
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};
use tallystick_sim::{Hunt, Hunted, Setup, Source, hunt, run as run_seed, shrink};

use crate::cli::SimArgs;

/// How often progress is told.
const TELL: Duration = Duration::from_secs(1);

/// `tally sim`.
///
/// # Errors
/// If a law is broken: by which seed, and its story is told before.
pub fn run(args: &SimArgs) -> Result<()> {
    let setup = Setup::shipped();
    let tasks = args.tasks.and_then(|tasks| usize::try_from(tasks).ok());
    if let Some(seed) = args.seed {
        return tell_seed(seed, tasks, args, &setup);
    }
    let begun = Instant::now();
    let asked = Hunt {
        from: args.from,
        seeds: args.seeds,
        tasks,
        threads: threads(args),
        until: args.secs.map(|secs| begun + Duration::from_secs(secs)),
    };
    let last = Mutex::new(begun);
    let is_seen = std::io::stderr().is_terminal();
    let found = hunt(&asked, &setup, |done| {
        let Ok(mut last) = last.lock() else { return };
        if is_seen && last.elapsed() >= TELL {
            *last = Instant::now();
            // Nobody to tell it to is fine.
            let _ = write!(std::io::stderr(), "\r{done} of {} seeds", args.seeds);
        }
    });
    if is_seen {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    match found.failed {
        Some(seed) => tell_seed(seed, tasks, args, &setup),
        None => {
            report(&found, &asked, begun.elapsed());
            Ok(())
        }
    }
}

fn threads(args: &SimArgs) -> usize {
    let there = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
    args.threads.and_then(|threads| usize::try_from(threads).ok()).unwrap_or_else(there)
}

fn report(found: &Hunted, asked: &Hunt, took: Duration) {
    let last = asked.from.saturating_add(found.ran).saturating_sub(1);
    let cut = if found.ran < asked.seeds { ", then the time was over" } else { "" };
    say!("{} seeds, {} to {last}, are clean in {} s{cut}", found.ran, asked.from, took.as_secs());
    let ends: Vec<String> = found.ends.iter().map(|(end, count)| format!("{count} {end}")).collect();
    say!("tasks: {}; {} facts", ends.join(", "), found.facts);
}

fn tell_seed(seed: u64, tasks: Option<usize>, args: &SimArgs, setup: &Setup) -> Result<()> {
    let ran = run_seed(Source::Seed { seed, tasks }, setup, true);
    let Some(broken) = ran.broken else {
        ran.lines.iter().for_each(|line| say!("{line}"));
        say!("seed {seed} breaks no law; its tasks end as: {}", ran.ends.join(", "));
        return Ok(());
    };
    say!("seed {seed}: {broken}");
    let until = Instant::now() + Duration::from_secs(args.shrink_secs);
    if let Some(shrunk) = shrink(&ran.plan, setup, until) {
        say!("the shortest of {} stories that break the same law:", shrunk.runs);
        shrunk.story.iter().for_each(|line| say!("{line}"));
        say!("{}", shrunk.broken);
    }
    let more = tasks.map(|tasks| format!(" --tasks {tasks}")).unwrap_or_default();
    bail!("seed {seed} breaks the law \"{}\"; again: tally sim --seed {seed}{more}", broken.law)
}
