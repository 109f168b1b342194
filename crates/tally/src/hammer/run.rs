//! What all parts of a run share.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tokio::sync::watch;

use super::{follow::Signers, ledger::Ledger, numbers::Numbers};

/// A run.
pub(super) struct Run {
    pub ledger: Arc<Ledger>,
    pub numbers: Arc<Numbers>,
    pub signers: Arc<Signers>,
    tasks_max: u64,
    posted: AtomicU64,
}

impl Run {
    pub fn new(signers: Signers, tasks_max: Option<u64>) -> Self {
        Self {
            ledger: Arc::default(),
            numbers: Arc::default(),
            signers: Arc::new(signers),
            // The one that closes the run is posted in any case.
            tasks_max: tasks_max.map_or(u64::MAX, |max| max.saturating_sub(1)),
            posted: AtomicU64::new(0),
        }
    }

    /// The number of the next task, from 0; nothing if there is to be none.
    pub fn next(&self, stop: &Stop) -> Option<u64> {
        if stop.told() {
            return None;
        }
        let number = self.posted.fetch_add(1, Ordering::Relaxed);
        (number < self.tasks_max).then_some(number)
    }
}

/// Whether the requesters are to stop.
#[derive(Clone, Debug)]
pub(super) struct Stop(Option<watch::Receiver<bool>>);

impl Stop {
    /// A call to stop, and what hears it.
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (call, heard) = watch::channel(false);
        (call, Self(Some(heard)))
    }

    /// Nobody will call.
    pub const fn never() -> Self {
        Self(None)
    }

    pub fn told(&self) -> bool {
        self.0.as_ref().is_some_and(|heard| *heard.borrow())
    }
}
