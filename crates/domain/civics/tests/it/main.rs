//! The rules about people, through their public API.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod anomalies;
mod arbitrators;
mod attacks;
mod laws;
mod standings;
mod support;
