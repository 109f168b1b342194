//! The simulator itself: clean seeds, seeds that come out the same again, and bugs that it has to find.
#![allow(clippy::print_stdout, reason = "what was found, and how soon, is worth reading")]

mod mutants;
mod seeds;
