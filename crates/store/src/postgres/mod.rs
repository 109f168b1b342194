//! The store on a PostgreSQL database, which several processes may share.

mod batch;
mod error;
mod facts;
mod log;
mod options;
mod outbox;
mod plan;
mod readers;
mod schema;
mod session;
mod statements;
mod store;
mod tasks;
mod verify;
mod write;
mod writer;

pub use options::PostgresOptions;
pub use store::PostgresStore;
