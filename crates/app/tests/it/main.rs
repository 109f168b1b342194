//! The one road, its outbox and its timers, on a journal and a Lightning network in memory.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod again;
mod anchors;
mod bonds;
mod cache;
mod cause;
mod crash;
mod damaged;
mod disputes;
mod erase;
mod faults;
mod field_bugs;
mod follow;
mod golden;
mod log;
mod losses;
mod node;
mod notices;
mod outbox;
mod races;
mod requests;
mod roles;
mod room;
mod spent;
mod standing;
mod stories;
mod timers;
mod vault;
mod workers;
