//! Connections.

use tokio_postgres::{Client, Config};

use crate::error::{OrStore, Result, store_error};
use crate::options::PostgresOptions;

/// Connects, and keeps the connection going on a task of the runtime that calls.
///
/// # Errors
/// [`StoreError::Unavailable`](tallystick_app::port::journal::StoreError::Unavailable) if the server does not answer.
pub async fn connect(options: &PostgresOptions) -> Result<Client> {
    run(options.config(), options).await
}

/// The same with settings that the session begins with, in the form of the command line: `-c name=value`.
///
/// # Errors
/// As [`connect`].
pub async fn connect_with(options: &PostgresOptions, settings: &str) -> Result<Client> {
    run(&options.config_with(settings), options).await
}

async fn run(config: &Config, options: &PostgresOptions) -> Result<Client> {
    let (client, connection) = config.connect(options.tls()).await.or_store()?;
    tokio::spawn(async move {
        // Whoever waits for an answer on it is told as well.
        if let Err(error) = connection.await {
            tracing::warn!(error = %store_error(&error), "a connection to PostgreSQL ended");
        }
    });
    Ok(client)
}
