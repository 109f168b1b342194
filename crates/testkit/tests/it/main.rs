//! The fakes keep the contracts that the real adapters keep.

mod memory_store;
