//! The store on one SQLite file.

mod append;
mod erase;
mod error;
mod facts;
mod file;
mod ledger;
mod lock;
mod log;
mod outbox;
mod readers;
mod requests;
mod schema;
mod store;
mod tasks;
mod verify;
mod writer;

pub use store::SqliteStore;
