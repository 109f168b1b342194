//! The client against servers that answer what they are told to.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod answers;
mod server;
mod tls;
