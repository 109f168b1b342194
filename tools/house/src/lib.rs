//! The lints of our own, as tests: see `tests/`. This crate has no code, so that they run before anything is built.
