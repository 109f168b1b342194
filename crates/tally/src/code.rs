//! The codes of errors that reach the command line.

use tallystick_app::{AppError, log::TreeError, port::journal::StoreError};
use tallystick_core::{Code, Coded};

/// The code of an error of the store, whatever was done to it on its way. Other errors that have a code tell it in their words.
#[must_use]
pub fn code(error: &anyhow::Error) -> Option<Code> {
    error.chain().find_map(|cause| {
        let store = cause.downcast_ref::<StoreError>().map(Coded::code);
        let app = || cause.downcast_ref::<AppError>().map(Coded::code);
        store.or_else(app).or_else(|| cause.downcast_ref::<TreeError>().map(Coded::code))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_store_s_code_is_told_whatever_is_around_it() {
        let damaged = || StoreError::Corrupt("a row is missing".into());
        let around = Err::<(), _>(damaged()).context("while reading").unwrap_err();
        for error in [damaged().into(), around, AppError::from(damaged()).into(), TreeError::from(damaged()).into()] {
            assert_eq!(code(&error), Some(Code("store.corrupt")), "{error:#}");
        }
        assert_eq!(code(&anyhow::anyhow!("something else")), None);
    }
}
