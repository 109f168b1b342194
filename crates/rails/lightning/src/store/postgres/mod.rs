//! The store's tables in a PostgreSQL database, beside the journal's.
//!
//! LDK asks for what is stored in the middle of its own locks and cannot wait for a future: each connection has a thread
//! with a small runtime of its own, and whoever asks blocks for as long as the query takes.

mod paid;
mod read;
mod rows;
mod session;
mod write;

use tallystick_postgres::{Lease, Part, PostgresOptions, connect_with};

use super::backend::Pair;
use crate::LightningError;
pub(crate) use paid::PaidHashes;
use session::Session;

/// The tables, all with one prefix.
const PART: Part =
    Part { name: "lightning", migrations: &[include_str!("../../../migrations/postgres/0001_node.sql")] };

/// Settings of all sessions: nobody hangs for ever, and a writer that hangs holds the lease's row no longer than this.
const SETTINGS: &str = "-c statement_timeout=30s -c lock_timeout=15s -c idle_in_transaction_session_timeout=10s \
    -c jit=off -c enable_seqscan=off";

/// Opens the tables, makes them if there are none. Everything is written under `lease`. Blocks.
pub(super) fn open(options: &PostgresOptions, lease: Lease) -> Result<Pair, LightningError> {
    let writer = write::PostgresWriter::open(options, lease)?;
    let reader = read::PostgresReader::open(options)?;
    Ok((Box::new(writer), Box::new(reader)))
}

/// Makes the node's tables in a database, or brings them to the newest version.
///
/// # Errors
/// [`LightningError::Store`] if the database does not answer, or a later program wrote them.
pub async fn prepare(options: &PostgresOptions) -> Result<(), LightningError> {
    let client = connect_with(options, SETTINGS).await.map_err(|error| failed(&error))?;
    PART.migrate(&client).await.map_err(|error| failed(&error))
}

fn failed(error: &tallystick_app::port::journal::StoreError) -> LightningError {
    LightningError::Store(error.to_string())
}
