//! Both stores through their public API.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod copy;
mod damaging;
mod postgres;
mod powerless;
mod sqlite;
mod tampering;
mod writing;
