//! Writing a flush.

use rusqlite::{Connection, Transaction, params};

use super::rows;
use crate::LightningError;
use crate::store::Write;
use crate::store::backend::{Flush, Writer};
use crate::store::rows::signed;

pub(super) struct SqliteWriter(pub(super) Connection);

impl Writer for SqliteWriter {
    fn write(&mut self, flush: &Flush) -> Result<(), LightningError> {
        let transaction = self.0.transaction()?;
        if let Some(manager) = &flush.manager {
            transaction
                .prepare_cached("INSERT INTO manager VALUES (0, ?1) ON CONFLICT DO UPDATE SET body = excluded.body")?
                .execute([manager])?;
        }
        write_monitors(&transaction, flush)?;
        for write in &flush.writes {
            write_row(&transaction, write)?;
        }
        Ok(transaction.commit()?)
    }
}

fn write_monitors(transaction: &Transaction<'_>, flush: &Flush) -> Result<(), rusqlite::Error> {
    for monitor in &flush.whole {
        transaction
            .prepare_cached(
                "INSERT INTO monitors (name, body) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET body = excluded.body",
            )?
            .execute(params![monitor.name, monitor.body])?;
        transaction
            .prepare_cached("DELETE FROM monitor_updates WHERE name = ?1 AND number <= ?2")?
            .execute(params![monitor.name, signed(monitor.newest)])?;
    }
    for update in &flush.updates {
        transaction.prepare_cached("INSERT OR REPLACE INTO monitor_updates VALUES (?1, ?2, ?3)")?.execute(params![
            update.name,
            signed(update.number),
            update.body
        ])?;
    }
    Ok(())
}

fn write_row(transaction: &Transaction<'_>, write: &Write) -> Result<(), rusqlite::Error> {
    match write {
        Write::Kv { address, value: Some(value) } => {
            transaction.prepare_cached("INSERT OR REPLACE INTO kv VALUES (?1, ?2, ?3, ?4)")?.execute(params![
                address.primary,
                address.secondary,
                address.key,
                value
            ])?;
        }
        Write::Kv { address, value: None } => {
            transaction
                .prepare_cached("DELETE FROM kv WHERE spot1 = ?1 AND spot2 = ?2 AND key = ?3")?
                .execute(params![address.primary, address.secondary, address.key])?;
        }
        Write::Payment(row) => rows::write_payment(transaction, row)?,
        Write::Notice(number, notice) => rows::write_notice(transaction, *number, notice)?,
        Write::Heard(number) => {
            transaction.prepare_cached("DELETE FROM notices WHERE number = ?1")?.execute([signed(*number)])?;
        }
        Write::Wallet(body) => {
            transaction.prepare_cached("INSERT INTO wallet (body) VALUES (?1)")?.execute([body])?;
        }
        Write::WholeWallet(body) => {
            transaction.execute("DELETE FROM wallet", [])?;
            transaction.execute("INSERT INTO wallet (body) VALUES (?1)", [body])?;
        }
        Write::Archive(name) => {
            // The monitor stays, for whoever must look into it; what led to it does not.
            transaction.prepare_cached("UPDATE monitors SET archived = 1 WHERE name = ?1")?.execute([name])?;
            transaction.prepare_cached("DELETE FROM monitor_updates WHERE name = ?1")?.execute([name])?;
        }
    }
    Ok(())
}
