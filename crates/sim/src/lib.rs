//! A simulator that tries to break escrow.
//!
//! ```text
//! seed ─▶ drafts, steps (a plan) ─▶ real rules, real app ─┬─▶ journal in memory ─┐
//!                                                          └─▶ simulated network ─┴─▶ laws ─▶ sound, or a story
//! ```
//!
//! One thread, virtual time and blocks: a seed decides everything, down to which of two things that happen at once takes
//! its turn first. What was drawn is kept as a plan, so that a run that breaks a law can be played again with parts left
//! out, until what is left is short enough to be read.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`behaviour`] | what parties do and what goes wrong around them: two lists |
//! | [`law`] | what must hold: a list |
//! | [`plan`] | what happens, as data |
//! | [`draft`] | tasks as they are drawn |
//! | [`node`] | the node under test |
//! | [`run()`], [`hunt()`] | one run, many |
//! | [`shrink()`] | a shorter run that breaks the same law |
//!
//! # Invariants
//! * Nothing reads a clock or any randomness but the seed's; salts of private bodies are random, and change no decision.
//! * The laws do not ask the code under test what is right: they count again.

#![forbid(unsafe_code)]

mod act;
pub mod behaviour;
pub mod books;
pub mod draft;
mod draw;
mod hunt;
pub mod law;
pub mod node;
pub mod plan;
pub mod rng;
mod run;
mod shrink;
mod standby;
mod story;
mod wire;

pub use hunt::{Hunt, Hunted, hunt};
pub use law::Broken;
pub use node::Setup;
pub use run::{Ran, Source, run};
pub use shrink::{Shrunk, shrink};
