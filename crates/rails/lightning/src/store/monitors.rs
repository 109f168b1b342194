//! Monitors as they are read back at start.

use super::rows::unsigned;
use super::{Store, lock_of};
use crate::LightningError;

/// A whole monitor, and the updates that came after it, in order.
pub(crate) struct StoredMonitor {
    pub(crate) body: Vec<u8>,
    pub(crate) updates: Vec<(u64, Vec<u8>)>,
}

impl Store {
    /// All monitors that are not archived.
    pub(crate) fn monitors(&self) -> Result<Vec<StoredMonitor>, LightningError> {
        let reader = lock_of(&self.reader);
        let mut monitors = reader.prepare("SELECT name, body FROM monitors WHERE archived = 0 ORDER BY name")?;
        let mut updates = reader.prepare("SELECT number, body FROM monitor_updates WHERE name = ?1 ORDER BY number")?;
        let mut found = Vec::new();
        let mut rows = monitors.query([])?;
        while let Some(row) = rows.next()? {
            let name: String = row.get(0)?;
            let updates = updates.query_map([name], |row| Ok((unsigned(row, 0)?, row.get(1)?)))?;
            found.push(StoredMonitor { body: row.get(1)?, updates: updates.collect::<Result<_, _>>()? });
        }
        Ok(found)
    }
}
