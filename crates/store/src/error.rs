//! What both stores answer alike.

use tallystick_app::port::journal::StoreError;

/// Shorthand for what most functions here answer.
pub(crate) type Result<T, E = StoreError> = std::result::Result<T, E>;

/// The answer after a store was closed, or after its writer stopped.
pub(crate) fn closed() -> StoreError {
    StoreError::Unavailable("it is closed".into())
}

/// The answer of a store that has lost how far its log has come: a row that is always there.
pub(crate) fn no_log_state() -> StoreError {
    StoreError::Corrupt("how far the log has come is missing".into())
}

/// The answer of what only reads, about tables of another version than this program's.
pub(crate) fn other_schema(version: i64, known: u64) -> StoreError {
    let mend = if u64::try_from(version).is_ok_and(|version| version > known) {
        "run the program that wrote them, or a newer one"
    } else {
        "bring them up to date with `tally store migrate`, or run the program that wrote them"
    };
    StoreError::Unavailable(format!("the tables have schema version {version}, and this program reads {known}: {mend}"))
}
