//! The rules about people, through their public API.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod anomalies;
mod appeals;
mod arbitrary;
mod arbitrators;
mod attacks;
mod ballots;
mod draws;
mod given;
mod golden;
mod laws;
mod life;
mod matrix;
mod registry;
mod rejections;
mod roles;
mod standing_laws;
mod standings;
mod support;
