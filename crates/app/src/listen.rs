//! What the rail reports becomes commands on the same road.

use async_trait::async_trait;
use tallystick_core::{Coded, Id, PaymentHash};
use tallystick_escrow::{Effect, NodeCommand, Rejection, Task};

use crate::{
    app::App,
    change::{HASH_SPACE, task_of},
    error::AppError,
    port::rail::{Heard, NotHeard, RailListener, RailNotice},
};

#[async_trait]
impl RailListener for App {
    async fn hear(&self, notice: RailNotice) -> Result<Heard, NotHeard> {
        let (hash, command, finishes) = match notice {
            RailNotice::Block { height } => {
                self.set_height(height);
                return Ok(Heard::Noted);
            }
            RailNotice::HoldLocked { hash, amount, claim_deadline } => {
                (hash, NodeCommand::RecordHoldLocked { hash, amount, claim_deadline }, None)
            }
            // With the hold goes what there was to claim.
            RailNotice::HoldLost { hash } => {
                (hash, NodeCommand::RecordHoldLost { hash }, Some(Effect::claim_key(&hash)))
            }
            RailNotice::HoldClaimed { hash, amount } => {
                (hash, NodeCommand::RecordHoldClaimed { hash, amount }, Some(Effect::claim_key(&hash)))
            }
            RailNotice::PayoutPaid { id, hash, fee } => {
                (hash, NodeCommand::RecordPayoutPaid { hash, id, fee }, Some(Effect::pay_key(&id)))
            }
            RailNotice::PayoutFailed { id, hash, reason } => {
                (hash, NodeCommand::RecordPayoutFailed { hash, id, reason }, Some(Effect::pay_key(&id)))
            }
        };
        let Some(id) = self.task_with(hash).await.map_err(not_heard)? else { return Ok(Heard::Unknown) };
        match self.report(id, command, finishes).await {
            Ok(_) => Ok(Heard::Noted),
            Err(AppError::Rejected(rejection)) => heard_rejection(id, &rejection),
            // It had ended, so nothing of it is ours any more.
            Err(AppError::Erased) => Ok(Heard::Unknown),
            Err(error) => Err(not_heard(error)),
        }
    }
}

impl App {
    /// The task that a payment hash belongs to.
    pub(crate) async fn task_with(&self, hash: PaymentHash) -> Result<Option<Id<Task>>, AppError> {
        let stream = self.0.parts.journal.holder(HASH_SPACE, &hash.0).await?;
        Ok(stream.as_deref().map(task_of).transpose()?)
    }
}

fn heard_rejection(id: Id<Task>, rejection: &Rejection) -> Result<Heard, NotHeard> {
    match rejection {
        Rejection::ClaimBeforePayout => Err(NotHeard(rejection.to_string())),
        Rejection::HoldUnwanted { .. }
        | Rejection::HoldUnfit { .. }
        | Rejection::UnknownHash
        | Rejection::NotFound
        | Rejection::Ended { .. } => {
            tracing::info!(task = %id, code = %rejection.code(), "a hold is given back: {rejection}");
            Ok(Heard::Unknown)
        }
        other => {
            tracing::error!(task = %id, code = %other.code(), "the rules refuse what the rail reports: {other}");
            Ok(Heard::Noted)
        }
    }
}

fn not_heard(error: impl std::fmt::Display) -> NotHeard {
    NotHeard(error.to_string())
}
