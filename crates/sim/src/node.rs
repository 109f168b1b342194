//! The node under test: the real app with its outbox and its timers, over a journal in memory and a simulated network, and a
//! second replica that takes requests as well.

use std::sync::Arc;
use tallystick_app::{
    App, Parts, Rules,
    outbox::Outbox,
    port::{entrance::Entrance, journal::Journal, rail::HoldRail, tasks::TaskReader},
};
use tallystick_core::{Decider, NodeKey};
use tallystick_escrow::{Escrow, Policy};
use tallystick_testkit::{ManualClock, MemoryStore, SimRail, escrow::NOW};

use crate::{
    standby::Standby,
    wire::{FarJournal, Front, Wire, WiredJournal, WiredRail},
};

/// How a node is put together: as it ships, unless a test puts something wrong between.
#[derive(Clone, Copy)]
pub struct Setup {
    /// What decides.
    pub rules: Rules,
    /// Stands before the journal, anew in each life of the node.
    pub journal: fn(Arc<dyn Journal>) -> Arc<dyn Journal>,
    /// Stands before the read model, anew in each life of the node.
    pub tasks: fn(Arc<dyn TaskReader>) -> Arc<dyn TaskReader>,
    /// Stands before the network, anew in each life of the node.
    pub rail: fn(Arc<dyn HoldRail>) -> Arc<dyn HoldRail>,
    /// Stands before the entrance, anew in each life of the node.
    pub entrance: fn(Arc<dyn Entrance>) -> Arc<dyn Entrance>,
    /// Whether everything is recomputed from the first fact in the end, as `tally fsck` does it.
    pub fsck: bool,
}

impl Setup {
    /// The node as it ships.
    pub fn shipped() -> Self {
        Self { rules: Escrow::decide, journal: |it| it, tasks: |it| it, rail: |it| it, entrance: |it| it, fsck: true }
    }
}

/// What outlives a crash: disk, network and time.
pub(crate) struct World {
    pub clock: Arc<ManualClock>,
    pub rail: SimRail,
    pub store: Arc<MemoryStore>,
}

/// What a crash takes away.
pub(crate) struct Life {
    pub app: App,
    pub outbox: Outbox,
    pub wire: Arc<Wire>,
    pub standby: Standby,
}

impl World {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new(NOW);
        Self { rail: SimRail::new(Arc::clone(&clock)), clock, store: Arc::new(MemoryStore::new()) }
    }

    /// Starts the node on what there is.
    pub(crate) async fn start(&self, setup: &Setup) -> Life {
        let wire = Wire::new();
        let far = FarJournal(Arc::clone(&self.store) as _, Arc::clone(&wire));
        let journal = (setup.journal)(Arc::new(far));
        let parts = || Parts {
            journal: Arc::new(WiredJournal(Arc::clone(&journal), Arc::clone(&wire))),
            log: Arc::clone(&self.store) as _,
            tasks: (setup.tasks)(Arc::clone(&self.store) as _),
            clock: Arc::clone(&self.clock) as _,
            key: key(),
            policy: Policy::default(),
        };
        let app = App::ruled_by(parts(), setup.rules);
        let standby = Standby::start(parts(), setup.rules, &self.rail, &self.store, &wire).await;
        let rail = (setup.rail)(Arc::new(self.rail.clone()));
        app.read_blocks_with(Arc::new(self.rail.clone()));
        app.connect(Arc::new(WiredRail(rail, Arc::clone(&wire))), Arc::new(self.rail.clone()));
        app.look_at((setup.entrance)(Arc::new(Front(Arc::clone(&wire)))));
        Life { outbox: Outbox::new(app.clone()), app, wire, standby }
    }
}

/// The node's own key.
pub(crate) fn key() -> NodeKey {
    NodeKey::try_new(&[8; 32]).expect("far below the curve's order")
}
