//! The simulator itself: clean seeds, seeds that come out the same again, and bugs that it has to find.

mod seeds;
