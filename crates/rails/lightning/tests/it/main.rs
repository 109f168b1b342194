//! The node through its public API: real nodes, real channels, real blocks.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod anchors;
mod chain;
mod channels;
mod deadline;
mod holds;
mod onchain;
mod payouts;
mod restart;
mod routing;
mod seed;
mod stage;
mod stale;
