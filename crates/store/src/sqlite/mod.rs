//! The store on one SQLite file.

mod append;
mod erase;
mod error;
mod evidence;
pub(crate) mod facts;
mod file;
mod indexes;
mod ledger;
mod lock;
mod log;
mod outbox;
mod readers;
mod requests;
mod schema;
mod snapshot;
mod store;
mod tasks;
mod verify;
mod writer;

pub(crate) use file::{make as own_file, options as new_file};
pub(crate) use ledger::Ledger;
pub(crate) use lock::LockFile;
pub(crate) use schema::{
    APPLICATION_ID, check_pages, cut_log, identify, migrations, open_reader as reader, open_writer, pragma,
};
pub use snapshot::SqliteSnapshot;
pub use store::SqliteStore;
pub(crate) use verify::page as verify_page;

/// Translates SQLite's errors for what reads its files beside the store.
pub(crate) fn or_store<T>(result: rusqlite::Result<T>) -> error::Result<T> {
    error::OrStore::or_store(result)
}
