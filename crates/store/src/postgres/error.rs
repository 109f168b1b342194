//! PostgreSQL's errors in the port's words.

use tallystick_app::port::journal::StoreError;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Error, Row};

pub(crate) use crate::error::{Result, closed};
pub(crate) use tallystick_postgres::{OrStore, column, store_error};

/// Whether going on after this error would build on what may be damaged.
pub(crate) fn is_fatal(error: &Error) -> bool {
    [SqlState::DATA_CORRUPTED, SqlState::INDEX_CORRUPTED, SqlState::IO_ERROR]
        .iter()
        .any(|code| error.code() == Some(code))
}

/// Whether the same transaction may succeed when it is begun again: the server undid it for the sake of another one,
/// or went away.
pub(crate) fn is_passing(error: &Error) -> bool {
    match error.code() {
        None => true,
        Some(code) => ["40", "08", "57P"].iter().any(|class| code.code().starts_with(class)),
    }
}

/// Whether the server refused what one job brought: data of a wrong form, a constraint, a limit of the server.
pub(crate) fn is_bad_value(error: &Error) -> bool {
    error.code().is_some_and(|code| ["22", "23", "54"].iter().any(|class| code.code().starts_with(class)))
}

/// A number that is never negative.
pub(crate) fn unsigned(row: &Row, index: usize) -> Result<u64> {
    let number: i64 = column(row, index)?;
    u64::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} where no negative number can be")))
}

/// The same of 32 bits.
pub(crate) fn unsigned_32(row: &Row, index: usize) -> Result<u32> {
    let number: i64 = column(row, index)?;
    u32::try_from(number).map_err(|_| StoreError::Corrupt(format!("{number} where 32 bits without a sign are")))
}

/// A digest.
pub(crate) fn digest(row: &Row, index: usize) -> Result<tallystick_core::Digest32> {
    let bytes: &[u8] = column(row, index)?;
    let digest = bytes.try_into().map_err(|_| StoreError::Corrupt(format!("a digest of {} bytes", bytes.len())))?;
    Ok(tallystick_core::Digest32(digest))
}

/// 32 bytes, or nothing.
pub(crate) fn bytes_32(row: &Row, index: usize) -> Result<Option<[u8; 32]>> {
    let bytes: Option<&[u8]> = column(row, index)?;
    let exact =
        |bytes: &[u8]| bytes.try_into().map_err(|_| StoreError::Corrupt(format!("{} bytes where 32 are", bytes.len())));
    bytes.map(exact).transpose()
}

/// A number as SQL stores it: all that are stored have been checked to fit, and for a comparison all beyond are alike.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
