//! Whether the node is there: it dies and comes back, is cut off while it lives, and keeps the time.

use tallystick_app::{
    Clock,
    away::LastThere,
    port::{journal::Journal, limits::PAGE_MAX},
};
use tallystick_core::{Duration, Timestamp};

use super::{BLOCKS_AWAY_MAX, Player, WAIT};
use crate::{act::timers, plan::Cut, rng::Rng, standby::Both, wire::Refuses};

/// One death in so many takes what the node kept of when it was last there.
const LOST_ONE_IN: u64 = 8;
/// How often a node keeps the time at which it was there.
const ALIVE_EVERY_MILLIS: u64 = 5_000;
/// How often a node that lives looks whether it is there, at least: often enough that it counts as there all the time.
const LOOKS_EVERY_SECS: u64 = 30;
/// One absence in so many has a start that breaks off.
const FALSE_START_ONE_IN: u64 = 4;
/// The most notices that are told again after a crash.
const TOLD_AGAIN_MAX: u64 = 5;

impl Player<'_> {
    /// The process is gone, and comes back. What the network had been heard of, and nobody had written down that it was, it
    /// tells again.
    pub(super) async fn restart(&mut self, salt: u64) {
        self.die(salt).await;
        self.start(salt).await;
        self.tell_outage().await;
    }

    /// The process ends; it kept the time some seconds before it was last there. Sometimes what it kept is lost.
    async fn die(&mut self, salt: u64) {
        self.asked.extend(self.life.wire.asked());
        let since = salt % ALIVE_EVERY_MILLIS;
        let kept = |at: Timestamp| Timestamp::from_millis(at.as_millis().saturating_sub(since));
        self.there.at = self.there.at.map(kept);
        // The newest fact takes its place, which tells of no short gaps before, and nothing if the clock was set back since.
        let is_known = self.newest_at().await.is_some_and(|newest| newest <= self.world.clock.now());
        if is_known && self.there.gaps.is_none() && (salt >> 16).is_multiple_of(LOST_ONE_IN) {
            self.there = LastThere::default();
        }
    }

    /// When the newest fact was recorded.
    async fn newest_at(&self) -> Option<Timestamp> {
        let facts = self.world.store.facts(self.books.chain.len() as u64, PAGE_MAX).await;
        let newest = facts.expect("a store in memory does not fail").last().map(|fact| fact.recorded_at);
        newest.or(self.books.newest_at)
    }

    /// As the node starts: it keeps since when it was away before anything can be written.
    async fn start(&mut self, salt: u64) {
        self.there = self.there.starting(self.newest_at().await, self.world.clock.now());
        self.life = self.world.start(self.setup).await;
        // It tells of what comes from now on.
        self.is_new = true;
        let again = Rng::new(salt).below(TOLD_AGAIN_MAX + 1);
        self.world.rail.tell_again(usize::try_from(again).unwrap_or_default());
    }

    /// Before any timer runs, the node tells since when it was away.
    pub(super) async fn tell_outage(&mut self) {
        let told = self.life.app.attend_from(self.there).await;
        self.there = told.expect("a store in memory does not fail, and nobody else writes to this stream");
    }

    /// The node keeps the time, if it is there.
    async fn tick(&mut self) {
        if let Ok(there) = self.life.app.attend().await {
            self.there = there;
        }
    }

    /// The clock goes on, and the node with it, which keeps the time all along.
    pub(super) async fn go_on(&mut self, to: Timestamp) {
        // The first time it may take notice only that something was not written.
        self.tick().await;
        self.tick().await;
        self.world.clock.set(to);
        self.there.at = Some(to);
        self.tell_outage().await;
    }

    /// Nothing hides how long the node was not there: it comes to itself before. The first time it may take notice only that
    /// something was not written.
    pub(super) async fn before_the_clock_is_set(&mut self) {
        self.tick().await;
        self.tick().await;
        self.clock_set_after = self.outages.len();
    }

    /// The node lives on, and is not there. Its timers run meanwhile, unless it stands still.
    pub(super) async fn cut(&mut self, how: Cut, blocks: u32, secs: u64) {
        self.tick().await;
        let from = self.world.clock.now();
        self.set_cut(how, true);
        if how == Cut::Writes {
            // A node that lives looks for what is due, which has to be written down.
            let _ = self.life.outbox.run_once().await;
        }
        self.time_without_the_node(blocks, secs, how != Cut::Stands).await;
        self.outages.push((from, self.world.clock.now()));
        if how != Cut::Stands {
            // A journal that does not answer is an error, and nothing else.
            let _ = timers(&self.life).await;
        }
        self.set_cut(how, false);
        // Timers go on at once; what they cannot do now they do later.
        let _ = timers(&self.life).await;
        if self.blocks_away >= BLOCKS_AWAY_MAX || self.is_near() {
            self.rest().await;
        }
    }

    fn set_cut(&self, how: Cut, is_cut: bool) {
        match how {
            Cut::Stands => {}
            Cut::Journal => self.life.wire.refuse(if is_cut { Refuses::All } else { Refuses::Nothing }),
            Cut::Writes => self.life.wire.refuse(if is_cut { Refuses::Writes } else { Refuses::Nothing }),
            Cut::Network => self.world.rail.set_available(!is_cut),
            Cut::Users => self.life.wire.shut_out(is_cut),
        }
    }

    /// Blocks are found and the network moves, until a hold needs the node. A node that lives looks all the time whether it is
    /// there.
    async fn time_without_the_node(&mut self, blocks: u32, secs: u64, lives: bool) {
        let each = secs / u64::from(blocks.max(1));
        for block in 0..blocks.max(1) {
            let mut left = each;
            while lives && left > LOOKS_EVERY_SECS {
                self.world.clock.advance(Duration::from_secs(LOOKS_EVERY_SECS));
                self.tick().await;
                left -= LOOKS_EVERY_SECS;
            }
            self.world.clock.advance(Duration::from_secs(left));
            if blocks > block {
                self.world.rail.mine(1);
                self.blocks_away += 1;
            }
            self.world.rail.step();
            if self.blocks_away >= BLOCKS_AWAY_MAX || self.is_near() {
                break;
            }
        }
    }

    /// The node is away while blocks are found and the network moves, and comes back when a hold needs it. Some starts break
    /// off after they have heard what the network has to tell.
    pub(super) async fn away(&mut self, blocks: u32, secs: u64, salt: u64) {
        let from = self.world.clock.now();
        self.die(salt).await;
        self.time_without_the_node(blocks, secs, false).await;
        if (salt >> 32).is_multiple_of(FALSE_START_ONE_IN) {
            self.start(salt).await;
            self.world.rail.deliver(&Both(&self.life.app, &self.life.standby.app)).await;
            self.asked.extend(self.life.wire.asked());
            self.world.clock.advance(WAIT);
        }
        self.outages.push((from, self.world.clock.now()));
        self.start(salt).await;
        self.tell_outage().await;
        if self.blocks_away >= BLOCKS_AWAY_MAX || self.is_near() {
            self.rest().await;
        }
    }
}
