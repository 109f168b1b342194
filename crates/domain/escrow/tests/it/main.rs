//! The rules of escrow, through their public API.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod arbitrary;
mod awaited;
mod blocks;
mod bonds;
mod disputes;
mod encoding;
mod golden;
mod holds;
mod invoices;
mod laws;
mod life;
mod matrix;
mod milestones;
mod money;
mod rejections;
mod renewal;
mod rewards;
mod tranches;
