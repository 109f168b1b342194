//! What the parties of a task can do. The author of a signed request is who does it.

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};
use tallystick_app::{Answer, AppError};
use tallystick_civics::dispute::Seats;
use tallystick_core::{self as core, Blocks, Duration};
use tallystick_escrow::{self as escrow, Bonds, MilestoneTerms, Terms, UserCommand};

use super::{
    Result, app, request,
    scalar::{Hex32, Sat, Timestamp, Uuid},
    session, signed,
    task::{OnSilence, Task},
};
use crate::{
    error::{EdgeError, Failure},
    posting,
};

/// How far the time in a client's id may be ahead of the node's.
const ID_AHEAD_MAX: Duration = Duration::from_secs(60);
/// How old a new task's id may be.
const ID_AGE_MAX: Duration = Duration::from_secs(3_600);

/// The terms of a new task.
#[derive(InputObject)]
pub(crate) struct CreateTaskInput {
    /// The task's id, a UUIDv7 that you made within the last hour: asked again with the same id and terms, the task is
    /// there already. Without it, each newly signed request makes a new task.
    pub id: Option<Uuid>,
    /// What it is about, in one line; everybody sees it.
    title: String,
    /// SHA-256 of the full description, which you keep and show to whom you like.
    description_hash: Hex32,
    /// The parts of the work, in the order of their deadlines: one at least.
    milestones: Vec<MilestoneInput>,
    /// How long you may look at the work of a milestone, in seconds.
    review_window_secs: u32,
    /// What happens when you neither approve nor reject in that time.
    on_silence: OnSilence,
    /// For how many blocks a hold must be usable; what work and review may take if absent, or with renewal what wallets
    /// allow if that is less.
    hold_blocks: Option<u32>,
    /// Lets the worker renew the holds, so that work may take longer than one of them. It says what happens to a milestone
    /// without submitted work when the worker offered a renewal in time and you did not lock the next holds.
    renewal: Option<OnSilence>,
    /// Lets a panel of arbitrators decide what the two of you do not agree on, and how many sit on it at least; larger amounts
    /// ask for more. Without it there are no disputes.
    panel: Option<PanelSize>,
    /// What you put up, to the worker's hash: a panel may give it to the worker. It goes back otherwise.
    requester_bond_sat: Option<Sat>,
    /// What the worker puts up, to your hash: you get it if nothing is handed in in time, or a panel says so. It goes back
    /// otherwise.
    worker_bond_sat: Option<Sat>,
}

/// How many arbitrators sit on a first panel at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum PanelSize {
    /// A single one.
    One,
    /// Three.
    Three,
    /// Five.
    Five,
}

impl From<PanelSize> for Seats {
    fn from(size: PanelSize) -> Self {
        match size {
            PanelSize::One => Self::One,
            PanelSize::Three => Self::Three,
            PanelSize::Five => Self::Five,
        }
    }
}

/// A part of the work.
#[derive(InputObject)]
pub(crate) struct MilestoneInput {
    /// What it is about, in one line; everybody sees it.
    title: String,
    /// What the worker gets, tranche by tranche. Each is held and decided on by itself.
    payouts_sat: Vec<Sat>,
    /// Until when its work must be submitted.
    work_deadline: Timestamp,
}

impl CreateTaskInput {
    pub fn into_terms(self) -> Terms {
        Terms {
            title: self.title,
            description_hash: self.description_hash.0,
            milestones: self.milestones.into_iter().map(MilestoneInput::into_terms).collect(),
            review_window: Duration::from_secs(u64::from(self.review_window_secs)),
            on_silence: self.on_silence.into(),
            hold_blocks: self.hold_blocks.map(Blocks),
            renewal: self.renewal.map(Into::into),
            panel: self.panel.map(Into::into),
            bonds: Bonds {
                requester: self.requester_bond_sat.map(|bond| bond.0),
                worker: self.worker_bond_sat.map(|bond| bond.0),
            },
        }
    }
}

impl MilestoneInput {
    fn into_terms(self) -> MilestoneTerms {
        MilestoneTerms {
            title: self.title,
            payouts: self.payouts_sat.into_iter().map(|amount| amount.0).collect(),
            work_deadline: self.work_deadline.0,
        }
    }
}

/// What became of a request.
#[derive(SimpleObject)]
pub(crate) struct TaskPayload {
    /// Whether this very request changed something; false if the same was done before.
    changed: bool,
    /// The task now.
    task: Task,
}

#[derive(Default)]
pub(crate) struct TaskMutation;

#[Object]
impl TaskMutation {
    /// Posts a task; you become its requester.
    async fn create_task(&self, ctx: &Context<'_>, input: CreateTaskInput) -> Result<TaskPayload> {
        let id = task_id(ctx, input.id).await?;
        let answer = app(ctx).create(id, input.into_terms(), signed(ctx)?).await;
        payload(ctx, answer)
    }

