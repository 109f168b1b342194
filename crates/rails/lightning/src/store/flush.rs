//! The writer: one thread, one transaction after the other.

use std::collections::BTreeMap;
use std::sync::Arc;

use lightning::ln::types::ChannelId;
use rusqlite::{Connection, Transaction, params};
use tallystick_app::port::rail::RailNotice;

use super::queue::MonitorWork;
use super::{MANAGER, Store, Write, lock_of, monitor_place, rows, update_place};
use crate::secret::Vault;

pub(super) struct Flusher {
    store: Arc<Store>,
    connection: Connection,
    closed: bool,
}

/// However the writer ends, by a failed write or by a panic: nobody waits for it any more.
impl Drop for Flusher {
    fn drop(&mut self) {
        lock_of(&self.store.queue).fail();
        if !self.closed {
            self.store.down.send_replace(true);
        }
    }
}

/// A whole monitor: its name, its bytes, and the newest update in it.
type WholeMonitor = (String, Vec<u8>, u64);

impl Flusher {
    pub(super) fn new(store: Arc<Store>, connection: Connection) -> Self {
        Self { store, connection, closed: false }
    }

    pub(super) fn run(mut self) {
        loop {
            let mut queue = lock_of(&self.store.queue);
            while queue.is_idle() {
                queue = self.store.wake.wait(queue).unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            let last = queue.is_stopping();
            drop(queue);
            if let Err(error) = self.flush() {
                tracing::error!(%error, "the Lightning node's database failed; the node stops");
                return;
            }
            if last {
                self.closed = true;
                return;
            }
        }
    }

    fn flush(&mut self) -> Result<(), rusqlite::Error> {
        let state = lock_of(&self.store.state).clone();
        let state = state.as_deref();
        let before = lock_of(&self.store.queue).take_before(state.is_some());
        let mut whole = Vec::new();
        for (channel, work) in before.monitors.iter().filter(|(_, work)| work.whole) {
            let encoded = state.and_then(|state| state.monitor(ChannelId(*channel)));
            whole.extend(encoded.map(|(body, newest)| (work.name.clone(), body, newest)));
        }
        // After the monitors: the manager must be at least as new as each of them.
        let manager = state.map(|state| state.manager());
        // After the manager: whatever it has handled has its rows in here.
        let writes = lock_of(&self.store.queue).take_writes();

        let vault = &self.store.vault;
        let transaction = self.connection.transaction()?;
        if let Some(manager) = manager {
            transaction
                .prepare_cached("INSERT INTO manager VALUES (0, ?1) ON CONFLICT DO UPDATE SET body = excluded.body")?
                .execute([vault.seal(MANAGER, &manager)])?;
        }
        write_monitors(&transaction, vault, &whole, &before.monitors)?;
        let mut notices = Vec::new();
        for write in writes {
            notices.extend(write_row(&transaction, write)?);
        }
        transaction.commit()?;

        lock_of(&self.store.queue).written();
        let acks: Vec<_> = (before.monitors.iter())
            .flat_map(|(channel, work)| work.acks.iter().map(|number| (ChannelId(*channel), *number)))
            .collect();
        if let Some(state) = state
            && !acks.is_empty()
        {
            state.durable(&acks);
        }
        for waiter in before.waiters {
            // Whoever waited may have gone.
            let _ = waiter.send(());
        }
        for notice in notices {
            // The courier is gone only when the node stops; the notice is on the disk for the next run.
            let _ = self.store.notices.send(notice);
        }
        Ok(())
    }
}

fn write_monitors(
    transaction: &Transaction<'_>,
    vault: &Vault,
    whole: &[WholeMonitor],
    work: &BTreeMap<[u8; 32], MonitorWork>,
) -> Result<(), rusqlite::Error> {
    for (name, body, newest) in whole {
        transaction
            .prepare_cached(
                "INSERT INTO monitors (name, body) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET body = excluded.body",
            )?
            .execute(params![name, vault.seal(&monitor_place(name), body)])?;
        transaction
            .prepare_cached("DELETE FROM monitor_updates WHERE name = ?1 AND number <= ?2")?
            .execute(params![name, rows::signed(*newest)])?;
    }
    for work in work.values().filter(|work| !work.whole) {
        for (number, body) in &work.updates {
            transaction.prepare_cached("INSERT OR REPLACE INTO monitor_updates VALUES (?1, ?2, ?3)")?.execute(
                params![work.name, rows::signed(*number), vault.seal(&update_place(&work.name, *number), body)],
            )?;
        }
    }
    Ok(())
}

fn write_row(transaction: &Transaction<'_>, write: Write) -> Result<Option<(u64, RailNotice)>, rusqlite::Error> {
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
        Write::Payment(row) => rows::write_payment(transaction, &row)?,
        Write::Notice(number, notice) => {
            rows::write_notice(transaction, number, &notice)?;
            return Ok(Some((number, notice)));
        }
        Write::Heard(number) => {
            transaction.prepare_cached("DELETE FROM notices WHERE number = ?1")?.execute([rows::signed(number)])?;
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
            transaction.prepare_cached("UPDATE monitors SET archived = 1 WHERE name = ?1")?.execute([&name])?;
            transaction.prepare_cached("DELETE FROM monitor_updates WHERE name = ?1")?.execute([&name])?;
        }
    }
    Ok(None)
}
