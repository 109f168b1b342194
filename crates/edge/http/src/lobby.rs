//! Who gives way when there is no room.
//!
//! Guests cost nothing: whoever comes is let in, and when the room is full the one goes who has been there the longest
//! without being kept. A guest is kept while something is done for it that is limited by key, so that those who say
//! nothing, slowly or in great number, cannot keep out those who have something to say. Not so those who come faster than a
//! request takes to arrive, some thousand connections a second: against these stands the proxy or the packet filter
//! before the node, which knows their addresses.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::Notify;

/// A room with a limit.
pub struct Lobby {
    guests_max: usize,
    state: Mutex<State>,
    /// Somebody left, or is not kept any more.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Who may be sent away, in the order of coming.
    waiting: BTreeMap<u64, Arc<Notify>>,
    kept: usize,
    next: u64,
}

impl State {
    fn seat(&mut self, dismissal: &Arc<Notify>) -> u64 {
        let place = self.next;
        self.next += 1;
        self.waiting.insert(place, Arc::clone(dismissal));
        place
    }
}

impl Lobby {
    /// An empty room for so many.
    pub fn new(guests_max: usize) -> Arc<Self> {
        Arc::new(Self { guests_max, state: Mutex::default(), changed: Notify::new() })
    }

    /// Lets somebody in; if there is no room, in place of the one that has waited the longest. None if all are kept.
    pub fn try_enter(self: &Arc<Self>) -> Option<Guest> {
        let mut state = self.state();
        if state.waiting.len() + state.kept >= self.guests_max {
            let (_, longest) = state.waiting.pop_first()?;
            longest.notify_one();
        }
        let dismissal = Arc::default();
        let place = AtomicU64::new(state.seat(&dismissal));
        Some(Guest(Arc::new(Seat { lobby: Arc::clone(self), place, dismissal })))
    }

    /// The same, once not all are kept. For one caller at a time.
    pub async fn enter(self: &Arc<Self>) -> Guest {
        loop {
            if let Some(guest) = self.try_enter() {
                return guest;
            }
            self.changed.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic between two lines of map code leaves the map whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who is in. It leaves when the last clone is dropped.
#[derive(Clone)]
pub struct Guest(Arc<Seat>);

struct Seat {
    lobby: Arc<Lobby>,
    /// Changed only while the lobby's state is locked.
    place: AtomicU64,
    dismissal: Arc<Notify>,
}

impl Guest {
    /// What is told when this guest has to go. Its room is somebody else's already.
    pub fn dismissal(&self) -> Arc<Notify> {
        Arc::clone(&self.0.dismissal)
    }

    /// Keeps the guest in; afterwards it is the last to have come. None if it has to go already.
    pub fn keep(&self) -> Option<Kept> {
        let mut state = self.0.lobby.state();
        state.waiting.remove(&self.0.place.load(Ordering::Relaxed))?;
        state.kept += 1;
        Some(Kept(self.clone()))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.lobby.state().waiting.remove(&self.place.load(Ordering::Relaxed));
        self.lobby.changed.notify_one();
    }
}

/// As long as it lives, its guest stays.
pub struct Kept(Guest);

impl Drop for Kept {
    fn drop(&mut self) {
        let Seat { lobby, place, dismissal } = &*self.0.0;
        let mut state = lobby.state();
        state.kept -= 1;
        place.store(state.seat(dismissal), Ordering::Relaxed);
        drop(state);
        lobby.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    fn has_to_go(guest: &Guest) -> bool {
        guest.dismissal().notified().now_or_never().is_some()
    }

    #[test]
    fn the_one_that_came_first_gives_way() {
        let lobby = Lobby::new(2);
        let first = lobby.try_enter().unwrap();
        let second = lobby.try_enter().unwrap();
        assert!(!has_to_go(&first));
        let third = lobby.try_enter().unwrap();
        assert!(has_to_go(&first) && !has_to_go(&second) && !has_to_go(&third));
        assert!(first.keep().is_none(), "its room is the third one's");
        drop((first, third));
        let _fourth = lobby.try_enter().unwrap();
        assert!(!has_to_go(&second), "there was room");
    }

    #[test]
    fn who_is_kept_stays_and_comes_last_afterwards() {
        let lobby = Lobby::new(2);
        let first = lobby.try_enter().unwrap();
        let second = lobby.try_enter().unwrap();
        let kept = first.keep().unwrap();
        let third = lobby.try_enter().unwrap();
        assert!(has_to_go(&second) && !has_to_go(&first));
        drop((kept, second));
        let _fourth = lobby.try_enter().unwrap();
        assert!(has_to_go(&third) && !has_to_go(&first));
    }

    #[tokio::test]
    async fn where_all_are_kept_the_next_one_waits() {
        let lobby = Lobby::new(1);
        let first = lobby.try_enter().unwrap();
        let kept = first.keep().unwrap();
        assert!(lobby.try_enter().is_none());
        let mut entering = Box::pin(lobby.enter());
        assert!(entering.as_mut().now_or_never().is_none());
        drop(kept);
        let _second = entering.await;
        assert!(has_to_go(&first));
        assert!(Lobby::new(0).try_enter().is_none());
    }
}
