//! The log through its public interface.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod anchors;
mod bundles;
mod notes;
#[allow(clippy::disallowed_methods, reason = "vectors are files")]
mod ots;
mod support;
mod tiles;
mod trees;
#[allow(clippy::disallowed_methods, reason = "vectors are files")]
mod vectors;
