//! Reads. What is queued is newer than the database, so both are looked at under one lock.

use tallystick_core::{Digest32, PaymentHash};

use super::backend::Which;
use super::rows::{PaymentKey, PaymentRow};
use super::{MANAGER, Store, lock_of};
use crate::LightningError;

impl Store {
    /// What came, or is held, on this hash.
    pub(crate) fn inbound(&self, hash: &PaymentHash) -> Result<Option<PaymentRow>, LightningError> {
        self.payment((false, hash.0))
    }

    /// What was paid under this id.
    pub(crate) fn outbound(&self, id: &Digest32) -> Result<Option<PaymentRow>, LightningError> {
        self.payment((true, id.0))
    }

    /// Everything that was paid on this hash.
    pub(crate) fn outbound_on(&self, hash: &PaymentHash) -> Result<Vec<PaymentRow>, LightningError> {
        self.payments(Which::OutboundOn(*hash))
    }

    /// Payments to us that are not done.
    pub(crate) fn inbound_pending(&self) -> Result<Vec<PaymentRow>, LightningError> {
        self.payments(Which::InboundPending)
    }

    /// Payments of ours that are not done.
    pub(crate) fn outbound_pending(&self) -> Result<Vec<PaymentRow>, LightningError> {
        self.payments(Which::OutboundPending)
    }

    /// The newest payments first.
    pub(crate) fn newest_payments(&self, limit: u32) -> Result<Vec<PaymentRow>, LightningError> {
        let queue = lock_of(&self.queue);
        let mut found = lock_of(&self.reader).newest_payments(limit)?;
        found.retain(|row| queue.payment(&row.key()).is_none());
        found.extend(queue.newer_payments().cloned());
        found.sort_by(|a, b| b.updated_at.cmp(&a.updated_at).then(b.id.cmp(&a.id)));
        found.truncate(limit as usize);
        Ok(found)
    }

    fn payment(&self, key: PaymentKey) -> Result<Option<PaymentRow>, LightningError> {
        let queue = lock_of(&self.queue);
        if let Some(row) = queue.payment(&key) {
            return Ok(Some(row.clone()));
        }
        lock_of(&self.reader).payment(key)
    }

    fn payments(&self, which: Which) -> Result<Vec<PaymentRow>, LightningError> {
        let queue = lock_of(&self.queue);
        let mut found = lock_of(&self.reader).payments(which)?;
        found.retain(|row| queue.payment(&row.key()).is_none());
        found.extend(queue.newer_payments().filter(|row| which.holds(row)).cloned());
        Ok(found)
    }

    /// The channel manager of the last run.
    pub(crate) fn manager(&self) -> Result<Option<Vec<u8>>, LightningError> {
        let sealed = lock_of(&self.reader).manager()?;
        sealed.map(|sealed| self.vault.open("the channel manager", MANAGER, &sealed)).transpose()
    }

    /// The wallet's changes, oldest first.
    pub(crate) fn wallet_changes(&self) -> Result<Vec<Vec<u8>>, LightningError> {
        lock_of(&self.reader).wallet_changes()
    }
}
