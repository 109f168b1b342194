//! Leases: one of several processes has the turn, for a time that the database measures.

use std::time::Duration;
use tallystick_app::port::journal::StoreError;
use tokio_postgres::{Client, types::ToSql};
use uuid::Uuid;

use crate::connect::{Connection, connect_with};
use crate::error::{OrStore, Result, column};
use crate::options::PostgresOptions;
use crate::parts::Part;

const PART: Part = Part {
    name: "leases",
    migrations: &[
        "CREATE TABLE leases (
            name  text COLLATE \"C\" PRIMARY KEY,
            owner text NOT NULL,
            token bigint NOT NULL CHECK (token > 0),
            until timestamptz NOT NULL
        )",
        // Without a default from here on: a program that does not know of it takes no lease any more.
        "ALTER TABLE leases ADD COLUMN nonce uuid NOT NULL DEFAULT gen_random_uuid();
        ALTER TABLE leases ALTER COLUMN nonce DROP DEFAULT",
        "ALTER TABLE leases ADD COLUMN note text NOT NULL DEFAULT ''",
    ],
};

/// Locks a lease's row and answers a row if token and nonce are still the newest: for a transaction that writes under the
/// lease, as its first statement. `$1` is the lease's name, `$2` its token, `$3` its nonce. As long as the transaction runs nobody can
/// take the lease; whoever takes it afterwards sees what it wrote.
pub const FENCE: &str = "SELECT 1 FROM leases WHERE name = $1 AND token = $2 AND nonce = $3 FOR UPDATE";

const TAKE: &str = "INSERT INTO leases (name, owner, token, nonce, until)
    VALUES ($1, $2, 1, gen_random_uuid(), clock_timestamp() + $3::bigint * interval '1 millisecond')
    ON CONFLICT (name) DO UPDATE SET
        owner = excluded.owner, token = leases.token + 1, nonce = excluded.nonce, until = excluded.until
    WHERE leases.until <= clock_timestamp() RETURNING token, nonce";
const RENEW: &str = "UPDATE leases SET until = clock_timestamp() + $4::bigint * interval '1 millisecond'
    WHERE name = $1 AND token = $2 AND nonce = $3";
const RELEASE: &str = "UPDATE leases SET until = clock_timestamp()
    WHERE name = $1 AND token = $2 AND nonce = $3";
const READ_NOTE: &str = "SELECT note FROM leases WHERE name = $1 AND token = $2 AND nonce = $3";
const WRITE_NOTE: &str = "UPDATE leases SET note = $4 WHERE name = $1 AND token = $2 AND nonce = $3";
const READ: &str = "SELECT name, owner, token,
    (extract(epoch FROM until - clock_timestamp()) * 1000)::bigint FROM leases ORDER BY name";
/// A lease that was renewed and then lost in a crash of the server would be taken by somebody else: so it waits for the
/// disk like everything.
const SETTINGS: &str =
    "-c synchronous_commit=on -c statement_timeout=5s -c lock_timeout=5s -c idle_in_transaction_session_timeout=5s";

/// A lease that this process took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Its name.
    pub name: &'static str,
    /// Larger than the token of every holder before, as far as the database remembers.
    pub token: i64,
    /// No other holder's: a database that was put back to an older state gives the same token to somebody else.
    pub nonce: Uuid,
}

/// A lease as the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    /// Its name.
    pub name: String,
    /// Who took it last, in words for people.
    pub owner: String,
    /// Grows with every holder.
    pub token: i64,
    /// Milliseconds that it lasts, not renewed; not above zero if it can be taken.
    pub left_ms: i64,
}

/// Takes, renews and gives back leases, on a connection of its own.
pub struct Leases {
    owner: String,
    line: Line,
}

/// What the holder of a lease leaves for whoever takes it next, on a connection of its own.
pub struct Note {
    lease: Lease,
    line: Line,
}

/// A connection that is made when it is needed.
struct Line {
    options: PostgresOptions,
    client: Option<Connection>,
}

