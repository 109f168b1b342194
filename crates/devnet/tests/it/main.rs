//! The devnet through its public interface.

mod miner;
