//! The writer's connection and its transactions.

use std::time::Duration;
use tallystick_app::port::journal::{AppendError, StoreError};
use tallystick_postgres::{Connection, PostgresOptions};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_postgres::{Client, Error};

use crate::chain::{self, Head};
use crate::postgres::error::{OrStore, Result, is_bad_value, is_fatal, is_passing, store_error};
use crate::postgres::plan::{Answer, Plan, Work};
use crate::postgres::statements::Statements;
use crate::postgres::{batch, facts, schema, write};

/// How often a batch is begun, at most, if nothing of it was committed.
const TRIES_MAX: u32 = 4;
/// The pause before the second try; it doubles with each.
const PAUSE: Duration = Duration::from_millis(50);
/// How long one step may take before its connection is given up. Longer than the server's own limits.
const STEP_TIME_MAX: Duration = Duration::from_secs(40);
/// How long to try to learn what came of a COMMIT that was not answered.
const SETTLE_TIME_MAX: Duration = Duration::from_secs(60);

/// What came of each job.
pub(crate) type Answers = Vec<Result<Answer, AppendError>>;

/// A connection, ready to write.
pub(crate) struct Connected {
    pub(crate) client: Connection,
    pub(crate) statements: Statements,
}

/// Why a batch was not written.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nothing of it was committed, and it may be tried again.
    Passing(StoreError),
    /// Nothing of it was committed, because the server does not take a value that one of the jobs brought.
    Poisoned(StoreError),
    /// Nothing of it was committed, and trying again at once would not help.
    Refused(StoreError),
    /// Nobody knows whether it was committed.
    Unknown(StoreError),
    /// The database is damaged or tells another history: the writer must stop.
    Fatal(StoreError),
}

impl Failure {
    /// Sorts an error of a statement before the COMMIT.
    pub(crate) fn of(error: &Error) -> Self {
        let what = store_error(error);
        if is_fatal(error) {
            Self::Fatal(what)
        } else if is_passing(error) {
            Self::Passing(what)
        } else if is_bad_value(error) {
            Self::Poisoned(what)
        } else {
            Self::Refused(what)
        }
    }
}

/// Writes batches; makes its connection again when it is lost.
pub(crate) struct Session {
    options: PostgresOptions,
    connected: Option<Connected>,
    /// The last fact that this process knows to be committed. It must be there for ever.
    known: Head,
}

impl Session {
    /// Connects, migrates, and checks the end of the chain.
    pub(crate) async fn open(options: PostgresOptions) -> Result<Self> {
        let connected = connect(&options).await?;
        schema::must_be_whole(&connected.client).await?;
        let known = read_head(&connected.client).await?;
        Ok(Self { options, connected: Some(connected), known })
    }

    /// Writes a batch in one transaction; answers only once it is committed.
    pub(crate) async fn write(&mut self, works: &[&Work]) -> Result<Answers, Failure> {
        let mut pause = PAUSE;
        for _ in 1..TRIES_MAX {
            match Box::pin(self.attempt(works)).await {
                Err(Failure::Passing(error)) => tracing::warn!(%error, "the journal's transaction is tried again"),
                other => return other,
            }
            sleep(pause).await;
            pause *= 2;
        }
        Box::pin(self.attempt(works)).await
    }

    async fn attempt(&mut self, works: &[&Work]) -> Result<Answers, Failure> {
        // Whatever goes wrong in between, the connection goes with it, and what it had not committed.
        let connected = match self.connected.take().filter(|connected| !connected.client.is_closed()) {
            Some(connected) => connected,
            None => connect(&self.options).await.map_err(Failure::Passing)?,
        };
        let plan = in_time(Box::pin(plan(&connected, works, self.known))).await.unwrap_or_else(|| Err(late()))?;
        match in_time(connected.client.commit()).await {
            Some(Ok(())) => self.connected = Some(connected),
            failed => {
                drop(connected);
                let why = failed.and_then(Result::err).unwrap_or_else(silent);
                self.settle(&plan, why).await?;
            }
        }
        self.known = plan.head;
        Ok(plan.answers)
    }

    /// Learns whether a transaction whose COMMIT was not answered well was committed: `Ok` if it was, for good.
    ///
    /// The server may still be at it. It holds the head until it is through, so the head is locked before the journal
    /// is asked for the batch's last fact. What is there may be on this server alone: it counts once a COMMIT after it
    /// was answered well. A batch without facts leaves nothing that only it can have written: whoever
    /// waits for it is told that the store is not available, which is true, and may ask again.
    async fn settle(&mut self, plan: &Plan<'_>, why: StoreError) -> Result<(), Failure> {
        tracing::warn!(%why, "a COMMIT was not answered: looking whether it happened");
        if plan.facts.is_empty() {
            return Err(Failure::Unknown(why));
        }
        let limit = Instant::now() + SETTLE_TIME_MAX;
        let mut pause = PAUSE;
        loop {
            match timeout_at(limit, self.is_kept(plan.head)).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => return Err(Failure::Passing(why)),
                Ok(Err(StoreError::Corrupt(what))) => return Err(Failure::Fatal(StoreError::Corrupt(what))),
                Ok(Err(error)) if Instant::now() < limit => tracing::warn!(%error, "PostgreSQL does not answer yet"),
                _ => return Err(Failure::Unknown(why)),
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    async fn is_kept(&mut self, fact: Head) -> Result<bool> {
        let connected = connect(&self.options).await?;
        let found = batch::is_kept(&connected, fact).await?;
        self.connected = Some(connected);
        Ok(found)
    }
}

async fn connect(options: &PostgresOptions) -> Result<Connected> {
    let client = schema::connect_writer(options).await?;
    let statements = Statements::prepare(&client).await.or_store()?;
    Ok(Connected { client, statements })
}

/// Everything up to the COMMIT.
async fn plan<'a>(connected: &Connected, works: &[&'a Work], known: Head) -> Result<Plan<'a>, Failure> {
    let works = works.iter().copied();
    let (head, found) = batch::begin(connected, works.clone(), known).await?;
    let plan = Plan::of(works, head, found);
    Box::pin(write::write(connected, &plan)).await.map_err(|error| Failure::of(&error))?;
    Ok(plan)
}

/// Reads the head, and checks the last fact: its own hash, and that it is the one that was written last.
async fn read_head(client: &Client) -> Result<Head> {
    // Both at one moment: another process may be writing.
    client.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.or_store()?;
    let (last, written) = (facts::last(client).await?, facts::head(client).await?);
    // It wrote nothing.
    client.batch_execute("ROLLBACK").await.or_store()?;
    chain::checked(last, written)
}

async fn in_time<T>(step: impl Future<Output = T>) -> Option<T> {
    timeout(STEP_TIME_MAX, step).await.ok()
}

fn silent() -> StoreError {
    StoreError::Unavailable("PostgreSQL did not answer in time".into())
}

fn late() -> Failure {
    Failure::Refused(silent())
}