    /// Takes a task; you become its worker.
    async fn accept_task(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(
            desc = "One invoice (BOLT 11) of your own per tranche of all milestones, in order, each over its payout; then one \
                    over the requester's bond, if the task asks for it."
        )]
        invoices: Vec<String>,
    ) -> Result<TaskPayload> {
        let answer = app(ctx).accept(id.0, invoices, signed(ctx)?).await;
        payload(ctx, answer)
    }

    /// Asks for the funding invoices, for the requester. Waits until they are there; they are in the tranches and in the
    /// bonds, of which each side pays its own.
    async fn funding_invoice(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "An invoice (BOLT 11) of your own over the worker's bond, if the task asks for it.")]
        bond_invoice: Option<String>,
    ) -> Result<TaskPayload> {
        let answer = match bond_invoice {
            Some(invoice) => app(ctx).request_funding_with_bond(id.0, invoice, signed(ctx)?).await,
            None => app(ctx).request_funding(id.0, signed(ctx)?).await,
        };
        payload(ctx, answer)
    }

    /// Hands in a milestone's work, for the worker.
    async fn submit_work(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
        #[graphql(desc = "SHA-256 of the work.")] work_hash: Hex32,
    ) -> Result<TaskPayload> {
        let milestone = milestone.unwrap_or_default();
        ask(ctx, id.0, UserCommand::SubmitWork { milestone, work_hash: work_hash.0 }).await
    }

    /// Offers to renew the holds of what is undecided of a milestone, for the worker. The requester then pays the
    /// `fundingInvoice` of each tranche's `renewal`: the next hold is locked before the one before goes back.
    async fn offer_renewal(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
        #[graphql(
            desc = "One new invoice (BOLT 11) of your own per undecided tranche, in order, each over its payout."
        )]
        invoices: Vec<String>,
    ) -> Result<TaskPayload> {
        let answer = app(ctx).offer_renewal(id.0, milestone.unwrap_or_default(), invoices, signed(ctx)?).await;
        payload(ctx, answer)
    }

    /// Accepts a milestone's work, for the requester: the worker is paid.
    async fn approve_work(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
        #[graphql(desc = "Only these of its tranches, from 0; the others stay undecided. All if absent.")]
        tranches: Option<Vec<u32>>,
    ) -> Result<TaskPayload> {
        ask(ctx, id.0, UserCommand::ApproveWork { milestone: milestone.unwrap_or_default(), tranches }).await
    }

    /// Refuses what is undecided of a milestone's work, for the requester: its money goes back.
    async fn reject_work(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        #[graphql(desc = "The milestone's position, from 0; the first if absent.")] milestone: Option<u32>,
        #[graphql(desc = "SHA-256 of the reasons.")] reason_hash: Hex32,
    ) -> Result<TaskPayload> {
        let milestone = milestone.unwrap_or_default();
        ask(ctx, id.0, UserCommand::RejectWork { milestone, reason_hash: reason_hash.0 }).await
    }

    /// Steps back from the task, for requester and worker. Before money is locked the task ends; after that the worker
    /// gives back all that is undecided, and the requester takes back what was locked for work that was not handed in.
    async fn cancel_task(&self, ctx: &Context<'_>, id: Uuid) -> Result<TaskPayload> {
        ask(ctx, id.0, UserCommand::CancelTask).await
    }
}

pub(super) async fn ask(ctx: &Context<'_>, id: core::Id<escrow::Task>, command: UserCommand) -> Result<TaskPayload> {
    let answer = app(ctx).ask(id, command, signed(ctx)?).await;
    payload(ctx, answer)
}

pub(super) fn payload(ctx: &Context<'_>, answer: std::result::Result<Answer, AppError>) -> Result<TaskPayload> {
    let answer = answer.map_err(Failure::from)?;
    Ok(TaskPayload { changed: answer.changed, task: Task::new(answer.view, app(ctx), session(ctx)) })
}

/// The client's id, or one made of the signed request: sent again, it names the same task.
///
/// Ids sort tasks by time: one from the future would stay on top of every list, and one from long ago would turn up in
/// the middle of pages that were read already.
async fn task_id(ctx: &Context<'_>, id: Option<Uuid>) -> Result<core::Id<escrow::Task>> {
    let Some(Uuid(id)) = id else {
        let request = request(ctx)?;
        return Ok(posting::id_of(request.signed.id, request.at));
    };
    let now = app(ctx).clock().now();
    if made_at(id) > now.after(ID_AHEAD_MAX) {
        return Err(Failure::from(EdgeError::IdFromFuture).into());
    }
    let is_old = made_at(id).after(ID_AGE_MAX) < now;
    if is_old && app(ctx).task(id).await.map_err(Failure::from)?.is_none() {
        return Err(Failure::from(EdgeError::IdTooOld).into());
    }
    Ok(id)
}

/// The time in a UUIDv7: its first 48 bits (RFC 9562, section 5.7).
fn made_at(id: core::Id<escrow::Task>) -> core::Timestamp {
    let millis = id.as_bytes()[..6].iter().fold(0u64, |millis, byte| (millis << 8) | u64::from(*byte));
    core::Timestamp::from_millis(millis)
}
