//! What products share about people: [`dispute`]s, the [`draw`] of their panels, the [`registry`] of arbitrators,
//! the node's [`roles`], [`reputation`] and what looks odd.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`dispute`] | from opening to a ruling, an appeal included; a part of its host's state |
//! | [`draw`] | who is asked to sit on a panel, from a block's hash: anyone can recompute it |
//! | [`registry`] | who may be drawn; a stream for each arbitrator |
//! | [`roles`] | who may do what with the node itself: operators, admins, second factors |
//! | [`reputation`] | standing: a number that explains itself |
//! | [`anomaly`] | what looks odd, with the evidence; nobody is punished by it |
//!
//! # Invariants
//! * Pure: no clock, no randomness, no IO, no floats. Times, heights, ids and block hashes are passed in.
//! * No money is moved in here: a host reads a dispute's outcome, and carries it out by its own rules.

#![forbid(unsafe_code)]

pub mod anomaly;
pub mod dispute;
pub mod draw;
pub mod registry;
pub mod reputation;
pub mod roles;
