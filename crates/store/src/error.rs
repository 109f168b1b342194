//! What both stores answer alike.

use tallystick_app::port::journal::StoreError;

/// Shorthand for what most functions here answer.
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The answer after a store was closed, or after its writer stopped.
pub(crate) fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".into())
}
