//! The vault: evidence of disputes, which only parties and panel can read.
//!
//! ```text
//! client: encrypt ─▶ upload ─▶ unfiled ─▶ file: a fact names it ─▶ filed ─▶ dispute over ─▶ retention ─▶ erased: a fact
//!                                │                                                                        tells so
//!                                └─ not filed in time ─▶ dropped
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | `rights` | who may read a piece |
//! | `erasing` | erases, and tells so |
//! | `event` | the fact that tells of an erasure |
//! | `keeper` | drops what nobody filed, and erases what has been kept long enough |
//! | `error` | what can go wrong |
//!
//! # Invariants
//! * The node never has a key: what is kept was encrypted by whoever filed it, and its key is wrapped to each reader.
//! * A piece is on disk before a fact names it, and a fact tells that it is erased before it is.
//! * What was uploaded and not filed counts against its uploader's limit like what was.

mod erasing;
mod error;
mod event;
mod keeper;
mod rights;

use async_trait::async_trait;
use std::sync::Arc;
use tallystick_civics::dispute::{Command, Dispute, Rejection, UserCommand, decide};
use tallystick_core::{Decider, Decision, Digest32, Duration, Id, NostrKey, Timestamp, canonical::sha256};
use tallystick_escrow::{Escrow, State, Task};

pub use erasing::erasure_of;
pub use error::VaultError;
pub(crate) use event::stream_of;
pub use event::{ERASED, EvidenceErased, STREAMS};
pub use keeper::VaultKeeper;
pub use rights::readers;

use crate::{
    app::App,
    change::{self, event_of},
    error::AppError,
    port::evidence::{EvidenceStore, Kept, Matter, Piece, Room, Wrapped, WrappedKey},
};

/// Where disputes are found.
#[async_trait]
pub trait Disputes: Send + Sync {
    /// A dispute as it stands. Nothing if there is none, or if its task was erased.
    ///
    /// # Errors
    /// [`AppError`].
    async fn dispute(&self, matter: Matter) -> Result<Option<Dispute>, AppError>;

    /// When the fact was recorded that ended a dispute. Nothing while it goes on, and where [`Disputes::dispute`] finds none.
    ///
    /// # Errors
    /// [`AppError`].
    async fn over_since(&self, matter: Matter) -> Result<Option<Timestamp>, AppError>;
}

#[async_trait]
impl Disputes for App {
    async fn dispute(&self, matter: Matter) -> Result<Option<Dispute>, AppError> {
        match self.load(matter.task).await {
            Ok((State::Present(task), _)) => {
                let found = task.cases().find(|case| case.dispute.opening.id == matter.dispute);
                Ok(found.map(|case| case.dispute.clone()))
            }
            Ok((State::Absent, _)) | Err(AppError::Erased) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn over_since(&self, matter: Matter) -> Result<Option<Timestamp>, AppError> {
        let is_over = |state: &State| match state {
            State::Present(task) => {
                let mut cases = task.cases().map(|case| &case.dispute);
                cases.any(|dispute| dispute.opening.id == matter.dispute && dispute.phase.is_final())
            }
            State::Absent => false,
        };
        let mut state = State::Absent;
        for fact in self.0.parts.journal.stream(&change::stream_of(matter.task), 0).await? {
            state = match event_of(&fact) {
                Ok(event) => Escrow::evolve(state, &event),
                Err(AppError::Erased) => return Ok(None),
                Err(error) => return Err(error),
            };
            if is_over(&state) {
                return Ok(Some(fact.recorded_at));
            }
        }
        Ok(None)
    }
}

/// How long evidence is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// After its dispute is over.
    pub filed: Duration,
    /// Without having been filed.
    pub unfiled: Duration,
}

impl Default for Retention {
    /// 90 days: time enough for whoever wants to complain of a ruling, or of an arbitrator, to fetch it; and no longer,
    /// since what is not kept cannot be lost to anybody. An hour without having been filed: filing follows an upload at
    /// once, and a client that crashed in between begins again.
    fn default() -> Self {
        const DAY: u64 = 86_400;
        Self { filed: Duration::from_secs(90 * DAY), unfiled: Duration::from_secs(3_600) }
    }
}

/// The vault's use matters. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    app: App,
    store: Arc<dyn EvidenceStore>,
    disputes: Arc<dyn Disputes>,
    retention: Retention,
}

impl Vault {
    /// A vault on these tables, for these disputes.
    pub fn new(app: App, store: Arc<dyn EvidenceStore>, disputes: Arc<dyn Disputes>, retention: Retention) -> Self {
        Self { app, store, disputes, retention }
    }

