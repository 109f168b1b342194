//! What waits for the next flush.

use std::collections::{BTreeMap, HashMap};

use lightning::ln::types::ChannelId;
use tallystick_app::port::rail::RailNotice;
use tokio::sync::oneshot;

use super::rows::{PaymentKey, PaymentRow};
use super::{StoreDown, Write};

/// After so many updates a monitor is written whole again, which bounds what is read at start.
const UPDATES_PER_FULL_MONITOR: u32 = 100;

/// A change of a channel's monitor.
pub(crate) enum MonitorChange {
    /// The monitor is new, or moved with the chain: it is written whole. `ack` is the update to acknowledge, if any.
    Whole { ack: Option<u64> },
    /// An update, encoded.
    Update { number: u64, body: Vec<u8> },
}

/// What is to be done for one monitor.
#[derive(Default)]
pub(super) struct MonitorWork {
    pub(super) name: String,
    pub(super) whole: bool,
    pub(super) updates: Vec<(u64, Vec<u8>)>,
    pub(super) acks: Vec<u64>,
}

/// The first half of a flush: what must be taken before the manager is encoded.
pub(super) struct Before {
    pub(super) monitors: BTreeMap<[u8; 32], MonitorWork>,
    pub(super) waiters: Vec<oneshot::Sender<()>>,
}

/// See the module.
pub(super) struct Queue {
    monitors: BTreeMap<[u8; 32], MonitorWork>,
    updates_since_whole: HashMap<[u8; 32], u32>,
    writes: Vec<Write>,
    waiters: Vec<oneshot::Sender<()>>,
    /// Payments that are queued, and those that are being written: newer than what the database says.
    queued: HashMap<PaymentKey, PaymentRow>,
    writing: HashMap<PaymentKey, PaymentRow>,
    next_notice: u64,
    urgent: bool,
    stopping: bool,
    down: bool,
}

impl Queue {
    pub(super) fn new(next_notice: u64) -> Self {
        Self {
            monitors: BTreeMap::new(),
            updates_since_whole: HashMap::new(),
            writes: Vec::new(),
            waiters: Vec::new(),
            queued: HashMap::new(),
            writing: HashMap::new(),
            next_notice,
            urgent: false,
            stopping: false,
            down: false,
        }
    }

    pub(super) fn push(&mut self, write: Write) {
        self.push_lazily(write);
        self.urgent = true;
    }

    pub(super) fn push_lazily(&mut self, write: Write) {
        if let Write::Payment(row) = &write {
            self.queued.insert(row.key(), row.clone());
        }
        self.writes.push(write);
    }

    pub(super) fn push_notice(&mut self, notice: RailNotice) {
        let number = self.next_notice;
        self.next_notice += 1;
        self.push(Write::Notice(number, notice));
    }

    pub(super) fn push_monitor(&mut self, channel: ChannelId, name: String, change: MonitorChange) {
        let work = self.monitors.entry(channel.0).or_default();
        work.name = name;
        let since_whole = self.updates_since_whole.entry(channel.0).or_default();
        match change {
            MonitorChange::Whole { ack } => {
                work.whole = true;
                work.acks.extend(ack);
            }
            MonitorChange::Update { number, body } => {
                *since_whole += 1;
                work.whole |= *since_whole >= UPDATES_PER_FULL_MONITOR;
                work.updates.push((number, body));
                work.acks.push(number);
            }
        }
        if work.whole {
            *since_whole = 0;
        }
        self.urgent = true;
    }

    pub(super) fn wait(&mut self, waiter: oneshot::Sender<()>) -> Result<(), StoreDown> {
        if self.down || self.stopping {
            return Err(StoreDown);
        }
        self.waiters.push(waiter);
        self.urgent = true;
        Ok(())
    }

    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.urgent && !self.stopping
    }

    /// Begins a flush. Before the node runs, monitors wait: they cannot be encoded, and not be acknowledged.
    pub(super) fn take_before(&mut self, running: bool) -> Before {
        self.urgent = false;
        let monitors = if running { std::mem::take(&mut self.monitors) } else { BTreeMap::new() };
        Before { monitors, waiters: std::mem::take(&mut self.waiters) }
    }

    /// Takes the rows, once the manager is encoded.
    pub(super) fn take_writes(&mut self) -> Vec<Write> {
        debug_assert!(self.writing.is_empty(), "one flush at a time");
        self.writing = std::mem::take(&mut self.queued);
        std::mem::take(&mut self.writes)
    }

    /// The rows are on the disk.
    pub(super) fn written(&mut self) {
        self.writing.clear();
    }

    /// A write failed: nobody is answered any more.
    pub(super) fn fail(&mut self) {
        self.down = true;
        self.waiters.clear();
    }

    /// A payment, if the database does not have its newest state.
    pub(super) fn payment(&self, key: &PaymentKey) -> Option<&PaymentRow> {
        self.queued.get(key).or_else(|| self.writing.get(key))
    }

    /// All payments whose newest state the database does not have.
    pub(super) fn newer_payments(&self) -> impl Iterator<Item = &PaymentRow> {
        let older = self.writing.iter().filter(|(key, _)| !self.queued.contains_key(*key));
        self.queued.iter().chain(older).map(|(_, row)| row)
    }
}
