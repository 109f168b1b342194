//! A witness through its public interface: by itself, and over HTTP with the client that the node uses.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod conversation;
mod crashes;
mod disk;
mod histories;
mod limits;
mod races;
mod rules;
mod support;