    /// Whether somebody may upload a piece of this length now: what the rules say of filing it. Asked before its bytes
    /// are read.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn admit(&self, author: NostrKey, matter: Matter, hash: Digest32, bytes: u64) -> Result<(), VaultError> {
        let dispute = self.dispute(matter).await?;
        self.app.has_room()?;
        let command = Command::User(UserCommand::FileEvidence { hash, bytes });
        match decide(&dispute, command, &self.app.ctx(author)?)? {
            Decision::AlreadyApplied if dispute.phase.is_final() => {
                Err(Rejection::EvidenceClosed { state: dispute.phase.name() }.into())
            }
            Decision::Accept { .. } | Decision::AlreadyApplied => Ok(()),
        }
    }

    /// Keeps a piece, which is then to be filed. Doing it again does no harm. On disk when it answers.
    ///
    /// # Errors
    /// [`VaultError`]; nothing is kept then.
    pub async fn upload(
        &self,
        author: NostrKey,
        matter: Matter,
        hash: Digest32,
        content: Vec<u8>,
    ) -> Result<(), VaultError> {
        let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
        self.admit(author, matter, hash, bytes).await?;
        let hashed = tokio::task::spawn_blocking(move || (sha256(&content), content)).await;
        let (found, content) = hashed.map_err(|_| AppError::Fault)?;
        if found != hash {
            return Err(VaultError::OtherBytes { hash, found });
        }
        let now = self.app.clock().now();
        match self.store.keep(matter, author, content, now, Room::SIDE).await? {
            Kept::Kept => Ok(()),
            Kept::TooMany => Err(Rejection::EvidenceCount.into()),
            Kept::TooLarge { left } => Err(Rejection::EvidenceTotal { bytes, left }.into()),
            Kept::Foreign => Err(Rejection::EvidenceKnown.into()),
        }
    }

    /// Begins to file a piece: its uploader has it kept, and it stays while the fact is on its way.
    ///
    /// # Errors
    /// [`VaultError::NoPiece`] if it was not uploaded, or dropped since: upload it again. [`VaultError::OtherLength`].
    pub async fn begin_filing(
        &self,
        author: NostrKey,
        matter: Matter,
        hash: Digest32,
        bytes: u64,
    ) -> Result<(), VaultError> {
        let piece = self.own(author, matter, hash).await?;
        if piece.bytes != bytes {
            return Err(VaultError::OtherLength { hash, bytes, kept: piece.bytes });
        }
        let there = self.store.touch(matter, hash, self.app.clock().now()).await?;
        if there { Ok(()) } else { Err(VaultError::NoPiece { hash }) }
    }

    /// A piece's bytes, for whoever may read them: parties and seated arbitrators once it is filed, its uploader before.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn fetch(&self, reader: NostrKey, matter: Matter, hash: Digest32) -> Result<Vec<u8>, VaultError> {
        self.may_read(reader, matter, hash).await?;
        self.store.content(matter, hash).await?.ok_or(VaultError::NoPiece { hash })
    }

    /// Gives readers the key of a piece, wrapped to each by the piece's uploader.
    ///
    /// # Errors
    /// [`VaultError::NotReader`] if one of them may not read it, and [`VaultError::DamagedKeys`] if the keys that there are were
    /// damaged, and the uploader's own is not among these; nothing is given then.
    pub async fn share(
        &self,
        author: NostrKey,
        matter: Matter,
        hash: Digest32,
        keys: Vec<WrappedKey>,
    ) -> Result<(), VaultError> {
        let dispute = self.dispute(matter).await?;
        self.own(author, matter, hash).await?;
        let readers = readers(&dispute);
        if let Some(stranger) = keys.iter().map(|key| key.reader).find(|reader| !readers.contains(reader)) {
            return Err(VaultError::NotReader { reader: stranger });
        }
        match self.store.wrap(matter, hash, keys).await? {
            Wrapped::Kept => Ok(()),
            Wrapped::NoPiece => Err(VaultError::NoPiece { hash }),
            Wrapped::Damaged => Err(VaultError::DamagedKeys { hash }),
        }
    }

    /// The wrapped keys of a piece, for whoever may read it: who has one, and the payloads, which nobody else can open.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn wrapped(
        &self,
        reader: NostrKey,
        matter: Matter,
        hash: Digest32,
    ) -> Result<Vec<WrappedKey>, VaultError> {
        self.may_read(reader, matter, hash).await?;
        Ok(self.store.wrapped(matter, hash).await?)
    }

    /// The pieces of a dispute that are kept, whoever may read them.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn pieces(&self, matter: Matter) -> Result<Vec<Piece>, VaultError> {
        Ok(self.store.pieces(matter).await?)
    }

    /// The last dispute about a milestone, as its position names it.
    ///
    /// # Errors
    /// [`VaultError::NoDispute`] if there is none.
    pub async fn matter(&self, task: Id<Task>, milestone: u32) -> Result<Matter, VaultError> {
        let view = self.app.task(task).await?.ok_or(VaultError::NoDispute)?;
        let part = usize::try_from(milestone).ok().and_then(|at| view.milestones.get(at));
        let dispute = part.and_then(|part| part.dispute.as_ref()).ok_or(VaultError::NoDispute)?;
        Ok(Matter { task, dispute: dispute.id })
    }

    /// A dispute, with everything that its facts tell.
    ///
    /// # Errors
    /// [`VaultError::NoDispute`] if there is none, or its task was erased.
    pub async fn dispute(&self, matter: Matter) -> Result<Dispute, VaultError> {
        self.disputes.dispute(matter).await?.ok_or(VaultError::NoDispute)
    }

    /// A piece that somebody uploaded.
    async fn own(&self, author: NostrKey, matter: Matter, hash: Digest32) -> Result<Piece, VaultError> {
        let pieces = self.store.pieces(matter).await?;
        let piece = pieces.into_iter().find(|piece| piece.hash == hash && piece.uploader == author);
        piece.ok_or(VaultError::NoPiece { hash })
    }

    async fn may_read(&self, reader: NostrKey, matter: Matter, hash: Digest32) -> Result<(), VaultError> {
        let dispute = self.dispute(matter).await?;
        if !readers(&dispute).contains(&reader) {
            return Err(VaultError::NotReader { reader });
        }
        if dispute.evidence.iter().any(|filed| filed.hash == hash) {
            return Ok(());
        }
        self.own(reader, matter, hash).await.map(drop)
    }
}
