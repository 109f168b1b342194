//! Many seeds, on several threads: each run stays in one.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use crate::{
    node::Setup,
    run::{Source, run},
};

/// Which seeds to run, and how.
#[derive(Clone, Copy, Debug)]
pub struct Hunt {
    /// The first one.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// How many tasks each has; a few if it is not said.
    pub tasks: Option<usize>,
    /// On how many threads.
    pub threads: usize,
    /// When to stop, however many are left.
    pub until: Option<Instant>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hunted {
    /// How many seeds ran.
    pub ran: u64,
    /// Facts in all of their journals.
    pub facts: u64,
    /// How their tasks ended.
    pub ends: BTreeMap<&'static str, u64>,
    /// How many facts of each kind they hold.
    pub kinds: BTreeMap<&'static str, u64>,
    /// The lowest seed that broke a law.
    pub failed: Option<u64>,
}

/// Runs seeds until one breaks a law, all are done, or the time is over. `progress` hears how many are done.
pub fn hunt(hunt: &Hunt, setup: &Setup, progress: impl Fn(u64) + Sync) -> Hunted {
    let next = AtomicU64::new(0);
    let found = Mutex::new(Hunted::default());
    let is_over = || hunt.until.is_some_and(|until| Instant::now() >= until);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            // Seeds are handed out in order: whatever is lower than one that failed is in somebody's hands already.
            if number >= hunt.seeds || is_over() || lock(&found).failed.is_some() {
                return;
            }
            let seed = hunt.from.saturating_add(number);
            let ran = run(Source::Seed { seed, tasks: hunt.tasks }, setup, false);
            let mut found = lock(&found);
            found.ran += 1;
            found.facts += ran.facts as u64;
            for end in ran.ends {
                *found.ends.entry(end).or_default() += 1;
            }
            for (kind, count) in ran.kinds {
                *found.kinds.entry(kind).or_default() += count;
            }
            if ran.broken.is_some() {
                found.failed = Some(found.failed.map_or(seed, |other| other.min(seed)));
            }
            let done = found.ran;
            drop(found);
            progress(done);
        }
    };
    thread::scope(|scope| {
        for _ in 0..hunt.threads.max(1) {
            scope.spawn(work);
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn lock(found: &Mutex<Hunted>) -> std::sync::MutexGuard<'_, Hunted> {
    found.lock().unwrap_or_else(PoisonError::into_inner)
}
