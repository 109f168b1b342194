//! The journal: one append-only, hash-chained sequence of facts for the whole node, and the outbox beside it.
//!
//! # What an implementation guarantees
//! * [`Journal::append`] is one transaction: facts, effects, reservations and read models, or nothing.
//! * It answers only when all of that is on disk and survives power loss.
//! * A stream's versions have no gaps and no doubles; global sequence numbers begin at 1 and have neither.
//! * The limits of [`super::limits`] hold. An answer has [`super::limits::PAGE_MAX`] rows at most, only
//!   [`Journal::stream`] is always whole.

use async_trait::async_trait;
use tallystick_core::{Authority, BlockHeight, Body, Code, Coded, Digest32, Fact, Id, Timestamp, fact::CHAIN_START};
use tallystick_escrow::Task;

use super::tasks::TaskRow;

/// A fact to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFact {
    /// What kind of fact, for example `escrow.task_created`.
    pub kind: &'static str,
    /// Its canonical bytes: public, or private with their opening.
    pub body: Body,
}

/// Something to be done outside, at least once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEffect {
    /// Its idempotency key: unique for ever.
    pub key: String,
    /// Its canonical bytes.
    pub body: Vec<u8>,
    /// Not before this time: [`super::limits::EFFECT_PAUSE_MAX`] after the append at most.
    pub due: Timestamp,
}

/// An effect that is not finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEffect {
    /// Its idempotency key.
    pub key: String,
    /// The stream that asked for it.
    pub stream: String,
    /// Its canonical bytes.
    pub body: Vec<u8>,
    /// How often it was tried.
    pub attempts: u32,
    /// When to try next.
    pub due: Timestamp,
}

/// A name that only one stream may ever hold, such as a payment hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The kind of name.
    pub space: &'static str,
    /// The name.
    pub name: Vec<u8>,
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Which stream.
    pub stream: String,
    /// The version that the decision was made on: 0 for a new stream.
    pub expected_version: u64,
    /// The facts, in order.
    pub facts: Vec<NewFact>,
    /// Who stands behind them.
    pub authority: Authority,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// The height of the best block that the node knew then. With time, author and the signed command it is all that
    /// the rules were told, so that any fact can be decided again from the journal alone.
    pub height: BlockHeight,
    /// What must be done outside because of them. An effect whose key exists already is left as it is.
    pub effects: Vec<NewEffect>,
    /// Keys of effects that these facts bring to an end. A key that is not known, or ended before, is passed over.
    pub finishes: Vec<String>,
    /// Names that the stream takes. One that it holds already is fine.
    pub reservations: Vec<Reservation>,
    /// The read model's row after these facts, if they are a task's. It never replaces one of the same or a later version.
    pub row: Option<TaskRow>,
    /// A stream whose private bodies are erased with these facts, which tell so.
    pub erases: Option<Erasure>,
}

/// What is erased: the openings of a stream's private bodies, the authorities behind them, the bodies of the stream's
/// effects, and its row. Hashes, names and keys stay. A stream whose last fact lacks its opening counts as erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// The stream; another one than the append's own.
    pub stream: String,
    /// Its version when that was decided: with another, nothing is erased ([`AppendError::Conflict`]).
    pub version: u64,
    /// The task whose row it is.
    pub task: Id<Task>,
}

/// What an append came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The sequence number of the last fact.
    pub seq: u64,
    /// The stream's version now.
    pub version: u64,
}

/// Why nothing was appended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// Somebody else appended to the stream since it was read.
    #[error("the stream is at version {actual}, not {expected}")]
    Conflict {
        /// The version that the decision was made on.
        expected: u64,
        /// The version in the journal.
        actual: u64,
    },
    /// The stream was erased: no fact is added, and it is not erased again.
    #[error("what was in {stream} was erased")]
    Erased {
        /// The stream.
        stream: String,
    },
    /// An effect of the stream that is to be erased is not finished.
    #[error("an effect of {stream} is still under way")]
    UnderWay {
        /// The stream that is to be erased.
        stream: String,
    },
    /// Another stream holds a name.
    #[error("another stream holds this {space}")]
    Taken {
        /// The kind of name.
        space: &'static str,
    },
    /// The store failed; whether the facts are there is unknown until it is read again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The store does not answer, or answers nonsense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It does not answer.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// What it holds is not what was written.
    #[error("the store is damaged: {0}")]
    Corrupt(String),
    /// It was asked for more than it takes ([`super::limits`]); asking again will not help.
    #[error("over a limit of the store: {0}")]
    Limit(String),
    /// What was erased is recorded as erased, and still in files of the store, as somebody reads them.
    #[error("the erasure is recorded, and its bytes are still there: {0}")]
    ErasingWaits(String),
    /// Its node goes on elsewhere.
    #[error("the node is not here any more: {0}")]
    Moved(String),
}

