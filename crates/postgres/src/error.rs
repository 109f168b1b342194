//! PostgreSQL's errors in the port's words.

use std::error::Error as _;
use tallystick_app::port::journal::StoreError;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::FromSql;
use tokio_postgres::{Error, Row};

/// What everything here answers.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// Translates. The text has the server's message and code, never its detail, which may quote a value that was bound.
#[must_use]
pub fn store_error(error: &Error) -> StoreError {
    let Some(answer) = error.as_db_error() else {
        let mut text = format!("PostgreSQL: {error}");
        let mut source = error.source();
        while let Some(why) = source {
            text += &format!(": {why}");
            source = why.source();
        }
        return StoreError::Unavailable(text);
    };
    let text = format!("PostgreSQL: {} ({})", answer.message(), answer.code().code());
    let code = answer.code();
    // What is written has no NULL and breaks no CHECK: the row that was there does.
    let damage =
        [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED, SqlState::NOT_NULL_VIOLATION, SqlState::CHECK_VIOLATION];
    if damage.contains(code) {
        StoreError::Corrupt(text)
    } else if *code == SqlState::CHARACTER_NOT_IN_REPERTOIRE || *code == SqlState::PROGRAM_LIMIT_EXCEEDED {
        StoreError::Limit(text)
    } else {
        StoreError::Unavailable(text)
    }
}

/// `?` for PostgreSQL's errors where the port's are asked for.
pub trait OrStore<T> {
    /// Translates the error.
    ///
    /// # Errors
    /// What the server or the connection said.
    fn or_store(self) -> Result<T>;
}

impl<T> OrStore<T> for Result<T, Error> {
    fn or_store(self) -> Result<T> {
        self.map_err(|error| store_error(&error))
    }
}

/// A column's value.
///
/// # Errors
/// [`StoreError::Corrupt`] for a value of another type than the schema says.
pub fn column<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|error| StoreError::Corrupt(error.to_string()))
}
