//! The devnet through its public interface.

mod contract;
mod miner;
mod shapes;
