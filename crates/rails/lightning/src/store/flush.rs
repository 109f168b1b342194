//! The writer: one thread, one transaction after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use lightning::ln::types::ChannelId;

use super::backend::{Flush, MonitorUpdate, WholeMonitor, Writer};
use super::queue::MonitorWork;
use super::{MANAGER, Store, Write, lock_of, monitor_place, update_place};
use crate::LightningError;
use crate::secret::Vault;

pub(super) struct Flusher {
    store: Arc<Store>,
    writer: Box<dyn Writer>,
    closed: bool,
}

/// However the writer ends, by a failed write or by a panic: nobody waits for it any more.
impl Drop for Flusher {
    fn drop(&mut self) {
        lock_of(&self.store.queue).fail();
        if !self.closed {
            self.store.down.send_replace(true);
        }
    }
}

impl Flusher {
    pub(super) fn new(store: Arc<Store>, writer: Box<dyn Writer>) -> Self {
        Self { store, writer, closed: false }
    }

    pub(super) fn run(mut self) {
        loop {
            let mut queue = lock_of(&self.store.queue);
            while queue.is_idle() {
                queue = self.store.wake.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            let last = queue.is_stopping();
            drop(queue);
            if let Err(error) = self.flush() {
                tracing::error!(%error, "the Lightning node's database failed; the node stops");
                return;
            }
            if last {
                self.closed = true;
                return;
            }
        }
    }

    fn flush(&mut self) -> Result<(), LightningError> {
        let state = lock_of(&self.store.state).clone();
        let state = state.as_deref();
        let before = lock_of(&self.store.queue).take_before(state.is_some());
        let mut whole = Vec::new();
        for (channel, work) in before.monitors.iter().filter(|(_, work)| work.whole) {
            let encoded = state.and_then(|state| state.monitor(ChannelId(*channel)));
            whole.extend(encoded.map(|(body, newest)| (work.name.clone(), body, newest)));
        }
        // After the monitors: the manager must be at least as new as each of them.
        let manager = state.map(|state| state.manager());
        // After the manager: whatever it has handled has its rows in here.
        let writes = lock_of(&self.store.queue).take_writes();

        let flush = seal(&self.store.vault, manager, whole, &before.monitors, writes);
        self.writer.write(&flush)?;

        lock_of(&self.store.queue).written();
        let acks: Vec<_> = (before.monitors.iter())
            .flat_map(|(channel, work)| work.acks.iter().map(|number| (ChannelId(*channel), *number)))
            .collect();
        if let Some(state) = state
            && !acks.is_empty()
        {
            state.durable(&acks);
        }
        for waiter in before.waiters {
            // Whoever waited may have gone.
            let _ = waiter.send(());
        }
        for write in flush.writes {
            if let Write::Notice(number, notice) = write {
                // The courier is gone only when the node stops; the notice is on the disk for the next run.
                let _ = self.store.notices.send((number, notice));
            }
        }
        Ok(())
    }
}

/// Everything that is written, sealed where it must be.
fn seal(
    vault: &Vault,
    manager: Option<Vec<u8>>,
    whole: Vec<(String, Vec<u8>, u64)>,
    work: &BTreeMap<[u8; 32], MonitorWork>,
    writes: Vec<Write>,
) -> Flush {
    let whole = whole.into_iter().map(|(name, body, newest)| {
        let body = vault.seal(&monitor_place(&name), &body);
        WholeMonitor { name, body, newest }
    });
    let updates = work.values().filter(|work| !work.whole).flat_map(|work| {
        work.updates.iter().map(|(number, body)| MonitorUpdate {
            name: work.name.clone(),
            number: *number,
            body: vault.seal(&update_place(&work.name, *number), body),
        })
    });
    Flush {
        manager: manager.map(|manager| vault.seal(MANAGER, &manager)),
        whole: whole.collect(),
        updates: updates.collect(),
        writes,
    }
}
