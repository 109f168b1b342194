//! Bundles: what they prove, and that nothing else passes for one.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod anchors;
mod signatures;
mod support;
mod tampering;
