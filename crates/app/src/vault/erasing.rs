//! Erasing evidence: first the fact that tells so, then the bytes.

use tallystick_civics::roles::{self, Operation};
use tallystick_core::{Authority, Body, Ctx, Id, NodeWord, SignedRequest, canonical};
use tallystick_escrow::Task;

use super::{
    Vault, VaultError,
    event::{ERASED, EvidenceErased, stream_of},
};
use crate::{
    change::stream_of as task_stream,
    error::AppError,
    port::{
        evidence::Matter,
        journal::{Append, AppendError, NewFact},
        request::FactorSaid,
    },
};

/// What an admin does who erases evidence.
pub fn erasure_of(matter: Matter) -> roles::Action {
    roles::Action::EraseEvidence { stream: task_stream(matter.task), dispute: matter.dispute }
}

impl Vault {
    /// Erases the evidence of a dispute before its time is over. Answers how many pieces there were.
    ///
    /// This is for a node without roles, whose host says who may. Where there are roles it is an admin's, with a second
    /// factor: [`Vault::erase_as_admin`].
    ///
    /// # Errors
    /// [`VaultError::Running`] while the dispute goes on, and nothing is erased then. An error of the store also if it was
    /// erased and could not be scrubbed ([`Journal::scrub`]): ask again.
    ///
    /// [`Journal::scrub`]: crate::port::journal::Journal::scrub
    pub async fn erase(&self, matter: Matter, request: SignedRequest) -> Result<u64, VaultError> {
        if self.app.roles().await?.is_founded() {
            return Err(AppError::from(roles::Rejection::SecondFactor).into());
        }
        self.is_over(matter).await?;
        let ctx = self.app.ctx(request.author)?;
        self.app.remember(&request, ctx.now).await?;
        self.erase_now(matter, request, &ctx).await
    }

    /// [`Vault::erase`], by an admin with a second factor. Two facts stand on the request: what was authorised, and that it was
    /// erased.
    ///
    /// # Errors
    /// As [`Vault::erase`], and those of [`App::authorise`](crate::App::authorise). A code is not used up by a dispute that goes on.
    pub async fn erase_as_admin(
        &self,
        matter: Matter,
        said: &FactorSaid,
        request: SignedRequest,
    ) -> Result<u64, VaultError> {
        self.app.may(request.author, Operation::EraseEvidence).await?;
        self.is_over(matter).await?;
        let ctx = self.app.authorise(erasure_of(matter), said, &request).await?;
        self.erase_now(matter, request, &ctx).await
    }

    async fn is_over(&self, matter: Matter) -> Result<(), VaultError> {
        if self.dispute(matter).await?.phase.is_final() { Ok(()) } else { Err(VaultError::Running) }
    }

    async fn erase_now(&self, matter: Matter, request: SignedRequest, ctx: &Ctx) -> Result<u64, VaultError> {
        let pieces = self.erase_matter(matter, Some(Authority::Request(request)), ctx).await?;
        self.app.0.parts.journal.scrub().await?;
        Ok(pieces)
    }

    /// Erases all evidence of a task that was erased: that fact tells of it as well.
    ///
    /// # Errors
    /// As [`Vault::erase`].
    pub async fn forget(&self, task: Id<Task>) -> Result<(), VaultError> {
        let mut after = Matter { task, dispute: Id::from_parts(0, [0; 10]) };
        let mut gone = false;
        while let Some(matter) = self.store.matters(Some(after), 1).await?.pop().filter(|next| next.task == task) {
            self.store.erase(matter).await?;
            (after, gone) = (matter, true);
        }
        if gone {
            self.app.0.parts.journal.scrub().await?;
        }
        Ok(())
    }

    /// Tells that a matter's pieces are erased, by this authority or by the node's own word, and erases them. Answers how many
    /// there were.
    pub(super) async fn erase_matter(
        &self,
        matter: Matter,
        authority: Option<Authority>,
        ctx: &Ctx,
    ) -> Result<u64, VaultError> {
        let hashes: Vec<_> = self.store.pieces(matter).await?.iter().map(|piece| piece.hash).collect();
        if hashes.is_empty() {
            return Ok(0);
        }
        let pieces = u64::try_from(hashes.len()).unwrap_or(u64::MAX);
        self.tell(EvidenceErased { matter, hashes }, authority, ctx).await?;
        self.store.erase(matter).await?;
        tracing::info!(dispute = %matter.dispute, pieces, "evidence was erased");
        Ok(pieces)
    }

    /// Records the erasure, once: a process that ended before it erased finds the fact, and goes on.
    async fn tell(&self, erased: EvidenceErased, authority: Option<Authority>, ctx: &Ctx) -> Result<(), VaultError> {
        let stream = stream_of(erased.matter.dispute);
        let content = canonical::encode(&erased);
        let word = || {
            self.app.0.parts.key.authorise(&NodeWord {
                stream: &stream,
                expected_version: 0,
                recorded_at: ctx.now,
                height: ctx.height,
                command: &content,
            })
        };
        let append = Append {
            expected_version: 0,
            facts: vec![NewFact { kind: ERASED, body: Body::Public(content.clone()) }],
            authority: authority.unwrap_or_else(word),
            recorded_at: ctx.now,
            height: ctx.height,
            effects: Vec::new(),
            finishes: Vec::new(),
            reservations: Vec::new(),
            row: None,
            erases: None,
            stream: stream.clone(),
        };
        match self.app.0.parts.journal.append(append).await {
            // The second was told before.
            Ok(_) | Err(AppendError::Conflict { .. }) => Ok(()),
            Err(AppendError::Store(error)) => Err(error.into()),
            Err(AppendError::Taken { .. } | AppendError::UnderWay { .. } | AppendError::Erased { .. }) => {
                Err(AppError::Fault.into())
            }
        }
    }
}
