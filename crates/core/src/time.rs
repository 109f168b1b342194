//! Wall time, always passed in: nothing in the rules reads a clock.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A span of time in milliseconds.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Duration(u64);

impl Duration {
    /// A span of milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A span of seconds; stops at the largest span.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// The milliseconds.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The whole seconds.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.as_secs())
    }
}

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    BorshSerialize,
    BorshDeserialize,
    Serialize,
    Deserialize,
)]
pub struct Timestamp(u64);

impl Timestamp {
    /// A time from milliseconds since the epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// A time from seconds since the epoch; stops at the largest time.
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000))
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since the epoch.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// The time `span` later; stops at the largest time.
    #[must_use]
    pub const fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    /// The span from here to `later`; zero once it has come.
    #[must_use]
    pub const fn until(self, later: Self) -> Duration {
        Duration(later.0.saturating_sub(self.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix time {}", self.as_secs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stops_at_its_ends() {
        assert_eq!(Timestamp::from_secs(u64::MAX), Timestamp::from_millis(u64::MAX));
        assert_eq!(Timestamp::from_secs(2).until(Timestamp::from_secs(1)), Duration::from_secs(0));
        assert_eq!(Timestamp::from_secs(1).after(Duration::from_millis(5)).as_millis(), 1_005);
    }
}
