//! The clock: the one place that reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use tallystick_core::Timestamp;

/// Now. A clock before 1970 counts as 1970.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
}
