//! The rules of escrow, through their public API.

mod arbitrary;
mod blocks;
mod encoding;
mod golden;
mod holds;
mod invoices;
mod laws;
mod life;
mod matrix;
mod money;
mod rejections;
mod tranches;
