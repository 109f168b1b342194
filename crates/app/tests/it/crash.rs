//! Stops the node at every write to the journal and at every call into the rail, before and after it, starts it again
//! on what is left, and finds the story's end unchanged.

use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use tallystick_app::port::{
    journal::{Append, AppendError, Appended, Journal, PendingEffect, StoreError},
    layer::JournalLayer,
    rail::{ClaimState, HoldRail, HoldRequest, PayRequest, PayState, RailError},
};
use tallystick_core::{BlockHeight, Digest32, Msat, PaymentHash, Timestamp};
use tallystick_testkit::{MemoryStore, SimRail};
use tokio::sync::Notify;

use crate::{
    node::{Node, World},
    stories::{STORIES, Step, Story, check_end, walk},
};

/// At which side of a call the node stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The call never happens.
    Before,
    /// It happens, and nobody hears of it.
    After,
}

/// A wire that stops whoever crosses it at the `n`th call, counted from 1.
#[derive(Default)]
pub struct Wire {
    state: Mutex<(u32, Option<(u32, Side)>)>,
    pub crossed: Notify,
}

impl Wire {
    pub fn set_at(stop: Option<(u32, Side)>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new((0, stop)), crossed: Notify::new() })
    }

    fn calls(&self) -> u32 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// One call through the wire. A stopped one never returns: the process is dead.
    async fn cross<T>(&self, call: impl Future<Output = T>) -> T {
        let stop = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.0 += 1;
            // Once it has stopped, nothing goes through any more.
            state.1.filter(|(at, _)| *at <= state.0).map(|(at, side)| if at == state.0 { side } else { Side::Before })
        };
        if stop == Some(Side::Before) {
            self.die().await;
        }
        let answer = call.await;
        if stop == Some(Side::After) {
            self.die().await;
        }
        answer
    }

    async fn die(&self) {
        self.crossed.notify_one();
        std::future::pending().await
    }
}

struct WiredJournal(Arc<MemoryStore>, Arc<Wire>);

#[async_trait]
impl JournalLayer for WiredJournal {
    fn inner(&self) -> &dyn Journal {
        self.0.as_ref()
    }
    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.1.cross(self.0.append(append)).await
    }
    async fn scrub(&self) -> Result<(), StoreError> {
        self.1.cross(self.0.scrub()).await
    }
    async fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        epoch: u64,
        limit: u32,
    ) -> Result<Vec<PendingEffect>, StoreError> {
        self.1.cross(self.0.claim_effects(now, until, epoch, limit)).await
    }
    async fn defer_effect(&self, key: &str, until: Timestamp) -> Result<(), StoreError> {
        self.1.cross(self.0.defer_effect(key, until)).await
    }
    async fn finish_effect(&self, key: &str) -> Result<(), StoreError> {
        self.1.cross(self.0.finish_effect(key)).await
    }
    async fn admit(&self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> Result<bool, StoreError> {
        self.1.cross(self.0.admit(request, now, forget_after)).await
    }
}

struct WiredRail(SimRail, Arc<Wire>);

#[async_trait]
impl HoldRail for WiredRail {
    async fn hold_invoice(&self, request: HoldRequest) -> Result<String, RailError> {
        self.1.cross(self.0.hold_invoice(request)).await
    }
    async fn cancel_hold(&self, hash: PaymentHash) -> Result<(), RailError> {
        self.1.cross(self.0.cancel_hold(hash)).await
    }
    async fn claim_hold(&self, hash: PaymentHash) -> Result<ClaimState, RailError> {
        self.1.cross(self.0.claim_hold(hash)).await
    }
    async fn pay(&self, request: PayRequest) -> Result<PayState, RailError> {
        self.1.cross(self.0.pay(request)).await
    }
    async fn holds(&self) -> Result<Vec<(PaymentHash, Msat)>, RailError> {
        self.0.holds().await
    }
    fn height(&self) -> BlockHeight {
        self.0.height()
    }
    fn is_reachable(&self) -> bool {
        self.0.is_reachable()
    }
}

pub fn start(world: &World, wire: &Arc<Wire>) -> Node {
    let journal = WiredJournal(Arc::clone(&world.store), Arc::clone(wire));
    let rail = WiredRail(world.rail.clone(), Arc::clone(wire));
    world.start_with(Arc::new(journal), Arc::new(rail))
}

/// Plays a story with a stop at each of these calls, the second counted after the first, and so on. Answers how many
/// calls the last life made.
async fn play(story: &Story, stops: &[(u32, Side)]) -> u32 {
    let world = World::new();
    let mut stops = stops.iter().copied();
    let mut wire = Wire::set_at(stops.next());
    let mut node = start(&world, &wire);
    let mut steps = story.steps.iter().copied();
    let mut step = steps.next();
    while let Some(now) = step {
        if matches!(now, Step::Restart) {
            node = start(&world, &wire);
        }
        let stopped = tokio::select! {
            biased;
            () = wire.crossed.notified() => true,
            () = walk(&node, story, now) => false,
        };
        if stopped {
            wire = Wire::set_at(stops.next());
            node = start(&world, &wire);
        } else {
            step = steps.next();
        }
    }
    check_end(&world, &node, story).await;
    wire.calls()
}

/// A runtime of its own for each play: when it goes, so does everything that was stopped.
fn play_alone(story: &Story, stops: &[(u32, Side)]) -> u32 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let played = std::panic::AssertUnwindSafe(|| runtime.block_on(play(story, stops)));
    std::panic::catch_unwind(played).unwrap_or_else(|_| panic!("{}, stopped at {stops:?}", story.name))
}

#[test]
fn one_stop_at_every_call_changes_no_end() {
    for story in STORIES {
        let calls = play_alone(story, &[]);
        assert!(calls >= 15, "{} makes {calls} calls only: the wire is in the wrong place", story.name);
        for call in 1..=calls {
            for side in [Side::Before, Side::After] {
                play_alone(story, &[(call, side)]);
            }
        }
    }
}

#[test]
fn a_second_stop_soon_after_the_first_changes_no_end() {
    for story in STORIES {
        let calls = play_alone(story, &[]);
        for call in 1..=calls {
            for side in [Side::Before, Side::After] {
                for next in 1..=4 {
                    play_alone(story, &[(call, side), (next, Side::After)]);
                    play_alone(story, &[(call, side), (next, Side::Before), (1, Side::After)]);
                }
            }
        }
    }
}
