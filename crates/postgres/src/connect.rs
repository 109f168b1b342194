//! Connections.

use std::future::poll_fn;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tallystick_app::port::journal::StoreError;
use tokio_postgres::error::Severity;
use tokio_postgres::{AsyncMessage, Client, Config};

use crate::error::{OrStore, Result, column, store_error};
use crate::options::PostgresOptions;

/// Asks for a COMMIT that waits for the disk, and for the standby's where there is one. It is pinned, with the warnings:
/// a change in the server's files does not reach a session that has set it.
const PIN: &str = "SELECT set_config('synchronous_commit', current_setting('synchronous_commit'), false),
    set_config('client_min_messages', 'warning', false)";

/// A connection that hears what the server warns of.
pub struct Connection {
    client: Client,
    warnings: Arc<AtomicU64>,
}

impl Deref for Connection {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Connection {
    /// Refuses a session whose COMMIT is answered before what it wrote is on the disk, or on that of a synchronous
    /// standby; keeps it as it is from here on.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], with the setting that is wrong.
    pub async fn pin_durability(&self) -> Result<()> {
        let row = self.query_one(PIN, &[]).await.or_store()?;
        let value: &str = column(&row, 0)?;
        if ["on", "remote_apply"].contains(&value) {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!(
            "PostgreSQL runs with synchronous_commit = {value}, and can lose what it has acknowledged, or its standby \
             can: set synchronous_commit = on, or remote_apply (in postgresql.conf, and nowhere else for this role or \
             database), reload it, and start again"
        )))
    }

    /// Commits the transaction under way. `Ok` only if what it wrote is where it was to be: a server whose wait for its
    /// standby is broken off answers well, with a warning beside it.
    ///
    /// # Errors
    /// As the server or the connection fails, or if it warned. The transaction may be committed or not.
    pub async fn commit(&self) -> Result<()> {
        let before = self.warnings.load(SeqCst);
        self.batch_execute("COMMIT").await.or_store()?;
        // A warning comes before the answer, and is counted before the answer is given on.
        if self.warnings.load(SeqCst) == before {
            return Ok(());
        }
        Err(StoreError::Unavailable("PostgreSQL warned at a COMMIT: its standby may not have what was written".into()))
    }
}

/// Connects, and keeps the connection going on a task of the runtime that calls.
///
/// # Errors
/// [`StoreError::Unavailable`] if the server does not answer.
pub async fn connect(options: &PostgresOptions) -> Result<Connection> {
    run(options.config(), options).await
}

/// The same with settings that the session begins with, in the form of the command line: `-c name=value`.
///
/// # Errors
/// As [`connect`].
pub async fn connect_with(options: &PostgresOptions, settings: &str) -> Result<Connection> {
    run(&options.config_with(settings), options).await
}

async fn run(config: &Config, options: &PostgresOptions) -> Result<Connection> {
    let (client, mut connection) = config.connect(options.tls()).await.or_store()?;
    let warnings = Arc::new(AtomicU64::new(0));
    let heard = Arc::clone(&warnings);
    tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(AsyncMessage::Notice(notice)) => {
                    if notice.parsed_severity() == Some(Severity::Warning) {
                        heard.fetch_add(1, SeqCst);
                    }
                    tracing::info!("PostgreSQL: {}: {}", notice.severity(), notice.message());
                }
                Ok(_) => {}
                // Whoever waits for an answer on it is told as well.
                Err(error) => {
                    tracing::warn!(error = %store_error(&error), "a connection to PostgreSQL ended");
                    break;
                }
            }
        }
    });
    Ok(Connection { client, warnings })
}
