//! What a replica without the node can tell about payments.

use std::sync::{Mutex, PoisonError};

use tallystick_core::PaymentHash;
use tallystick_postgres::PostgresOptions;

use super::Session;
use crate::LightningError;

/// Whether a hash was paid, read from the database.
pub(crate) struct PaidHashes(Mutex<Session>);

impl PaidHashes {
    /// Makes the tables if there are none. Blocks.
    pub(crate) fn open(options: &PostgresOptions) -> Result<Self, LightningError> {
        let session = Session::start("lightning-paid", options.clone())?;
        session.run(async |connection| {
            connection.ready().await?;
            super::PART.migrate(connection.client()?).await.map_err(|error| super::failed(&error))
        })?;
        Ok(Self(Mutex::new(session)))
    }

    /// Whether a payment on this hash is known. Blocks for as long as the query takes.
    pub(crate) fn contains(&self, hash: &PaymentHash) -> Result<bool, LightningError> {
        const PAID: &str = "SELECT 1 FROM lightning_payments WHERE outbound AND hash = $1 LIMIT 1";
        let session = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(!session.query(PAID, vec![Box::new(hash.0.to_vec())])?.is_empty())
    }
}
