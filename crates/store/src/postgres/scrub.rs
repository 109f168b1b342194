//! Making what was erased unreadable in the tables.
//!
//! PostgreSQL keeps the old version of a changed row until it is vacuumed. Afterwards its bytes may stay in free space of
//! a page until that is used again, and in the write-ahead log, its archive, standbys and backups until they are gone:
//! that is the operator's to see to.
//!
//! What an old snapshot may still read stays (a transaction that was begun before, a standby's feedback, a replication
//! slot). Other roles' snapshots are hidden from this one, so the outcome is looked at instead: erasing is all that ever
//! changes a row of `facts` or `authorities`, or deletes one of `evidence_parts` that was filed, and VACUUM counts the dead rows that it had to leave there.

use std::time::Duration;
use tallystick_app::port::journal::StoreError;
use tallystick_postgres::{PostgresOptions, connect_with};
use tokio::time::sleep;

use crate::postgres::error::{OrStore, Result, column};

/// Vacuuming reads the pages that have changed since it was done last: not many, but on a busy server it takes its time.
const SETTINGS: &str = "-c statement_timeout=600s -c lock_timeout=60s";
/// All tables that an erasure changes, with their indexes.
const VACUUM: &str = "VACUUM (INDEX_CLEANUP ON) facts, authorities, outbox, tasks,
    evidence, evidence_parts, evidence_keys";

/// Whether dead rows are left. An erasure that is counted late, after they were taken away, is one more reason to try again.
const LEFT: &str = "SELECT EXISTS (SELECT FROM pg_stat_user_tables
    WHERE relid IN ('facts'::regclass, 'authorities'::regclass, 'evidence_parts'::regclass) AND n_dead_tup > 0)";
/// What takes its time and passes, such as a query of somebody else, is waited for: so often, so long each time.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);

/// Vacuums what an erasure has changed, and looks whether it is gone.
pub(crate) async fn scrub(options: &PostgresOptions) -> Result<()> {
    let client = connect_with(options, SETTINGS).await?;
    for _ in 0..TRIES {
        client.batch_execute(VACUUM).await.or_store()?;
        if !column::<bool>(&client.query_one(LEFT, &[]).await.or_store()?, 0)? {
            return Ok(());
        }
        sleep(PAUSE).await;
    }
    Err(StoreError::ErasingWaits(
        "an old transaction, a standby or a replication slot still keeps what was erased: end it, and erase again \
         (docs/runbooks/erasing.md)"
            .into(),
    ))
}
