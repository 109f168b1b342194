//! The store on a PostgreSQL database, which several processes may share.

mod batch;
mod error;
mod evidence;
pub(crate) mod facts;
mod guards;
mod heads;
mod indexes;
mod log;
mod outbox;
mod plan;
#[cfg(test)]
mod plans;
mod readers;
mod schema;
mod scrub;
mod session;
mod snapshot;
mod statements;
mod store;
mod tasks;
mod verify;
mod write;
mod writer;

pub(crate) use error::unsigned;
pub use heads::{PostgresHeads, Turn};
pub(crate) use schema::{connect_writer, migrations, stored};
pub use snapshot::PostgresSnapshot;
pub use store::PostgresStore;
pub(crate) use verify::page as verify_page;
