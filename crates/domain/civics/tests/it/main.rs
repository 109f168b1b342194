//! The rules of disputes and of the registry, through their public API.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod appeals;
mod arbitrary;
mod ballots;
mod draws;
mod given;
mod golden;
mod laws;
mod life;
mod matrix;
mod registry;
mod rejections;