impl Coded for StoreError {
    fn code(&self) -> Code {
        match self {
            Self::Unavailable(_) => Code("store.unavailable"),
            Self::Corrupt(_) => Code("store.corrupt"),
            Self::Limit(_) => Code("store.limit"),
            Self::ErasingWaits(_) => Code("store.erasing_waits"),
            Self::Moved(_) => Code("store.moved"),
        }
    }
}

/// The end of the chain, as it is or as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The last fact's sequence number; 0 before the first.
    pub seq: u64,
    /// The last fact's hash.
    pub hash: Digest32,
}

impl Head {
    /// Before the first fact.
    pub const START: Self = Self { seq: 0, hash: CHAIN_START };
}

/// Tells how far a journal has come that others write as well.
#[async_trait]
pub trait Heads: Send + Sync {
    /// The last fact; [`Head::START`] if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn head(&self) -> Result<Head, StoreError>;

    /// Waits until there are facts after `seq`, as far as is known. It may know late, or wait on when there are some:
    /// who waits should look by itself from time to time.
    async fn beyond(&self, seq: u64);
}

/// The journal, the outbox and the register of seen requests.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends in one transaction.
    ///
    /// # Errors
    /// [`AppendError`]; nothing is appended then.
    async fn append(&self, append: Append) -> Result<Appended, AppendError>;

    /// Has what was erased leave the store's own files, as far as the store can see to it: until then it may still be
    /// read in what the database keeps beside its tables. For after an erasure; again does no harm.
    ///
    /// # Errors
    /// [`StoreError::ErasingWaits`] if somebody reads what was there before; in this and any other error it may still be
    /// there, and to ask again is all that is left to do.
    async fn scrub(&self) -> Result<(), StoreError>;

    /// A stream's facts after `version`, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn stream(&self, stream: &str, after_version: u64) -> Result<Vec<Fact>, StoreError>;

    /// All facts after `seq`, in order, `limit` at most.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn facts(&self, after_seq: u64, limit: u32) -> Result<Vec<Fact>, StoreError>;

    /// The facts after `seq` of all streams whose names begin with `prefix`, which ends with a slash, in the order of the
    /// journal, `limit` at most. What it costs grows with the facts of those streams, and not with others.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn facts_below(&self, prefix: &str, after_seq: u64, limit: u32) -> Result<Vec<Fact>, StoreError>;

    /// The authority behind facts. Nothing if it is not known, or was erased.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn authority(&self, digest: Digest32) -> Result<Option<Authority>, StoreError>;

    /// The stream that holds a name.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn holder(&self, space: &str, name: &[u8]) -> Result<Option<String>, StoreError>;

    /// Unfinished effects that are due, the longest due first. One that seems to be due more than
    /// [`super::limits::EFFECT_PAUSE_MAX`] from now is due as well: its time was set by a clock that has jumped back
    /// since, and would otherwise keep it waiting for the size of the jump.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn due_effects(&self, now: Timestamp, limit: u32) -> Result<Vec<PendingEffect>, StoreError>;

    /// Takes effects that are due ([`Journal::due_effects`]) for one worker, the longest due first. Until `until` nobody
    /// else of this `epoch` is given them, in this process or another; a claim that ran out, and one that seems to last
    /// more than [`super::limits::EFFECT_PAUSE_MAX`] from now, count for nothing, and neither do those of an earlier
    /// epoch: whoever begins a new one knows that the worker before is gone. A claim ends when its effect is put off or
    /// finished. It need not survive power loss: who is given an effect twice does it once, by its key.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn claim_effects(
        &self,
        now: Timestamp,
        until: Timestamp,
        epoch: u64,
        limit: u32,
    ) -> Result<Vec<PendingEffect>, StoreError>;

    /// When the next unfinished effect is due, claimed or not, as it was written down.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn next_effect_due(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Puts an effect off, [`super::limits::EFFECT_PAUSE_MAX`] from now at most, and counts the try. Nothing happens if
    /// it is finished.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn defer_effect(&self, key: &str, until: Timestamp) -> Result<(), StoreError>;

    /// Ends an effect that leads to no fact. Nothing happens if it is finished.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn finish_effect(&self, key: &str) -> Result<(), StoreError>;

    /// Remembers a signed request up to and including `forget_after`; false if it is remembered already. Durable
    /// before it answers. Only a call that remembers forgets others: those with the oldest `forget_after` before `now`.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn admit(&self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> Result<bool, StoreError>;
}
