//! Shares of something limited: nobody can take what others need.
//!
//! Keys cost nothing, so a limit for each key is not enough: strangers together get one half at most. The other half is
//! for those who cannot be made up at will: operators, admins, parties of a task that holds money, and who sits on the panel of
//! a dispute. How often anybody may come at all is [`rate`](crate::rate)'s to say.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tallystick_core::NostrKey;

use crate::error::EdgeError;

/// How well a key is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Anybody.
    Stranger,
    /// An operator, an admin, a party of a task that holds money, or on the panel of a dispute.
    Known,
}

/// How places are shared out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    /// All places.
    pub total: usize,
    /// What each key may always have, if there is room.
    pub per_key: usize,
    /// One key may have more than that: this part of what is free, such as 1/32. 0: it may not.
    pub free_divisor: usize,
}

/// Who has how many places.
pub(crate) struct Quota {
    shares: Shares,
    strangers: usize,
    known: usize,
    keys: HashMap<NostrKey, usize>,
}

impl Quota {
    pub fn new(shares: Shares) -> Self {
        Self { shares, strangers: 0, known: 0, keys: HashMap::new() }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`EdgeError::Busy`] if there is no room for this standing, [`EdgeError::TooMany`] if this key has its share.
    pub fn take(&mut self, key: NostrKey, standing: Standing) -> Result<(), EdgeError> {
        let free = self.shares.total.saturating_sub(self.strangers + self.known);
        let half = self.shares.total.div_ceil(2);
        if free == 0 || (standing == Standing::Stranger && self.strangers >= half) {
            return Err(EdgeError::Busy);
        }
        let limit = self.shares.per_key.max(free.checked_div(self.shares.free_divisor).unwrap_or(0));
        let held = self.keys.entry(key).or_default();
        if *held >= limit {
            return Err(EdgeError::TooMany { limit: *held });
        }
        *held += 1;
        *self.side(standing) += 1;
        Ok(())
    }

    /// Gives a place back that was taken.
    pub fn give_back(&mut self, key: NostrKey, standing: Standing) {
        let side = self.side(standing);
        *side = side.saturating_sub(1);
        if let Some(held) = self.keys.get_mut(&key) {
            *held = held.saturating_sub(1);
            if *held == 0 {
                self.keys.remove(&key);
            }
        }
    }

    fn side(&mut self, standing: Standing) -> &mut usize {
        match standing {
            Standing::Stranger => &mut self.strangers,
            Standing::Known => &mut self.known,
        }
    }
}

/// A quota whose places are held for as long as something goes on.
#[derive(Clone)]
pub(crate) struct Seats(Arc<Mutex<Quota>>);

impl Seats {
    pub fn new(shares: Shares) -> Self {
        Self(Arc::new(Mutex::new(Quota::new(shares))))
    }

    /// Takes a place until the seat is dropped.
    ///
    /// # Errors
    /// As [`Quota::take`].
    pub fn take(&self, key: NostrKey, standing: Standing) -> Result<Seat, EdgeError> {
        self.quota().take(key, standing)?;
        Ok(Seat { seats: self.clone(), key, standing })
    }

    fn quota(&self) -> MutexGuard<'_, Quota> {
        // A panic between two lines of counting is at worst one place off.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place that is given back when it is dropped.
pub(crate) struct Seat {
    seats: Seats,
    key: NostrKey,
    standing: Standing,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.seats.quota().give_back(self.key, self.standing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Standing::{Known, Stranger};
    use tallystick_core::NodeKey;

    fn key(n: u8) -> NostrKey {
        NodeKey::try_new(&[n; 32]).unwrap().public()
    }

    #[test]
    fn strangers_get_half_and_the_known_all() {
        let mut quota = Quota::new(Shares { total: 6, per_key: 2, free_divisor: 0 });
        assert_eq!(quota.take(key(1), Stranger), Ok(()));
        assert_eq!(quota.take(key(1), Stranger), Ok(()));
        assert_eq!(quota.take(key(1), Stranger), Err(EdgeError::TooMany { limit: 2 }));
        assert_eq!(quota.take(key(2), Stranger), Ok(()));
        assert_eq!(quota.take(key(3), Stranger), Err(EdgeError::Busy));
        assert_eq!(quota.take(key(4), Known), Ok(()));
        assert_eq!(quota.take(key(4), Known), Ok(()));
        assert_eq!(quota.take(key(4), Known), Err(EdgeError::TooMany { limit: 2 }));
        assert_eq!(quota.take(key(5), Known), Ok(()));
        assert_eq!(quota.take(key(6), Known), Err(EdgeError::Busy));
        quota.give_back(key(1), Stranger);
        assert_eq!(quota.take(key(3), Stranger), Ok(()));
        assert_eq!(quota.take(key(3), Stranger), Err(EdgeError::Busy));
    }

    #[test]
    fn one_key_gets_more_while_there_is_plenty() {
        let mut quota = Quota::new(Shares { total: 100, per_key: 2, free_divisor: 10 });
        let taken = (0..100).take_while(|_| quota.take(key(1), Known).is_ok()).count();
        assert_eq!(taken, 9);
        // Fewer are free, so each further key gets less; but never less than its own.
        for n in 2..100 {
            let taken = (0..100).take_while(|_| quota.take(key(n), Known).is_ok()).count();
            assert!((2..10).contains(&taken) || quota.known == 100, "{n}: {taken}");
        }
    }

    #[test]
    fn a_seat_is_free_once_it_is_dropped() {
        let seats = Seats::new(Shares { total: 1, per_key: 1, free_divisor: 0 });
        let seat = seats.take(key(1), Stranger).unwrap();
        assert_eq!(seats.take(key(2), Known).err(), Some(EdgeError::Busy));
        drop(seat);
        assert!(seats.take(key(2), Known).is_ok());
        assert!(seats.quota().keys.is_empty());
    }
}
