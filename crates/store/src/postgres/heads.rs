//! Hearing of what other processes write.

use async_trait::async_trait;
use std::future::poll_fn;
use std::time::Duration;
use tallystick_app::port::journal::{Head, Heads, StoreError};
use tallystick_postgres::{Connection, PostgresOptions};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::{AsyncMessage, Client};

use crate::postgres::error::{OrStore, Result, column};
use crate::postgres::readers::Readers;
use crate::postgres::{error::unsigned, facts, schema};

/// The pause before a lost connection is made again; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// How often the head is read all the same: a connection may be dead without a word.
const LOOK: Duration = Duration::from_secs(5);
const HEAD: &str = "SELECT seq FROM head";

/// The journal's head, as notifications tell it. Ends its connection when it is dropped.
pub struct PostgresHeads {
    heard: watch::Receiver<u64>,
    readers: Readers,
}

impl PostgresHeads {
    /// Begins to listen.
    pub(crate) fn open(options: PostgresOptions, readers: Readers) -> Self {
        let (sender, heard) = watch::channel(0);
        tokio::spawn(listen(options, sender));
        Self { heard, readers }
    }
}

#[async_trait]
impl Heads for PostgresHeads {
    async fn head(&self) -> Result<Head, StoreError> {
        facts::head(&**self.readers.get().await?).await
    }

    async fn beyond(&self, seq: u64) {
        let mut heard = self.heard.clone();
        if heard.wait_for(|head| *head > seq).await.is_err() {
            // Nobody listens any more: who waits looks by itself.
            std::future::pending().await
        }
    }
}

/// Until nobody wants to hear of it.
async fn listen(options: PostgresOptions, heads: watch::Sender<u64>) {
    let mut pause = PAUSE;
    loop {
        let before = *heads.borrow();
        tokio::select! {
            () = heads.closed() => return,
            ended = session(&options, &heads) => {
                let why = ended.err().map_or_else(|| "the server closed it".to_owned(), |error| error.to_string());
                tracing::warn!(why, "the connection that hears of new facts ended, and is made again");
            }
        }
        // A connection that heard something was a good one.
        pause = if *heads.borrow() == before { (pause * 2).min(PAUSE_MAX) } else { PAUSE };
        tokio::select! {
            () = heads.closed() => return,
            () = sleep(pause) => {}
        }
    }
}

async fn session(options: &PostgresOptions, heads: &watch::Sender<u64>) -> Result<()> {
    let (client, mut connection) = options.config().connect(options.tls()).await.or_store()?;
    let hear = async {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(told) = message.or_store()?
                && let Ok(seq) = told.payload().parse()
            {
                raise(heads, seq);
            }
        }
        Ok(())
    };
    tokio::select! {
        ended = hear => ended,
        failed = look(&client, heads) => failed,
    }
}

/// Listens first and reads then: what comes in between is heard of twice, and nothing is missed.
async fn look(client: &Client, heads: &watch::Sender<u64>) -> Result<()> {
    client.batch_execute("LISTEN tallystick_head").await.or_store()?;
    loop {
        let silent = || StoreError::Unavailable("PostgreSQL did not answer in time".into());
        let row = timeout(LOOK, client.query_one(HEAD, &[])).await.map_err(|_| silent())?.or_store()?;
        raise(heads, unsigned(&row, 0)?);
        sleep(LOOK).await;
    }
}

fn raise(heads: &watch::Sender<u64>, seq: u64) {
    heads.send_if_modified(|head| {
        let higher = seq > *head;
        *head = seq.max(*head);
        higher
    });
}

/// A lock that one process at a time has, until it is dropped or its connection ends.
pub struct Turn(#[allow(dead_code, reason = "the lock ends with the connection")] Connection);

impl Turn {
    /// Waits for the lock.
    pub(crate) async fn take(options: &PostgresOptions, key: i64) -> Result<Self> {
        let client = tallystick_postgres::connect(options).await?;
        client.execute("SELECT pg_advisory_lock($1)", &[&key]).await.or_store()?;
        Ok(Self(client))
    }
}

/// Remembers the node's key, or compares it with the one that is remembered.
pub(crate) async fn claim_key(options: &PostgresOptions, key: &[u8; 32]) -> Result<()> {
    let client = tallystick_postgres::connect(options).await?;
    let add = "INSERT INTO node (one, key) VALUES (1, $1) ON CONFLICT DO NOTHING";
    client.execute(add, &[&key.as_slice()]).await.or_store()?;
    // A copy looks for this row after it has left its own mark: one of the two sees the other.
    schema::must_be_whole(&client).await?;
    let row = client.query_one("SELECT key FROM node", &[]).await.or_store()?;
    if column::<&[u8]>(&row, 0)? == key {
        return Ok(());
    }
    Err(StoreError::Unavailable(
        "the database belongs to a node with another seed: all replicas of a node have the same".into(),
    ))
}
