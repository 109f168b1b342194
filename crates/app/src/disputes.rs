//! What the rules of disputes need of the journal and the chain: who could sit, who must not, and which block decides.

use std::collections::BTreeSet;
use tallystick_core::{Coded, Ctx, Id, NostrKey, SignedRequest};
use tallystick_escrow::{Docket, DrawDue, NodeCommand, Rejection, State, Task, UserCommand};

use crate::{
    app::{Answer, App},
    change::read_view,
    clock::mint_id,
    error::AppError,
    port::{limits::PAGE_MAX, tasks::TaskQuery},
    road::{Errand, Order},
};

/// The newest tasks of each side that are looked through for conflicts of interest, in either role.
const TASKS_MAX: u32 = PAGE_MAX;

impl App {
    /// Opens a dispute about a milestone. The registry as it is now is what all of its panels are drawn from.
    ///
    /// # Errors
    /// [`AppError`]; nothing changed then.
    pub async fn open_dispute(&self, id: Id<Task>, milestone: u32, request: SignedRequest) -> Result<Answer, AppError> {
        let docket = self.docket(id).await?;
        self.ask(id, UserCommand::OpenDispute { milestone, docket }, request).await
    }

    /// Has an arbitrator paid for a vote, with the own invoice as text.
    ///
    /// # Errors
    /// [`AppError`]; nothing changed then.
    pub async fn collect_reward(
        &self,
        id: Id<Task>,
        milestone: u32,
        invoice: String,
        request: SignedRequest,
    ) -> Result<Answer, AppError> {
        let facts = self.invoices()?.read(&invoice)?;
        self.ask(id, UserCommand::CollectReward { milestone, invoice: Box::new((invoice, facts)) }, request).await
    }

    async fn docket(&self, id: Id<Task>) -> Result<Docket, AppError> {
        let (State::Present(task), _) = self.load(id).await? else { return Err(Rejection::NotFound.into()) };
        let roll = self.roll(None).await?;
        let sides = [Some(task.requester), task.phase.job().map(|job| job.worker)];
        let mut others = BTreeSet::new();
        for side in sides.into_iter().flatten() {
            others.extend(self.counterparties(side).await?);
        }
        let candidates = roll.candidates()?;
        let conflicts = candidates.as_slice().iter().map(|candidate| candidate.arbitrator);
        let conflicts = conflicts.filter(|arbitrator| others.contains(arbitrator));
        let conflicts = conflicts.take(tallystick_civics::dispute::CONFLICTS_MAX).collect();
        let id = mint_id(self.clock().now()).map_err(|error| {
            tracing::error!("the system has no randomness: {error}");
            AppError::Fault
        })?;
        Ok(Docket { id, conflicts, registry_seq: roll.seq() })
    }

    /// With whom somebody has had a task: who pays or paid a key, or was paid by it, does not judge it.
    async fn counterparties(&self, key: NostrKey) -> Result<BTreeSet<NostrKey>, AppError> {
        let mut others = BTreeSet::new();
        let roles = [
            TaskQuery { requester: Some(key), limit: TASKS_MAX, ..TaskQuery::default() },
            TaskQuery { worker: Some(key), limit: TASKS_MAX, ..TaskQuery::default() },
        ];
        for query in roles {
            for row in self.0.parts.tasks.tasks(&query).await? {
                let view = read_view(&row)?;
                others.extend([Some(view.requester), view.worker].into_iter().flatten().filter(|other| *other != key));
            }
        }
        Ok(others)
    }

    /// Wakes a task; one with a worker's bond hears when the node was away, without which none is taken. A panic is an error
    /// of this one task, as on the road.
    pub(crate) async fn wake_task(&self, id: Id<Task>) -> Result<Answer, AppError> {
        let app = self.clone();
        let woken = tokio::spawn(async move {
            let (state, _) = app.load(id).await?;
            match state {
                State::Present(task) if task.terms.bonds.worker.is_some() => {
                    let (command, now, _told) = app.waking(&task).await?;
                    let ctx = Ctx { now, ..app.ctx(app.key())? };
                    app.run(Errand { id, order: Order::Node(command), ctx, finishes: None }).await
                }
                _ => app.report(id, NodeCommand::Wake, None).await,
            }
        });
        woken.await.map_err(|_| AppError::Fault)?
    }

    /// Records every draw of a task whose block is buried. Answers whether something changed.
    pub(crate) async fn record_draws(&self, id: Id<Task>) -> Result<bool, AppError> {
        let (state, _) = self.load(id).await?;
        let height = self.height();
        let mut changed = false;
        for draw in state.draws_due().into_iter().filter(|draw| (draw.from..=draw.until).contains(&height)) {
            match self.record_draw(id, draw).await {
                Ok(answer) => changed |= answer.changed,
                // Another one was faster.
                Err(AppError::Rejected(rejection)) => {
                    tracing::info!(task = %id, code = %rejection.code(), "a draw is not recorded: {rejection}");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(changed)
    }

    async fn record_draw(&self, id: Id<Task>, draw: DrawDue) -> Result<Answer, AppError> {
        let block_hash = self.blocks()?.hash_at(draw.block).await?;
        let candidates = self.roll(Some(draw.registry_seq)).await?.candidates()?;
        let DrawDue { milestone, block, registry_seq, .. } = draw;
        let command = NodeCommand::RecordDraw { milestone, block_height: block, block_hash, candidates, registry_seq };
        self.report(id, command, None).await
    }
}
