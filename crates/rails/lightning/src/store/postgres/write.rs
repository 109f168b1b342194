//! Writing a flush, under the lease.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

use tallystick_app::port::journal::StoreError;
use tallystick_postgres::tokio_postgres::{Client, Error, Statement};
use tallystick_postgres::{Connection, FENCE, Lease, OrStore, PostgresOptions};

use super::session::{self, Session, Value};
use super::{PART, failed};
use crate::LightningError;
use crate::store::Write;
use crate::store::backend::{Flush, Writer};
use crate::store::rows::{NoticeColumns, reason_number, signed, status_number};

const MANAGER: &str =
    "INSERT INTO lightning_manager VALUES (0, $1) ON CONFLICT (id) DO UPDATE SET body = excluded.body";
const MONITOR: &str = "INSERT INTO lightning_monitors (name, body) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET body = excluded.body";
const FORGET_UPDATES: &str = "DELETE FROM lightning_monitor_updates WHERE name = $1 AND number <= $2";
const UPDATE: &str = "INSERT INTO lightning_monitor_updates VALUES ($1, $2, $3)
    ON CONFLICT (name, number) DO UPDATE SET body = excluded.body";
const PUT: &str = "INSERT INTO lightning_kv VALUES ($1, $2, $3, $4)
    ON CONFLICT (spot1, spot2, key) DO UPDATE SET body = excluded.body";
const REMOVE: &str = "DELETE FROM lightning_kv WHERE spot1 = $1 AND spot2 = $2 AND key = $3";
const PAYMENT: &str = "INSERT INTO lightning_payments VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
    ON CONFLICT (outbound, id) DO UPDATE SET kind = excluded.kind, hash = excluded.hash, amount = excluded.amount,
        fee = excluded.fee, status = excluded.status, reason = excluded.reason, height = excluded.height,
        sealed = excluded.sealed, updated_at = excluded.updated_at";
const NOTICE: &str = "INSERT INTO lightning_notices VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (number) DO NOTHING";
const HEARD: &str = "DELETE FROM lightning_notices WHERE number = $1";
const CHANGE: &str = "INSERT INTO lightning_wallet (body) VALUES ($1)";
const FORGET_CHANGES: &str = "DELETE FROM lightning_wallet";
const ARCHIVE: &str = "UPDATE lightning_monitors SET archived = true WHERE name = $1";
const FORGET_ALL_UPDATES: &str = "DELETE FROM lightning_monitor_updates WHERE name = $1";
/// The lease's row is looked at in its newest version, and what was read before it is nothing.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

/// One statement of a flush, sent when it is first polled.
type Step<'a> = Pin<Box<dyn Future<Output = Result<(), Error>> + Send + 'a>>;

pub(super) struct PostgresWriter {
    session: Session,
    lease: Lease,
}

impl PostgresWriter {
    pub(super) fn open(options: &PostgresOptions, lease: Lease) -> Result<Self, LightningError> {
        let session = Session::start("lightning-writer", options.clone())?;
        session.run(async move |connection| {
            connection.ready().await?;
            let client = connection.client()?;
            PART.migrate(client).await.map_err(|error| failed(&error))?;
            let held = take_up(client, lease).await.map_err(|error| failed(&error))?;
            if held { Ok(()) } else { Err(lost()) }
        })?;
        Ok(Self { session, lease })
    }
}

/// Locks the lease's row and commits a write to it. Whoever had the node before may have left what only this server has,
/// and not its synchronous standby: nothing is read before a COMMIT that waits for both was answered well.
async fn take_up(client: &Connection, lease: Lease) -> Result<bool, StoreError> {
    const SAME: &str = "UPDATE leases SET until = until WHERE name = $1 AND token = $2 AND nonce = $3";
    client.pin_durability().await?;
    client.batch_execute(BEGIN).await.or_store()?;
    let held = client.execute(SAME, &[&lease.name, &lease.token, &lease.nonce]).await.or_store()? == 1;
    client.commit().await?;
    Ok(held)
}

fn lost() -> LightningError {
    LightningError::Store("another process has taken the Lightning node over".to_owned())
}

impl Writer for PostgresWriter {
    fn write(&mut self, flush: &Flush) -> Result<(), LightningError> {
        let (lease, flush) = (self.lease, Rows::of(flush));
        // A connection that was lost is not made again: what the last COMMIT came to may be unknown, and the node has
        // gone on in memory. It stops, and whoever takes over reads what is there.
        self.session.run(async move |connection| flush.write(connection, lease).await)
    }
}

/// A value that the session's thread takes over.
type Owned = Box<dyn tallystick_postgres::tokio_postgres::types::ToSql + Sync + Send>;

