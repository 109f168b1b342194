//! The real binary, real Lightning nodes, real blocks.

mod chain;
mod crash;
mod driver;
mod foreign;
mod kills;
mod secrets;
mod stories;
mod support;
