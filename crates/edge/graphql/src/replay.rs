//! Remembers signed requests for as long as their signature would be accepted.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};
use tallystick_core::{Digest32, Timestamp};

use crate::error::EdgeError;

/// A set of event ids with a limited size. An id commits to the event's time, so that the time after which it is
/// refused anyway is part of its key.
pub(crate) struct ReplayGuard {
    limit: usize,
    seen: Mutex<BTreeSet<(Timestamp, Digest32)>>,
}

impl ReplayGuard {
    pub fn new(limit: usize) -> Self {
        Self { limit, seen: Mutex::new(BTreeSet::new()) }
    }

    /// Takes an id that is of no use after `until`.
    ///
    /// # Errors
    /// [`EdgeError::Replayed`] the second time, [`EdgeError::Busy`] when the memory is full: nothing is forgotten
    /// before its time.
    pub fn admit(&self, id: Digest32, until: Timestamp, now: Timestamp) -> Result<(), EdgeError> {
        // A panic between two lines of set code leaves the set whole.
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        while seen.first().is_some_and(|(until, _)| *until < now) {
            seen.pop_first();
        }
        if seen.contains(&(until, id)) {
            return Err(EdgeError::Replayed);
        }
        if seen.len() >= self.limit {
            return Err(EdgeError::Busy);
        }
        seen.insert((until, id));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_only_what_has_expired() {
        let guard = ReplayGuard::new(2);
        let at = Timestamp::from_secs;
        let admit = |id, until, now| guard.admit(Digest32([id; 32]), at(until), at(now));
        assert_eq!(admit(1, 10, 0), Ok(()));
        assert_eq!(admit(1, 10, 10), Err(EdgeError::Replayed));
        assert_eq!(admit(2, 20, 10), Ok(()));
        assert_eq!(admit(3, 20, 10), Err(EdgeError::Busy));
        assert_eq!(admit(2, 20, 10), Err(EdgeError::Replayed));
        assert_eq!(admit(3, 20, 11), Ok(()));
        assert_eq!(guard.seen.lock().unwrap().len(), 2);
    }
}
