//! A clock that stands still until a test moves it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use tallystick_app::Clock;
use tallystick_core::{Duration, Timestamp};

/// A clock set by hand.
#[derive(Debug)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicU64::new(now.as_millis())))
    }

    /// Moves the clock on.
    pub fn advance(&self, span: Duration) {
        self.0.fetch_add(span.as_millis(), Ordering::AcqRel);
    }

    /// Sets the clock.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::Release);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Acquire))
    }
}
