//! Fakes, a given/when/then harness and the contract suites that every adapter runs.
//!
//! | module | what it is |
//! | --- | --- |
//! | [`again()`] | this test's file again, as a child |
//! | [`cases()`] | how many cases a property test tries |
//! | [`mod@chain_suite`] | the contract of Bitcoin Core's JSON-RPC |
//! | [`clock`] | a clock set by hand |
//! | [`FixedDisputes`] | disputes that a test says how they stand |
//! | [`escrow`] | given/when/then for the rules of escrow |
//! | [`mod@machine`] | what the machine itself can do, for benches |
//! | [`memory_store`] | the journal and the read model in memory |
//! | [`postgres`] | a PostgreSQL server of our own, thrown away afterwards |
//! | [`power`] | a disk that loses power |
//! | [`mod@published`] | a log that is published |
//! | [`rail`] | a Lightning network in memory |
//! | [`mod@store_suite`] | the contract of journal, log and read model |
//! | [`witness`] | a witness in memory |

mod again;
mod asked;
mod cases;
pub mod chain_suite;
pub mod clock;
pub mod crowd;
mod disputes;
pub mod escrow;
pub mod machine;
pub mod memory_store;
pub mod postgres;
pub mod power;
pub mod published;
pub mod rail;
mod signed;
pub mod store_suite;
mod tables;
pub mod witness;

pub use again::again;
pub use asked::{Requests, action_of, asked_body, asking, asking_at, asking_registry, asking_roles, asking_to_erase};
pub use cases::cases;
pub use clock::ManualClock;
pub use disputes::FixedDisputes;
pub use memory_store::MemoryStore;
pub use postgres::Cluster;
pub use published::publish;
pub use rail::SimRail;
pub use signed::signed_request;
pub use tables::{complete, golden, same_table};
pub use witness::SimWitness;
