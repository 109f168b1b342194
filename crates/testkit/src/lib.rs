//! Fakes, a given/when/then harness and the contract suites that every adapter runs.
