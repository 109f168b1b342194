//! Fakes, a given/when/then harness and the contract suites that every adapter runs.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`memory_store`] | the journal and the read model in memory |
//! | [`store_suite`] | the contract of journal and read model |

pub mod memory_store;
pub mod store_suite;

pub use memory_store::MemoryStore;
