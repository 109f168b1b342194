//! Making what was erased unreadable in the tables.
//!
//! PostgreSQL keeps the old version of a changed row until it is vacuumed. Afterwards its bytes may stay in free space of
//! a page until that is used again, and in the write-ahead log, its archive, standbys and backups until they are gone:
//! that is the operator's to see to.

use tallystick_postgres::{OrStore, PostgresOptions, connect_with};

use crate::postgres::error::Result;

/// Vacuuming reads the pages that have changed since it was done last: not many, but on a busy server it takes its time.
const SETTINGS: &str = "-c statement_timeout=600s -c lock_timeout=60s";
/// All tables that an erasure changes, with their indexes.
const VACUUM: &str = "VACUUM (INDEX_CLEANUP ON) facts, authorities, outbox, tasks";

/// Vacuums what an erasure has changed.
pub(crate) async fn scrub(options: &PostgresOptions) -> Result<()> {
    let client = connect_with(options, SETTINGS).await?;
    client.batch_execute(VACUUM).await.or_store()
}
