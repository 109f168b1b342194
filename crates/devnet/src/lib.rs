//! x
pub mod chain;
pub mod mempool;
