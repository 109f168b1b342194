//! The real binary, real Lightning nodes, real blocks.
#![allow(clippy::print_stdout, reason = "a harness tells how much it has tried")]

mod chain;
mod client;
mod crash;
mod driver;
mod foreign;
mod kills;
mod secrets;
mod stories;
mod support;
