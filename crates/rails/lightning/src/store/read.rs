//! Reads. What is queued is newer than the database, so both are looked at under one lock.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use tallystick_app::port::rail::RailNotice;
use tallystick_core::{Digest32, PaymentHash};

use super::rows::{self, PAYMENT_COLUMNS, PaymentKey, PaymentRow, read_payment};
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
        self.payments_where("outbound = 1 AND hash = ?1", Some(hash), |row| row.is_outbound() && row.hash == *hash)
    }

    /// Payments to us that are not done.
    pub(crate) fn inbound_pending(&self) -> Result<Vec<PaymentRow>, LightningError> {
        self.payments_where("outbound = 0 AND status = 0", None, |row| !row.is_outbound() && row.is_pending())
    }

    /// Payments of ours that are not done.
    pub(crate) fn outbound_pending(&self) -> Result<Vec<PaymentRow>, LightningError> {
        self.payments_where("outbound = 1 AND status = 0", None, |row| row.is_outbound() && row.is_pending())
    }

    /// The newest payments first.
    pub(crate) fn newest_payments(&self, limit: u32) -> Result<Vec<PaymentRow>, LightningError> {
        let queue = lock_of(&self.queue);
        let reader = lock_of(&self.reader);
        let sql = format!("SELECT {PAYMENT_COLUMNS} FROM payments ORDER BY updated_at DESC LIMIT ?1");
        let mut found: Vec<PaymentRow> =
            reader.prepare_cached(&sql)?.query_map([limit], read_payment)?.collect::<Result<_, _>>()?;
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
        let sql = format!("SELECT {PAYMENT_COLUMNS} FROM payments WHERE outbound = ?1 AND id = ?2");
        let reader = lock_of(&self.reader);
        let row = reader.prepare_cached(&sql)?.query_row(params![key.0, key.1], read_payment).optional()?;
        Ok(row)
    }

    fn payments_where(
        &self,
        condition: &str,
        hash: Option<&PaymentHash>,
        belongs: impl Fn(&PaymentRow) -> bool,
    ) -> Result<Vec<PaymentRow>, LightningError> {
        let queue = lock_of(&self.queue);
        let reader = lock_of(&self.reader);
        let sql = format!("SELECT {PAYMENT_COLUMNS} FROM payments WHERE {condition}");
        let mut statement = reader.prepare_cached(&sql)?;
        let found = match hash {
            Some(hash) => statement.query_map([hash.0], read_payment)?,
            None => statement.query_map([], read_payment)?,
        };
        let mut found: Vec<PaymentRow> = found.collect::<Result<_, _>>()?;
        found.retain(|row| queue.payment(&row.key()).is_none());
        found.extend(queue.newer_payments().filter(|row| belongs(row)).cloned());
        Ok(found)
    }

    /// The channel manager of the last run.
    pub(crate) fn manager(&self) -> Result<Option<Vec<u8>>, LightningError> {
        let reader = lock_of(&self.reader);
        let sealed: Option<Vec<u8>> = reader.query_row("SELECT body FROM manager", [], |row| row.get(0)).optional()?;
        sealed.map(|sealed| self.vault.open("the channel manager", MANAGER, &sealed)).transpose()
    }

    /// The wallet's changes, oldest first.
    pub(crate) fn wallet_changes(&self) -> Result<Vec<Vec<u8>>, LightningError> {
        let reader = lock_of(&self.reader);
        let mut statement = reader.prepare("SELECT body FROM wallet ORDER BY number")?;
        let changes = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(changes)
    }
}

/// Notices that were not heard, oldest first.
pub(super) fn notices(reader: &Connection) -> Result<Vec<(u64, RailNotice)>, LightningError> {
    let mut statement = reader.prepare("SELECT number, kind, id, hash, value, height FROM notices ORDER BY number")?;
    let notices = statement.query_map([], rows::read_notice)?.collect::<Result<_, _>>()?;
    Ok(notices)
}

/// Sealed preimages of payments that were made, from the store of a node that need not be running.
pub(crate) fn sealed_preimages(dir: &Path) -> Result<Vec<(PaymentHash, Vec<u8>)>, LightningError> {
    let reader = super::open_reader(&dir.join(super::FILE_NAME))?;
    let mut statement = reader.prepare("SELECT hash, sealed FROM payments WHERE sealed IS NOT NULL ORDER BY hash")?;
    let sealed =
        statement.query_map([], |row| Ok((PaymentHash(row.get(0)?), row.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(sealed)
}