/// A flush as statements and their values, in order.
struct Rows(Vec<(&'static str, Vec<Owned>)>);

impl Rows {
    fn of(flush: &Flush) -> Self {
        let mut rows = Self(Vec::new());
        if let Some(manager) = &flush.manager {
            rows.add(MANAGER, vec![Box::new(manager.clone())]);
        }
        for monitor in &flush.whole {
            rows.add(MONITOR, vec![Box::new(monitor.name.clone()), Box::new(monitor.body.clone())]);
            rows.add(FORGET_UPDATES, vec![Box::new(monitor.name.clone()), Box::new(signed(monitor.newest))]);
        }
        for update in &flush.updates {
            let values: Vec<Owned> =
                vec![Box::new(update.name.clone()), Box::new(signed(update.number)), Box::new(update.body.clone())];
            rows.add(UPDATE, values);
        }
        for write in &flush.writes {
            rows.add_write(write);
        }
        rows
    }

    fn add(&mut self, sql: &'static str, values: Vec<Owned>) {
        self.0.push((sql, values));
    }

    fn add_write(&mut self, write: &Write) {
        match write {
            Write::Kv { address, value } => {
                let mut values: Vec<Owned> = vec![
                    Box::new(address.primary.clone()),
                    Box::new(address.secondary.clone()),
                    Box::new(address.key.clone()),
                ];
                let sql = if let Some(value) = value {
                    values.push(Box::new(value.clone()));
                    PUT
                } else {
                    REMOVE
                };
                self.add(sql, values);
            }
            Write::Payment(row) => {
                let values: Vec<Owned> = vec![
                    Box::new(row.is_outbound()),
                    Box::new(row.id.to_vec()),
                    Box::new(row.kind.to_number()),
                    Box::new(row.hash.0.to_vec()),
                    Box::new(signed(row.amount.get())),
                    Box::new(row.fee.map(|fee| signed(fee.get()))),
                    Box::new(status_number(row.status)),
                    Box::new(row.reason.map(reason_number)),
                    Box::new(row.height.map(|height| i64::from(height.0))),
                    Box::new(row.sealed.clone()),
                    Box::new(signed(row.updated_at.as_millis())),
                ];
                self.add(PAYMENT, values);
            }
            Write::Notice(number, notice) => {
                if let Some(NoticeColumns { kind, id, hash, value, height }) = NoticeColumns::of(notice) {
                    let values: Vec<Owned> = vec![
                        Box::new(signed(*number)),
                        Box::new(kind),
                        Box::new(id.map(|id| id.to_vec())),
                        Box::new(hash.0.to_vec()),
                        Box::new(value),
                        Box::new(height.map(i64::from)),
                    ];
                    self.add(NOTICE, values);
                }
            }
            Write::Heard(number) => self.add(HEARD, vec![Box::new(signed(*number))]),
            Write::Wallet(body) => self.add(CHANGE, vec![Box::new(body.clone())]),
            Write::WholeWallet(body) => {
                self.add(FORGET_CHANGES, Vec::new());
                self.add(CHANGE, vec![Box::new(body.clone())]);
            }
            Write::Archive(name) => {
                // The monitor stays, for whoever must look into it; what led to it does not.
                self.add(ARCHIVE, vec![Box::new(name.clone())]);
                self.add(FORGET_ALL_UPDATES, vec![Box::new(name.clone())]);
            }
        }
    }

    /// All in one transaction. The statements go out together; the COMMIT only when all of them were answered well and
    /// the lease was found to be ours.
    async fn write(self, connection: &mut session::Connection, lease: Lease) -> Result<(), LightningError> {
        let fence = connection.prepare(FENCE).await?;
        let mut statements = Vec::new();
        for (sql, _) in &self.0 {
            statements.push(connection.prepare(sql).await?);
        }
        let client = connection.client()?;
        let mut held = false;
        let mut steps: Vec<Step<'_>> = vec![
            Box::pin(client.batch_execute(BEGIN)),
            Box::pin(async {
                held = client.query_opt(&fence, &[&lease.name, &lease.token, &lease.nonce]).await?.is_some();
                Ok(())
            }),
        ];
        for ((_, values), statement) in self.0.iter().zip(&statements) {
            steps.push(Box::pin(step(client, statement, values)));
        }
        in_order(steps).await.or_store().map_err(|error| failed(&error))?;
        if !held {
            client.batch_execute("ROLLBACK").await.or_store().map_err(|error| failed(&error))?;
            return Err(lost());
        }
        client.commit().await.map_err(|error| failed(&error))
    }
}

async fn step(client: &Client, statement: &Statement, values: &[Owned]) -> Result<(), Error> {
    let values: Vec<Value<'_>> = values.iter().map(|value| &**value as Value<'_>).collect();
    client.execute(statement, &values).await.map(|_| ())
}

/// Waits for all, polling them in their order: so they are sent in it. Ends with the first error.
async fn in_order(mut steps: Vec<Step<'_>>) -> Result<(), Error> {
    poll_fn(|context| {
        let mut index = 0;
        while index < steps.len() {
            match steps[index].as_mut().poll(context) {
                Poll::Ready(Ok(())) => drop(steps.remove(index)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => index += 1,
            }
        }
        if steps.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await
}
