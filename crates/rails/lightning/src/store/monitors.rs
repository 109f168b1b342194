//! Monitors as they are read back at start.

use super::backend::SealedMonitor;
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
        let stored = lock_of(&self.reader).monitors()?;
        let mut found = Vec::new();
        for SealedMonitor { name, body, updates } in stored {
            let body = self.vault.open(WHAT, &monitor_place(&name), &body)?;
            let mut opened = Vec::new();
            for (number, sealed) in updates {
                opened.push((number, self.vault.open(WHAT, &update_place(&name, number), &sealed)?));
            }
            found.push(StoredMonitor { body, updates: opened });
        }
        Ok(found)
    }
}
