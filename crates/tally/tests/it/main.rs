//! The real binary, real Lightning nodes, real blocks.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a harness tells how much it has tried, and what failed")]

mod admin;
mod anchors;
mod backup;
mod bonds;
mod chain;
mod client;
mod crash;
mod damage;
mod demo;
mod driver;
mod foreign;
mod gate;
mod hammer;
mod kills;
mod liar;
mod longer;
mod mark;
mod mortal;
mod moving;
mod nip44;
mod paying;
mod proofs;
mod replicas;
mod restoring;
mod secrets;
mod silent;
mod soak;
mod standing;
mod store;
mod stories;
mod support;
mod verify;
mod witness;
mod words;
