//! Both stores through their public API.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod copy;
mod damaging;
mod guards;
mod postgres;
mod powerless;
mod reading;
mod sqlite;
mod tampering;
mod vault;
mod writing;

use tallystick_app::port::journal::StoreError;

/// Why a store does not open.
fn refusal<S: std::fmt::Debug>(opened: Result<S, StoreError>) -> String {
    match opened {
        Err(StoreError::Unavailable(why)) => why,
        other => panic!("expected a refusal, got {other:?}"),
    }
}
