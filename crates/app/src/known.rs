//! What the journal was read for once, so that the next look begins behind it.

use std::sync::{Arc, Mutex, PoisonError};

/// What some facts make, and the position of the last of them. Never the truth: what the journal holds besides is applied
/// whenever it is looked at.
#[derive(Default)]
pub(crate) struct Known<T>(Mutex<(Arc<T>, u64)>);

impl<T> Known<T> {
    /// As it was last put.
    pub(crate) fn get(&self) -> (Arc<T>, u64) {
        // A panic between two lines leaves an older state, which is as good.
        let (state, position) = &*self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(state), *position)
    }

    /// Keeps a state, unless a later one is kept.
    pub(crate) fn put(&self, state: &Arc<T>, position: u64) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.1 < position {
            *known = (Arc::clone(state), position);
        }
    }
}
