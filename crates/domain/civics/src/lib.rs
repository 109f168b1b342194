//! What products share about people.
//!
//! [`reputation`]: standing, a number that explains itself. [`anomaly`]: what looks odd, with the evidence.
//!
//! # Invariants
//! * Pure: no clock, no randomness, no IO, no floats. Time and facts are passed in.

#![forbid(unsafe_code)]

pub mod anomaly;
pub mod reputation;
