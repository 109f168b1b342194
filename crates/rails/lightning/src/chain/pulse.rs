//! Whether the chain source still answers: a node that sees no blocks must begin nothing.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When the chain source last answered.
pub(crate) struct Pulse {
    last: Mutex<Instant>,
    silence_max: Duration,
}

impl Pulse {
    /// A pulse that counts as heard now.
    pub(crate) fn new(silence_max: Duration) -> Self {
        Self { last: Mutex::new(Instant::now()), silence_max }
    }

    /// The chain source answered.
    pub(crate) fn beat(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// How long the chain source has been silent, if that is too long.
    pub(crate) fn silence(&self) -> Option<Duration> {
        let silent = self.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        (silent > self.silence_max).then_some(silent)
    }
}
