//! Erasing what a task's facts say, while what they prove stays.

use borsh::{BorshDeserialize, BorshSerialize};
use tallystick_civics::roles::{self, Operation};
use tallystick_core::{Authority, Body, Ctx, Fact, Id, SignedRequest, canonical};
use tallystick_escrow::{Phase, State, Task};

use crate::{
    app::App,
    change::stream_of,
    error::AppError,
    port::{
        journal::{Append, AppendError, Erasure, NewFact},
        request::FactorSaid,
    },
    standing,
};

/// The journal's own stream: what is told of the journal itself.
pub const STREAM: &str = "journal";
/// The kind of fact that tells of an erasure.
pub const ERASED: &str = "journal.erased";
/// How often it is decided anew because something else came first.
const CONFLICTS_MAX: u32 = 64;

/// The public body of an [`ERASED`] fact: the private bodies of this stream, up to this version, are gone on purpose.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Erased {
    /// The stream.
    pub stream: String,
    /// Its last version then.
    pub version: u64,
}

impl Erased {
    /// What a fact says of an erasure; nothing if it is another fact.
    pub fn of(fact: &Fact) -> Option<Self> {
        let ours = fact.stream == STREAM && fact.kind == ERASED;
        ours.then_some(fact.body.content()).flatten().and_then(|content| canonical::decode("erasure", content).ok())
    }
}

impl App {
    /// Erases the contents of a task that has ended: the bodies of its facts and the signed requests behind them, its
    /// row, and the bodies of its effects. What stays is every fact's entry, with a commitment that nothing opens any
    /// more, the deal that people's standing is made of ([`standing::Kept`]), and the fact that it was erased, by whom and when. Answers that fact's sequence number; nothing if it had
    /// been erased before. In either case the store has been scrubbed then ([`Journal::scrub`]).
    ///
    /// This is for a node without roles, whose host says who may. Where there are roles it is an admin's, with a second
    /// factor: [`App::erase_as_admin`].
    ///
    /// # Errors
    /// [`AppError::NotEnded`] while the task goes on; [`AppError::Rejected`] if there is none; nothing is erased then.
    /// [`AppError::Store`] also if it was erased, but could not be scrubbed: ask again.
    ///
    /// [`Journal::scrub`]: crate::port::journal::Journal::scrub
    pub async fn erase(&self, id: Id<Task>, request: SignedRequest) -> Result<Option<u64>, AppError> {
        if self.roles().await?.is_founded() {
            return Err(roles::Rejection::SecondFactor.into());
        }
        let ctx = self.ctx(request.author)?;
        self.remember(&request, ctx.now).await?;
        self.erase_now(id, request, ctx).await
    }

    /// [`App::erase`], by an admin with a second factor. Two facts stand on the request: what was authorised, and that it
    /// was erased.
    ///
    /// # Errors
    /// As [`App::erase`], and those of [`App::authorise`]. A code is not used up by a task that has not ended.
    pub async fn erase_as_admin(
        &self,
        id: Id<Task>,
        said: &FactorSaid,
        request: SignedRequest,
    ) -> Result<Option<u64>, AppError> {
        self.may(request.author, Operation::EraseTask).await?;
        match self.load(id).await {
            Ok((State::Present(task), _)) if has_ended(&task.phase) => {}
            Ok((State::Present(_), _)) => return Err(AppError::NotEnded),
            Ok((State::Absent, _)) => return Err(tallystick_escrow::Rejection::NotFound.into()),
            Err(AppError::Erased) => {}
            Err(error) => return Err(error),
        }
        let ctx = self.authorise(erasure_of(id), said, &request).await?;
        self.erase_now(id, request, ctx).await
    }

    async fn erase_now(&self, id: Id<Task>, request: SignedRequest, ctx: Ctx) -> Result<Option<u64>, AppError> {
        for _ in 0..CONFLICTS_MAX {
            let (state, version) = match self.load(id).await {
                Err(AppError::Erased) => {
                    self.0.parts.journal.scrub().await?;
                    return Ok(None);
                }
                loaded => loaded?,
            };
            let State::Present(task) = state else { return Err(tallystick_escrow::Rejection::NotFound.into()) };
            if !has_ended(&task.phase) {
                return Err(AppError::NotEnded);
            }
            let stream = stream_of(id);
            let mut facts = match standing::to_keep(&self.0.parts.journal.stream(&stream, 0).await?) {
                // By another replica, just now.
                Err(AppError::Erased) => continue,
                kept => Vec::from_iter(kept?),
            };
            let erased = Erased { stream: stream.clone(), version };
            facts.push(NewFact { kind: ERASED, body: Body::Public(canonical::encode(&erased)) });
            let own = self.0.parts.journal.stream(STREAM, 0).await?;
            let append = Append {
                stream: STREAM.to_owned(),
                expected_version: own.last().map_or(0, |fact| fact.version),
                facts,
                authority: Authority::Request(request.clone()),
                recorded_at: ctx.now,
                height: ctx.height,
                effects: Vec::new(),
                finishes: Vec::new(),
                reservations: Vec::new(),
                row: None,
                erases: Some(Erasure { stream, version, task: id }),
            };
            match self.0.parts.journal.append(append).await {
                Ok(appended) => {
                    self.0.cache.forget(id);
                    tracing::info!(task = %id, seq = appended.seq, "the contents of a task were erased");
                    self.0.parts.journal.scrub().await?;
                    return Ok(Some(appended.seq));
                }
                Err(AppendError::Conflict { .. }) => {}
                // By another replica, which this one has not heard of.
                Err(AppendError::Erased { .. }) => self.0.cache.forget(id),
                Err(AppendError::UnderWay { .. }) => return Err(AppError::NotEnded),
                Err(AppendError::Taken { .. }) => return Err(AppError::Fault),
                Err(AppendError::Store(error)) => return Err(error.into()),
            }
        }
        Err(AppError::Busy)
    }
}

/// What an admin does who erases a task.
pub fn erasure_of(id: Id<Task>) -> roles::Action {
    roles::Action::Erase { stream: stream_of(id) }
}

/// Whether nothing can happen to a task any more.
fn has_ended(phase: &Phase) -> bool {
    match phase {
        Phase::Settled { .. } | Phase::Refunded { .. } | Phase::Cancelled { .. } | Phase::Expired { .. } => true,
        Phase::Open | Phase::Assigned { .. } | Phase::Funding { .. } | Phase::Active { .. } => false,
    }
}
