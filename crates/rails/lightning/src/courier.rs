//! Notices on their way to the listener: at least once, in order per hash, many hashes at a time.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tallystick_app::port::rail::{Heard, RailListener, RailNotice};
use tallystick_core::{BlockHeight, PaymentHash};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::node::engine::Engine;
use crate::store::{Notices, Write};

/// The pause after a notice was not heard; it doubles up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

type Numbered = (u64, RailNotice);

/// Delivers notices.
pub(crate) struct Courier {
    engine: Arc<Engine>,
    listener: Arc<dyn RailListener>,
    /// Notices that wait, by hash. A hash is in here as long as a task delivers for it.
    lanes: Mutex<HashMap<PaymentHash, VecDeque<Numbered>>>,
}

impl Courier {
    pub(crate) fn new(engine: Arc<Engine>, listener: Arc<dyn RailListener>) -> Arc<Self> {
        Arc::new(Self { engine, listener, lanes: Mutex::new(HashMap::new()) })
    }

    /// Delivers until the node stops.
    pub(crate) async fn run(self: Arc<Self>, mut notices: Notices, mut stop: watch::Receiver<bool>) {
        let mut lanes = JoinSet::new();
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                Some(_) = lanes.join_next() => {}
                notice = notices.recv() => match notice {
                    Some(notice) => self.deliver(notice, &mut lanes),
                    None => break,
                },
            }
        }
        // Whatever was not heard is on the disk, and is told again after the next start.
        lanes.shutdown().await;
    }

    fn deliver(self: &Arc<Self>, notice: Numbered, lanes: &mut JoinSet<()>) {
        let Some(hash) = hash_of(&notice.1) else { return };
        let mut waiting = self.lanes();
        if let Some(lane) = waiting.get_mut(&hash) {
            lane.push_back(notice);
            return;
        }
        waiting.insert(hash, VecDeque::from([notice]));
        drop(waiting);
        let courier = Arc::clone(self);
        lanes.spawn(async move { courier.run_lane(hash).await });
    }

    async fn run_lane(&self, hash: PaymentHash) {
        loop {
            let next = {
                let mut lanes = self.lanes();
                let next = lanes.get_mut(&hash).and_then(VecDeque::pop_front);
                if next.is_none() {
                    lanes.remove(&hash);
                }
                next
            };
            let Some((number, notice)) = next else { return };
            if self.is_stale(&notice) {
                self.engine.store.write_lazily(Write::Heard(number));
                continue;
            }
            let heard = self.until_heard(&notice).await;
            if heard == Heard::Unknown && matches!(notice, RailNotice::HoldLocked { .. }) {
                self.give_back(hash).await;
            }
            self.engine.store.write_lazily(Write::Heard(number));
        }
    }

    /// Whether a notice is of a hold that is gone, or has another one in its place. It was heard once, and that was lost
    /// with the last flush: whoever refused that hold then might want it now, and the other one not.
    fn is_stale(&self, notice: &RailNotice) -> bool {
        match notice {
            RailNotice::HoldLocked { hash, amount, claim_deadline } => {
                self.engine.is_gone(hash, (*amount, *claim_deadline))
            }
            _ => false,
        }
    }

    async fn until_heard(&self, notice: &RailNotice) -> Heard {
        let mut pause = PAUSE_FIRST;
        loop {
            match self.listener.hear(notice.clone()).await {
                Ok(heard) => return heard,
                Err(error) => tracing::warn!(%error, "a notice was not heard; told again"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_LONGEST);
        }
    }

    /// Nobody knows the hash of a hold: its payer gets the money back.
    async fn give_back(&self, hash: PaymentHash) {
        if let Err(error) = self.engine.give_back(hash).await {
            tracing::warn!(%hash, %error, "a hold that nobody knows cannot be given back");
        }
    }

    fn lanes(&self) -> MutexGuard<'_, HashMap<PaymentHash, VecDeque<Numbered>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash_of(notice: &RailNotice) -> Option<PaymentHash> {
    match notice {
        RailNotice::HoldLocked { hash, .. }
        | RailNotice::HoldLost { hash }
        | RailNotice::HoldClaimed { hash, .. }
        | RailNotice::PayoutPaid { hash, .. }
        | RailNotice::PayoutFailed { hash, .. } => Some(*hash),
        RailNotice::Block { .. } => None,
    }
}

/// Tells every new height, the latest only if the listener is slower than the chain.
pub(crate) async fn tell_heights(
    listener: Arc<dyn RailListener>,
    mut heights: watch::Receiver<BlockHeight>,
    mut stop: watch::Receiver<bool>,
) {
    heights.mark_changed();
    let telling = async {
        while heights.changed().await.is_ok() {
            let height = *heights.borrow_and_update();
            if let Err(error) = listener.hear(RailNotice::Block { height }).await {
                tracing::warn!(%error, "a block was not heard; told again");
                heights.mark_changed();
                tokio::time::sleep(PAUSE_FIRST).await;
            }
        }
    };
    tokio::select! {
        () = telling => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
}
