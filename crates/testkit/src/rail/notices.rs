//! How the simulated network tells what happened: at least once, and again until it is heard.

use std::{sync::Arc, time::Duration};
use tallystick_app::port::rail::{Heard, RailListener, RailNotice};
use tokio::task::JoinHandle;

use super::SimRail;

/// How long a notice that was not heard waits until it is told again.
const TELL_AGAIN: Duration = Duration::from_millis(20);

impl SimRail {
    /// Notices that were not heard yet, the oldest first. A hold that is gone again is not told of.
    pub fn notices(&self) -> Vec<RailNotice> {
        let mut world = self.world();
        world.drop_stale_notices();
        world.notices.clone()
    }

    /// Tells every waiting notice once, the oldest first; those that are not heard wait on. Answers how many were
    /// heard.
    pub async fn deliver(&self, listener: &dyn RailListener) -> usize {
        let mut heard = 0;
        for notice in self.notices() {
            heard += usize::from(self.tell(listener, notice).await);
        }
        heard
    }

    /// The last notices that were heard will be told again, before all others: what a node does that went down before it
    /// had written down that they were.
    pub fn tell_again(&self, count: usize) {
        let mut world = self.world();
        let from = world.heard.len().saturating_sub(count);
        let again = world.heard.split_off(from);
        world.notices.splice(0..0, again);
        self.stir();
    }

    /// Tells one notice, whether it waits or not: out of order, too late, or once more. Answers whether it was heard.
    pub async fn tell(&self, listener: &dyn RailListener, notice: RailNotice) -> bool {
        let Ok(heard) = listener.hear(notice.clone()).await else { return false };
        let mut world = self.world();
        if let Some(position) = world.notices.iter().position(|waiting| *waiting == notice) {
            let notice = world.notices.remove(position);
            // A height is told as it is, and not as it was.
            if !matches!(notice, RailNotice::Block { .. }) {
                world.heard.push(notice);
            }
        }
        if let (Heard::Unknown, RailNotice::HoldLocked { hash, .. }) = (heard, notice) {
            world.give_back(hash);
        }
        true
    }

    /// Moves the world and tells what happened, whenever something does, until the handle is aborted: for tests
    /// through an edge, where nobody turns the crank.
    pub fn run(&self, listener: Arc<dyn RailListener>) -> JoinHandle<()> {
        let rail = self.clone();
        tokio::spawn(async move {
            loop {
                rail.deliver(listener.as_ref()).await;
                if !rail.step() {
                    // Nothing stirs: either way the waiting notices are told again.
                    let _ = tokio::time::timeout(TELL_AGAIN, rail.shared.stirred.notified()).await;
                }
            }
        })
    }
}
