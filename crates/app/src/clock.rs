//! Time and fresh ids, the two things that the rules may not make themselves.

use std::time::{SystemTime, UNIX_EPOCH};
use tallystick_core::{Id, Timestamp};

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A fresh UUIDv7.
///
/// # Errors
/// [`getrandom::Error`] if the system has no randomness to give.
pub fn mint_id<T>(now: Timestamp) -> Result<Id<T>, getrandom::Error> {
    let mut random = [0; 10];
    getrandom::fill(&mut random)?;
    Ok(Id::from_parts(now.as_millis(), random))
}