impl Line {
    async fn client(&mut self) -> Result<&Client> {
        if self.client.as_ref().is_none_or(|client| client.is_closed()) {
            self.client = Some(connect_with(&self.options, SETTINGS).await?);
        }
        self.client.as_deref().ok_or_else(|| StoreError::Unavailable("no connection".into()))
    }
}

impl Note {
    /// Of this lease. Nothing is asked of the database yet.
    #[must_use]
    pub const fn new(options: PostgresOptions, lease: Lease) -> Self {
        Self { lease, line: Line { options, client: None } }
    }

    /// What was left last, by this holder or one before; empty if nothing was.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer, or somebody else has the lease.
    pub async fn read(&mut self) -> Result<String> {
        let Lease { name, token, nonce } = self.lease;
        let row = self.line.client().await?.query_opt(READ_NOTE, &[&name, &token, &nonce]).await.or_store()?;
        column(&row.ok_or_else(lost)?, 0)
    }

    /// Leaves this instead.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer, or somebody else has the lease: nothing is changed then.
    pub async fn write(&mut self, note: &str) -> Result<()> {
        let Lease { name, token, nonce } = self.lease;
        let values: [&(dyn ToSql + Sync); 4] = [&name, &token, &nonce, &note];
        let written = self.line.client().await?.execute(WRITE_NOTE, &values).await.or_store()?;
        if written == 1 { Ok(()) } else { Err(lost()) }
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("somebody else has the lease".into())
}

impl Leases {
    /// Makes the table if it is not there. `owner` tells people who holds a lease.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer.
    pub async fn open(options: PostgresOptions, owner: String) -> Result<Self> {
        let client = connect_with(&options, SETTINGS).await?;
        PART.migrate(&client).await?;
        Ok(Self { owner, line: Line { options, client: Some(client) } })
    }

    /// Takes the lease if nobody holds it. A holder that was not heard of since its time is over has lost it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer; the lease may be taken or not then.
    pub async fn take(&mut self, name: &'static str, lasts: Duration) -> Result<Option<Lease>> {
        let owner = self.owner.clone();
        let client = self.line.client().await?;
        let row = client.query_opt(TAKE, &[&name, &owner, &millis(lasts)]).await.or_store()?;
        row.map(|row| Ok(Lease { name, token: column(&row, 0)?, nonce: column(&row, 1)? })).transpose()
    }

    /// Renews the lease: it lasts so long from now on. False if somebody else has it.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer; ask again while there is time.
    pub async fn renew(&mut self, lease: Lease, lasts: Duration) -> Result<bool> {
        let client = self.line.client().await?;
        let values: [&(dyn ToSql + Sync); 4] = [&lease.name, &lease.token, &lease.nonce, &millis(lasts)];
        let renewed = client.execute(RENEW, &values).await.or_store()?;
        Ok(renewed == 1)
    }

    /// Gives the lease back, so that the next one need not wait.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer; the lease ends by itself then.
    pub async fn release(&mut self, lease: Lease) -> Result<()> {
        self.line.client().await?.execute(RELEASE, &[&lease.name, &lease.token, &lease.nonce]).await.or_store()?;
        Ok(())
    }

    /// All leases of a database; none if it knows of none. Changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the server does not answer.
    pub async fn read(options: &PostgresOptions) -> Result<Vec<LeaseRow>> {
        let client = connect_with(options, "-c default_transaction_read_only=on -c statement_timeout=30s").await?;
        if PART.version(&client).await? == 0 {
            return Ok(Vec::new());
        }
        let rows = client.query(READ, &[]).await.or_store()?;
        let read = |row: &tokio_postgres::Row| {
            Ok(LeaseRow {
                name: column(row, 0)?,
                owner: column(row, 1)?,
                token: column(row, 2)?,
                left_ms: column(row, 3)?,
            })
        };
        rows.iter().map(read).collect()
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}
