//! Monitors as they are read back at start.

use super::rows::unsigned;
use super::{Store, lock_of, monitor_place, update_place};
use crate::LightningError;

const WHAT: &str = "a channel monitor";

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
            let (name, sealed): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let body = self.vault.open(WHAT, &monitor_place(&name), &sealed)?;
            let mut opened = Vec::new();
            let mut later = updates.query([&name])?;
            while let Some(row) = later.next()? {
                let (number, sealed): (u64, Vec<u8>) = (unsigned(row, 0)?, row.get(1)?);
                opened.push((number, self.vault.open(WHAT, &update_place(&name, number), &sealed)?));
            }
            found.push(StoredMonitor { body, updates: opened });
        }
        Ok(found)
    }
}
