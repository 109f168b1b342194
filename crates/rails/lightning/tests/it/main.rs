//! The node through its public API: real nodes, real channels, real blocks.

mod channels;
mod deadline;
mod holds;
mod payouts;
mod restart;
mod routing;
mod seed;
mod stage;
