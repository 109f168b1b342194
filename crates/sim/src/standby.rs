//! A second replica on the same journal, without a network of its own: it takes requests, and tells of every fact, in order
//! and once, whoever wrote it.

use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use tallystick_app::{
    App, Parts, Rules, TaskUpdate, WorkerHandle, Workers,
    port::{
        journal::{Head, Heads, Journal, StoreError},
        rail::{Heard, NotHeard, RailListener, RailNotice},
    },
};
use tallystick_core::BlockHeight;
use tallystick_testkit::{MemoryStore, SimRail};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

use crate::wire::Wire;

/// Turns that it may take to tell what is there.
const TURNS_MAX: u32 = 10_000;

/// The replica.
pub(crate) struct Standby {
    pub app: App,
    updates: Receiver<TaskUpdate>,
    heads: Arc<JournalHead>,
    /// Dropped, it ends.
    _follower: WorkerHandle,
}

impl Standby {
    /// Starts it on what there is.
    pub(crate) async fn start(
        parts: Parts,
        rules: Rules,
        rail: &SimRail,
        store: &Arc<MemoryStore>,
        wire: &Arc<Wire>,
    ) -> Self {
        let app = App::ruled_by(parts, rules);
        app.read_invoices_with(Arc::new(rail.clone()));
        let height = tallystick_app::port::rail::HoldRail::height(rail);
        hear_block(&app, height).await;
        let heads =
            Arc::new(JournalHead { store: Arc::clone(store), wire: Arc::clone(wire), last: Mutex::new(Head::START) });
        let updates = app.updates();
        let follower = Workers::follow(&app, Arc::clone(&heads) as _).await;
        Self { app, updates, heads, _follower: follower.expect("a store in memory that nobody follows yet") }
    }

    /// What it told since it was last asked: numbers of facts. Nothing if it does not tell all that is there.
    pub(crate) async fn told(&mut self) -> Option<Vec<u64>> {
        let head = self.heads.head().await.ok()?;
        let mut turns = 0;
        while self.app.told().is_none_or(|told| told.seq < head.seq) {
            turns += 1;
            if turns > TURNS_MAX {
                return None;
            }
            tokio::task::yield_now().await;
        }
        let mut told = Vec::new();
        loop {
            match self.updates.try_recv() {
                Ok(update) => told.push(update.seq),
                Err(TryRecvError::Empty) => return Some(told),
                Err(TryRecvError::Lagged(_) | TryRecvError::Closed) => return None,
            }
        }
    }
}

async fn hear_block(app: &App, height: BlockHeight) {
    // A height is heard whatever comes.
    let _ = app.hear(RailNotice::Block { height }).await;
}

/// The node hears everything, and the replica how high the chain is.
pub(crate) struct Both<'a>(pub &'a App, pub &'a App);

#[async_trait]
impl RailListener for Both<'_> {
    async fn hear(&self, notice: RailNotice) -> Result<Heard, NotHeard> {
        if let RailNotice::Block { height } = notice {
            hear_block(self.1, height).await;
        }
        self.0.hear(notice).await
    }
}

struct JournalHead {
    store: Arc<MemoryStore>,
    wire: Arc<Wire>,
    last: Mutex<Head>,
}

#[async_trait]
impl Heads for JournalHead {
    async fn head(&self) -> Result<Head, StoreError> {
        let mut head = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(last) = self.store.facts(head.seq, 1_000).await?.last() {
            head = Head { seq: last.seq, hash: last.hash };
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = head;
        Ok(head)
    }

    async fn beyond(&self, seq: u64) {
        loop {
            let written = self.wire.written.notified();
            if self.head().await.is_ok_and(|head| head.seq > seq) {
                return;
            }
            written.await;
        }
    }
}
