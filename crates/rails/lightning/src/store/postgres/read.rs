//! Reading.

use std::collections::BTreeMap;

use tallystick_app::port::rail::RailNotice;
use tallystick_postgres::PostgresOptions;
use tallystick_postgres::tokio_postgres::types::ToSql;

use super::Session;
use super::rows::{get, notice, payment, unsigned};
use crate::LightningError;
use crate::store::backend::{Reader, SealedMonitor, Which};
use crate::store::rows::{PaymentKey, PaymentRow};

macro_rules! payments {
    ($rest:literal) => {
        concat!(
            "SELECT id, kind, hash, amount, fee, status, reason, height, sealed, updated_at FROM lightning_payments ",
            $rest
        )
    };
}

const ONE: &str = payments!("WHERE outbound = $1 AND id = $2");
const NEWEST: &str = payments!("ORDER BY updated_at DESC LIMIT $1");
const OUTBOUND_ON: &str = payments!("WHERE outbound AND hash = $1");
const INBOUND_PENDING: &str = payments!("WHERE NOT outbound AND status = 0");
const OUTBOUND_PENDING: &str = payments!("WHERE outbound AND status = 0");

/// A value that the session's thread takes over.
type Owned = Box<dyn ToSql + Sync + Send>;

pub(super) struct PostgresReader(Session);

impl PostgresReader {
    pub(super) fn open(options: &PostgresOptions) -> Result<Self, LightningError> {
        Ok(Self(Session::start("lightning-reader", options.clone())?))
    }
}

fn text(text: &str) -> Owned {
    Box::new(text.to_owned())
}

impl Reader for PostgresReader {
    fn manager(&mut self) -> Result<Option<Vec<u8>>, LightningError> {
        let rows = self.0.query("SELECT body FROM lightning_manager", Vec::new())?;
        rows.first().map(|row| get(row, 0)).transpose()
    }

    fn monitors(&mut self) -> Result<Vec<SealedMonitor>, LightningError> {
        const MONITORS: &str = "SELECT name, body FROM lightning_monitors WHERE NOT archived ORDER BY name";
        const UPDATES: &str = "SELECT name, number, body FROM lightning_monitor_updates ORDER BY name, number";
        let mut updates: BTreeMap<String, Vec<(u64, Vec<u8>)>> = BTreeMap::new();
        for row in &self.0.query(UPDATES, Vec::new())? {
            updates.entry(get(row, 0)?).or_default().push((unsigned(row, 1)?, get(row, 2)?));
        }
        let mut found = Vec::new();
        for row in &self.0.query(MONITORS, Vec::new())? {
            let name: String = get(row, 0)?;
            let updates = updates.remove(&name).unwrap_or_default();
            found.push(SealedMonitor { name, body: get(row, 1)?, updates });
        }
        Ok(found)
    }

    fn kv(&mut self, primary: &str, secondary: &str, key: &str) -> Result<Option<Vec<u8>>, LightningError> {
        const KV: &str = "SELECT body FROM lightning_kv WHERE spot1 = $1 AND spot2 = $2 AND key = $3";
        let rows = self.0.query(KV, vec![text(primary), text(secondary), text(key)])?;
        rows.first().map(|row| get(row, 0)).transpose()
    }

    fn kv_keys(&mut self, primary: &str, secondary: &str) -> Result<Vec<String>, LightningError> {
        const KEYS: &str = "SELECT key FROM lightning_kv WHERE spot1 = $1 AND spot2 = $2 ORDER BY key";
        let rows = self.0.query(KEYS, vec![text(primary), text(secondary)])?;
        rows.iter().map(|row| get(row, 0)).collect()
    }

    fn payment(&mut self, key: PaymentKey) -> Result<Option<PaymentRow>, LightningError> {
        let rows = self.0.query(ONE, vec![Box::new(key.0), Box::new(key.1.to_vec())])?;
        rows.first().map(payment).transpose()
    }

    fn payments(&mut self, which: Which) -> Result<Vec<PaymentRow>, LightningError> {
        let rows = match which {
            Which::OutboundOn(hash) => self.0.query(OUTBOUND_ON, vec![Box::new(hash.0.to_vec())])?,
            Which::InboundPending => self.0.query(INBOUND_PENDING, Vec::new())?,
            Which::OutboundPending => self.0.query(OUTBOUND_PENDING, Vec::new())?,
        };
        rows.iter().map(payment).collect()
    }

    fn newest_payments(&mut self, limit: u32) -> Result<Vec<PaymentRow>, LightningError> {
        let rows = self.0.query(NEWEST, vec![Box::new(i64::from(limit))])?;
        rows.iter().map(payment).collect()
    }

    fn notices(&mut self) -> Result<Vec<(u64, RailNotice)>, LightningError> {
        const NOTICES: &str = "SELECT number, kind, id, hash, value, height FROM lightning_notices ORDER BY number";
        self.0.query(NOTICES, Vec::new())?.iter().map(notice).collect()
    }

    fn wallet_changes(&mut self) -> Result<Vec<Vec<u8>>, LightningError> {
        let rows = self.0.query("SELECT body FROM lightning_wallet ORDER BY number", Vec::new())?;
        rows.iter().map(|row| get(row, 0)).collect()
    }
}
