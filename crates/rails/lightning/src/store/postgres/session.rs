//! A connection with a thread of its own.

use std::sync::mpsc;

use tallystick_postgres::{self as postgres, OrStore, PostgresOptions, connect_with, tokio_postgres};
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};

use super::{SETTINGS, failed};
use crate::LightningError;

/// A value that is bound.
pub(super) type Value<'a> = &'a (dyn ToSql + Sync);

/// Something to be done with the connection.
type Job = Box<dyn FnOnce(&Runtime, &mut Connection) + Send>;

/// The connection of a session, made again when it was lost.
pub(super) struct Connection {
    options: PostgresOptions,
    client: Option<postgres::Connection>,
    /// Statements of this connection, by their text.
    prepared: Vec<(&'static str, Statement)>,
}

impl Connection {
    fn new(options: PostgresOptions) -> Self {
        Self { options, client: None, prepared: Vec::new() }
    }

    /// Makes the connection if there is none.
    pub(super) async fn ready(&mut self) -> Result<(), LightningError> {
        if self.client.as_ref().is_none_or(|client| client.is_closed()) {
            self.prepared.clear();
            self.client = Some(connect_with(&self.options, SETTINGS).await.map_err(|error| failed(&error))?);
        }
        Ok(())
    }

    /// The connection that there is.
    pub(super) fn client(&self) -> Result<&postgres::Connection, LightningError> {
        self.client.as_ref().ok_or_else(|| LightningError::Store("the connection to PostgreSQL is gone".to_owned()))
    }

    /// A statement, prepared once per connection.
    pub(super) async fn prepare(&mut self, sql: &'static str) -> Result<Statement, LightningError> {
        if let Some((_, statement)) = self.prepared.iter().find(|(known, _)| *known == sql) {
            return Ok(statement.clone());
        }
        let prepared = self.client()?.prepare(sql).await.or_store();
        let statement = prepared.map_err(|error| failed(&error))?;
        self.prepared.push((sql, statement.clone()));
        Ok(statement)
    }

    async fn rows(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, LightningError> {
        self.ready().await?;
        let statement = self.prepare(sql).await?;
        self.client()?.query(&statement, values).await.or_store().map_err(|error| failed(&error))
    }

    /// Runs a query; once more if the connection turns out to be gone.
    pub(super) async fn query(&mut self, sql: &'static str, values: &[Value<'_>]) -> Result<Vec<Row>, LightningError> {
        match self.rows(sql, values).await {
            Err(_) if self.client.as_ref().is_none_or(|client| client.is_closed()) => self.rows(sql, values).await,
            other => other,
        }
    }
}

/// The way to the thread.
pub(super) struct Session(mpsc::Sender<Job>);

impl Session {
    /// Starts the thread. It connects when it is first used.
    pub(super) fn start(name: &str, options: PostgresOptions) -> Result<Self, LightningError> {
        let (jobs, waiting) = mpsc::channel::<Job>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(LightningError::io("a runtime for the database cannot be made"))?;
        std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || {
                let mut connection = Connection::new(options);
                // Until the session is dropped.
                for job in waiting {
                    job(&runtime, &mut connection);
                }
            })
            .map_err(LightningError::io("the database's thread cannot be started"))?;
        Ok(Self(jobs))
    }

    /// Has something done, and blocks until it is.
    pub(super) fn run<T: Send + 'static>(
        &self,
        work: impl AsyncFnOnce(&mut Connection) -> Result<T, LightningError> + Send + 'static,
    ) -> Result<T, LightningError> {
        let (reply, answer) = mpsc::channel();
        let job: Job = Box::new(move |runtime, connection| {
            // Whoever asked waits for it.
            let _ = reply.send(runtime.block_on(work(connection)));
        });
        let gone = || LightningError::Store("the database's thread is gone".to_owned());
        self.0.send(job).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }

    /// Runs a query, and blocks until it is answered.
    pub(super) fn query(
        &self,
        sql: &'static str,
        values: Vec<Box<dyn ToSql + Sync + Send>>,
    ) -> Result<Vec<Row>, LightningError> {
        self.run(async move |connection| {
            let values: Vec<Value<'_>> = values.iter().map(|value| &**value as Value<'_>).collect();
            connection.query(sql, &values).await
        })
    }
}
