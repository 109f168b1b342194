//! The standard output, which may be closed at any time: `tally task list | head -1`.

use anyhow::Result;
use serde_json::Value;
use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

/// Prints a line.
///
/// # Errors
/// If nobody reads it.
pub(crate) fn line(text: impl Display) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// Prints an answer for people.
///
/// # Errors
/// As [`line()`].
pub(crate) fn pretty(answer: &Value) -> Result<()> {
    line(serde_json::to_string_pretty(answer)?)
}

/// Takes it for a good end when nobody reads any more.
///
/// # Errors
/// Any other error.
pub(crate) fn until_closed(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == ErrorKind::BrokenPipe) => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_closed_pipe_is_a_good_end() {
        let io = |kind: ErrorKind| Err(io::Error::from(kind).into());
        assert!(until_closed(Ok(())).is_ok());
        assert!(until_closed(io(ErrorKind::BrokenPipe)).is_ok());
        assert!(until_closed(io(ErrorKind::StorageFull)).is_err());
        assert!(until_closed(Err(anyhow::anyhow!("no"))).is_err());
    }
}
