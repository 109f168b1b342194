//! Stable error codes.
//!
//! A code such as `escrow.not_funded` is part of the public interface: clients branch on it, so it never
//! changes its meaning. The sentence beside it may.

use std::fmt;

/// A stable code: a room and a reason, joined by a dot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// An error or rejection with a stable code.
pub trait Coded: fmt::Display {
    /// The code of this error.
    fn code(&self) -> Code;
}
