//! Remembers signed reads for as long as their signature would be accepted. Commands are remembered in the journal.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};
use tallystick_core::{Digest32, NostrKey, Timestamp};

use crate::{
    error::EdgeError,
    quota::{Quota, Shares, Standing},
};

/// A set of event ids with a limited size. An id commits to the event's time, so that the time after which it is
/// refused anyway is part of its key.
pub(crate) struct ReplayGuard(Mutex<Memory>);

struct Memory {
    seen: BTreeMap<(Timestamp, Digest32), (NostrKey, Standing)>,
    quota: Quota,
}

/// An event that may be used once, until its time is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    pub id: Digest32,
    pub author: NostrKey,
    /// When it was signed.
    pub at: Timestamp,
    pub until: Timestamp,
}

impl ReplayGuard {
    pub fn new(shares: Shares) -> Self {
        Self(Mutex::new(Memory { seen: BTreeMap::new(), quota: Quota::new(shares) }))
    }

    /// Takes an event.
    ///
    /// # Errors
    /// [`EdgeError::Replayed`] the second time; [`EdgeError::Busy`] or [`EdgeError::TooMany`] when there is no room:
    /// nothing is forgotten before its time.
    pub fn admit(&self, ticket: Ticket, standing: Standing, now: Timestamp) -> Result<(), EdgeError> {
        // A panic between two lines of set code leaves the set whole.
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Memory { seen, quota } = &mut *guard;
        while let Some(oldest) = seen.first_entry().filter(|entry| entry.key().0 < now) {
            let (author, standing) = oldest.remove();
            quota.give_back(author, standing);
        }
        let key = (ticket.until, ticket.id);
        if seen.contains_key(&key) {
            return Err(EdgeError::Replayed);
        }
        quota.take(ticket.author, standing)?;
        seen.insert(key, (ticket.author, standing));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tallystick_core::NodeKey;

    #[test]
    fn forgets_only_what_has_expired() {
        let guard = ReplayGuard::new(Shares { total: 4, per_key: 2, free_divisor: 0 });
        let at = Timestamp::from_secs;
        let author = NodeKey::try_new(&[1; 32]).unwrap().public();
        let admit = |id, until, now| {
            let ticket = Ticket { id: Digest32([id; 32]), author, at: at(0), until: at(until) };
            guard.admit(ticket, Standing::Stranger, at(now))
        };
        assert_eq!(admit(1, 10, 0), Ok(()));
        assert_eq!(admit(1, 10, 10), Err(EdgeError::Replayed));
        assert_eq!(admit(2, 20, 10), Ok(()));
        assert_eq!(admit(3, 20, 10), Err(EdgeError::Busy));
        assert_eq!(admit(2, 20, 10), Err(EdgeError::Replayed));
        assert_eq!(admit(3, 20, 11), Ok(()));
        assert_eq!(guard.0.lock().unwrap().seen.len(), 2);
    }
}
