//! What a command tells on its standard output, which may be closed at any time: `tally fsck | head -1`.

use std::{
    fmt::Arguments,
    io::{ErrorKind, Result, Write},
};

/// As std's `println!`; but a pipe that is closed ends the telling, and neither the command nor its outcome.
macro_rules! say {
    ($($words:tt)*) => { $crate::say::line(format_args!($($words)*)) };
}

/// Writes a line.
///
/// # Panics
/// As std's `println!`, if it cannot be written for another reason than that nobody reads it any more.
pub(crate) fn line(words: Arguments<'_>) {
    heard(writeln!(std::io::stdout(), "{words}"));
}

fn heard(written: Result<()>) {
    if let Err(error) = written {
        assert!(error.kind() == ErrorKind::BrokenPipe, "cannot write to the standard output: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_no_failure() {
        heard(Err(ErrorKind::BrokenPipe.into()));
    }

    #[test]
    #[should_panic(expected = "cannot write")]
    fn a_full_disk_is_one() {
        heard(Err(ErrorKind::StorageFull.into()));
    }
}
