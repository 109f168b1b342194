//! The journal: one append-only, hash-chained sequence of facts for the whole node, and the outbox beside it.
//!
//! # What an implementation guarantees
//! * [`Journal::append`] is one transaction: facts, effects, reservations and read models, or nothing.
//! * It answers only when all of that is on disk and survives power loss.
//! * A stream's versions have no gaps and no doubles; global sequence numbers begin at 1 and have neither.
//! * The limits of [`super::limits`] hold. An answer has [`super::limits::PAGE_MAX`] rows at most, only
//!   [`Journal::stream`] is always whole.

use async_trait::async_trait;
use tallystick_core::{Authority, BlockHeight, Code, Coded, Digest32, Timestamp, canonical};

use super::tasks::TaskRow;

const FACT_TAG: &str = "tallystick/fact/v2";
const AUTHORITY_TAG: &str = "tallystick/authority/v1";

/// The `prev` of the first fact.
pub const CHAIN_START: Digest32 = Digest32([0; 32]);

/// A fact to be recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFact {
    /// What kind of fact, for example `escrow.task_created`.
    pub kind: &'static str,
    /// Its canonical bytes.
    pub body: Vec<u8>,
}

/// A recorded fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Position in the whole journal, from 1.
    pub seq: u64,
    /// Which aggregate, for example `escrow/0197…`.
    pub stream: String,
    /// Position in the stream, from 1.
    pub version: u64,
    /// What kind of fact.
    pub kind: String,
    /// Its canonical bytes.
    pub body: Vec<u8>,
    /// The digest of the authority behind it ([`authority_digest`]).
    pub authority: Digest32,
    /// When it was decided.
    pub recorded_at: Timestamp,
    /// The height of the best block that the node knew when it was decided.
    pub height: BlockHeight,
    /// The chain hash of the fact before it.
    pub prev: Digest32,
    /// This fact's chain hash: [`Fact::link`].
    pub hash: Digest32,
}

impl Fact {
    /// The chain hash: SHA-256 over the framed fields, the fact before it included.
    pub fn link(&self) -> Digest32 {
        canonical::digest(
            FACT_TAG,
            &[
                &self.prev.0,
                &self.seq.to_le_bytes(),
                self.stream.as_bytes(),
                &self.version.to_le_bytes(),
                self.kind.as_bytes(),
                &self.body,
                &self.authority.0,
                &self.recorded_at.as_millis().to_le_bytes(),
                &self.height.0.to_le_bytes(),
            ],
        )
    }
}

/// The digest under which an authority is stored, once, for all facts that it caused.
pub fn authority_digest(authority: &Authority) -> Digest32 {
    canonical::digest(AUTHORITY_TAG, &[&canonical::encode(authority)])
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
    /// The read model's row after these facts. It never replaces one of the same or a later version.
    pub row: TaskRow,
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
}

impl Coded for StoreError {
    fn code(&self) -> Code {
        match self {
            Self::Unavailable(_) => Code("store.unavailable"),
            Self::Corrupt(_) => Code("store.corrupt"),
            Self::Limit(_) => Code("store.limit"),
        }
    }
}

/// Tells how far a journal has come that others write as well.
#[async_trait]
pub trait Heads: Send + Sync {
    /// The number of the last fact; 0 if there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn head(&self) -> Result<u64, StoreError>;

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

    /// The authority behind facts.
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
    /// before it answers.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn admit(&self, request: Digest32, now: Timestamp, forget_after: Timestamp) -> Result<bool, StoreError>;
}
