//! SQLite's errors in the port's words.

use rusqlite::{Error, ErrorCode, ffi::SQLITE_CONSTRAINT_COMMITHOOK};
use tallystick_app::port::journal::StoreError;

pub(crate) use crate::error::{Result, closed};

/// Translates. The text names the failure and at most the SQL, never a value that was bound.
pub(crate) fn store_error(error: &Error) -> StoreError {
    match error {
        Error::ToSqlConversionFailure(why) => StoreError::Limit(why.to_string()),
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => StoreError::Corrupt(error.to_string()),
        // No row breaks a rule: the commit itself was refused.
        Error::SqliteFailure(failure, _) if failure.extended_code == SQLITE_CONSTRAINT_COMMITHOOK => {
            StoreError::Unavailable(error.to_string())
        }
        _ => match error.sqlite_error_code() {
            // What is written breaks no rule: the row that was there does.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::ConstraintViolation) => {
                StoreError::Corrupt(error.to_string())
            }
            _ => StoreError::Unavailable(error.to_string()),
        },
    }
}

/// Whether going on after this error could acknowledge what is not on disk.
pub(crate) fn is_fatal(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
    )
}

/// `?` for SQLite's errors where the port's are asked for.
pub(crate) trait OrStore<T> {
    /// Translates the error.
    fn or_store(self) -> Result<T>;
}

impl<T> OrStore<T> for rusqlite::Result<T> {
    fn or_store(self) -> Result<T> {
        self.map_err(|error| store_error(&error))
    }
}
