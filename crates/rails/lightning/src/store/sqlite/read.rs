//! Reading.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension, params};
use tallystick_app::port::rail::RailNotice;
use tallystick_core::PaymentHash;

use super::rows::{PAYMENT_COLUMNS, read_notice, read_payment, unsigned};
use super::{FILE_NAME, open_reader};
use crate::LightningError;
use crate::store::backend::{Reader, SealedMonitor, Which};
use crate::store::rows::{PaymentKey, PaymentRow};

pub(super) struct SqliteReader(pub(super) Connection);

impl Reader for SqliteReader {
    fn manager(&mut self) -> Result<Option<Vec<u8>>, LightningError> {
        Ok(self.0.query_row("SELECT body FROM manager", [], |row| row.get(0)).optional()?)
    }

    fn monitors(&mut self) -> Result<Vec<SealedMonitor>, LightningError> {
        let mut monitors = self.0.prepare("SELECT name, body FROM monitors WHERE archived = 0 ORDER BY name")?;
        let mut updates = self.0.prepare("SELECT number, body FROM monitor_updates WHERE name = ?1 ORDER BY number")?;
        let mut found = Vec::new();
        let mut rows = monitors.query([])?;
        while let Some(row) = rows.next()? {
            let (name, body): (String, Vec<u8>) = (row.get(0)?, row.get(1)?);
            let later = updates.query_map([&name], |row| Ok((unsigned(row, 0)?, row.get(1)?)))?;
            let updates = later.collect::<Result<_, _>>()?;
            found.push(SealedMonitor { name, body, updates });
        }
        Ok(found)
    }

    fn kv(&mut self, primary: &str, secondary: &str, key: &str) -> Result<Option<Vec<u8>>, LightningError> {
        let mut statement =
            self.0.prepare_cached("SELECT body FROM kv WHERE spot1 = ?1 AND spot2 = ?2 AND key = ?3")?;
        Ok(statement.query_row([primary, secondary, key], |row| row.get(0)).optional()?)
    }

    fn kv_keys(&mut self, primary: &str, secondary: &str) -> Result<Vec<String>, LightningError> {
        let mut statement = self.0.prepare_cached("SELECT key FROM kv WHERE spot1 = ?1 AND spot2 = ?2")?;
        let keys = statement.query_map([primary, secondary], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(keys)
    }

    fn payment(&mut self, key: PaymentKey) -> Result<Option<PaymentRow>, LightningError> {
        let sql = format!("SELECT {PAYMENT_COLUMNS} FROM payments WHERE outbound = ?1 AND id = ?2");
        Ok(self.0.prepare_cached(&sql)?.query_row(params![key.0, key.1], read_payment).optional()?)
    }

    fn payments(&mut self, which: Which) -> Result<Vec<PaymentRow>, LightningError> {
        let (condition, hash) = match which {
            Which::OutboundOn(hash) => ("outbound = 1 AND hash = ?1", Some(hash)),
            Which::InboundPending => ("outbound = 0 AND status = 0", None),
            Which::OutboundPending => ("outbound = 1 AND status = 0", None),
        };
        let sql = format!("SELECT {PAYMENT_COLUMNS} FROM payments WHERE {condition}");
        let mut statement = self.0.prepare_cached(&sql)?;
        let found = match hash {
            Some(hash) => statement.query_map([hash.0], read_payment)?,
            None => statement.query_map([], read_payment)?,
        };
        Ok(found.collect::<Result<_, _>>()?)
    }

    fn newest_payments(&mut self, limit: u32) -> Result<Vec<PaymentRow>, LightningError> {
        let sql = format!("SELECT {PAYMENT_COLUMNS} FROM payments ORDER BY updated_at DESC LIMIT ?1");
        let rows = self.0.prepare_cached(&sql)?.query_map([limit], read_payment)?.collect::<Result<_, _>>()?;
        Ok(rows)
    }

    fn notices(&mut self) -> Result<Vec<(u64, RailNotice)>, LightningError> {
        let mut statement =
            self.0.prepare("SELECT number, kind, id, hash, value, height FROM notices ORDER BY number")?;
        let notices = statement.query_map([], read_notice)?.collect::<Result<_, _>>()?;
        Ok(notices)
    }

    fn wallet_changes(&mut self) -> Result<Vec<Vec<u8>>, LightningError> {
        let mut statement = self.0.prepare("SELECT body FROM wallet ORDER BY number")?;
        let changes = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(changes)
    }
}

/// Sealed preimages of payments that were made, from the store of a node that need not be running.
pub(crate) fn sealed_preimages(dir: &Path) -> Result<Vec<(PaymentHash, Vec<u8>)>, LightningError> {
    let reader = open_reader(&dir.join(FILE_NAME))?;
    let mut statement = reader.prepare("SELECT hash, sealed FROM payments WHERE sealed IS NOT NULL ORDER BY hash")?;
    let sealed =
        statement.query_map([], |row| Ok((PaymentHash(row.get(0)?), row.get(1)?)))?.collect::<Result<_, _>>()?;
    Ok(sealed)
}
