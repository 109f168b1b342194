//! The vocabulary against what others got wrong.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod collision;
