//! The SQLite store through its public API.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod contract;
mod crash;
mod damage;
mod files;
