//! A disk that can lose power at any step, and fail at any step.

use std::{
    collections::BTreeMap,
    io,
    sync::{Mutex, MutexGuard},
};
use tallystick_witness::Folder;

type Files = BTreeMap<String, Vec<u8>>;

/// A change of names that is not on disk yet: what to remove, and what to set.
type Change = (Option<String>, String, Vec<u8>);

/// What a running process sees, and what is left of it when the power goes.
#[derive(Default)]
pub struct Disk {
    state: Mutex<State>,
}

#[derive(Clone, Default)]
struct State {
    seen: Files,
    durable: Files,
    pending: Vec<Change>,
    /// Steps until one fails; the steps after it fail as well.
    steps_left: Option<usize>,
    /// Of the write that fails, so many bytes arrive.
    torn: usize,
}

impl Disk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Fails at the step after so many; a write that fails leaves this many bytes.
    pub fn fail_after(&self, steps: usize, torn: usize) {
        let mut state = self.state();
        (state.steps_left, state.torn) = (Some(steps), torn);
    }

    /// What a process that is started again finds, if the machine went on.
    pub fn after_kill(&self) -> Self {
        let mut state = self.state().clone();
        state.steps_left = None;
        Self { state: Mutex::new(state) }
    }

    /// All that the disk may hold after a power cut: any of the changes that nobody waited for may have arrived.
    pub fn after_power_cut(&self) -> Vec<Self> {
        let state = self.state();
        let choices = 1_usize << state.pending.len();
        let of = |choice: usize| {
            let mut files = state.durable.clone();
            for (at, (from, to, bytes)) in state.pending.iter().enumerate() {
                if choice >> at & 1 == 1 {
                    from.as_ref().map(|from| files.remove(from));
                    files.insert(to.clone(), bytes.clone());
                }
            }
            let left = State { seen: files.clone(), durable: files, ..State::default() };
            Self { state: Mutex::new(left) }
        };
        (0..choices).map(of).collect()
    }

    pub fn files(&self) -> Files {
        self.state().seen.clone()
    }

    pub fn set(&self, name: &str, bytes: Option<&[u8]>) {
        let mut state = self.state();
        match bytes {
            Some(bytes) => state.seen.insert(name.to_owned(), bytes.to_vec()),
            None => state.seen.remove(name),
        };
    }
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        match &mut self.steps_left {
            Some(0) => Err(io::Error::other("the disk is gone")),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Folder for Disk {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.state().seen.get(name).cloned())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state().seen.keys().cloned().collect())
    }

    fn write(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let step = state.step();
        let arrived = if step.is_ok() { bytes } else { &bytes[..state.torn.min(bytes.len())] };
        state.seen.insert(name.to_owned(), arrived.to_vec());
        let change = (None, name.to_owned(), arrived.to_vec());
        state.pending.push(change);
        step
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let bytes = state.seen.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.seen.insert(to.to_owned(), bytes.clone());
        state.pending.push((Some(from.to_owned()), to.to_owned(), bytes));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.durable = state.seen.clone();
        state.pending.clear();
        Ok(())
    }
}
