//! What can be read.

use async_graphql::{Context, Object, connection::Connection};
use std::sync::Arc;

use super::{
    Result, app,
    arbitrator::{self, Arbitrator, DrawWeight},
    node::Node,
    page::{self, FIRST, TaskCursor, TaskFilter},
    roles::{self, NodeRoles, Proposal},
    scalar::{NostrKey, Uuid},
    session,
    standing::{self, ANOMALIES_COST, Anomaly, STANDING_COST, Standing, TaskRole},
    task::Task,
};
use crate::error::Failure;

/// What the list of arbitrators is counted as in a query's complexity: the registry is read from its first fact for it.
const ARBITRATORS_COST: usize = 2_000;

pub(crate) struct Query;

/// What can be read. Every request is signed (NIP-98).
#[Object]
impl Query {
    /// A task; null if there is none with this id.
    async fn task(&self, ctx: &Context<'_>, id: Uuid) -> Result<Option<Task>> {
        let view = app(ctx).task(id.0).await.map_err(Failure::from)?;
        Ok(view.map(|view| Task::new(Arc::new(view), app(ctx), session(ctx))))
    }

    /// Tasks, the newest first.
    #[graphql(complexity = "(first.unwrap_or(FIRST) as usize).saturating_mul(child_complexity).saturating_add(1)")]
    async fn tasks(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which tasks; all if absent.")] filter: Option<TaskFilter>,
        #[graphql(desc = "How many, 1 to 100.", default_with = "Some(FIRST)", validator(minimum = 1, maximum = 100))]
        first: Option<u32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<TaskCursor, Task>> {
        page::read(app(ctx), session(ctx), filter.unwrap_or_default(), first.unwrap_or(FIRST), after).await
    }

    /// Everybody who ever offered to sit on panels.
    #[graphql(complexity = "ARBITRATORS_COST + child_complexity")]
    async fn arbitrators(&self, ctx: &Context<'_>) -> Result<Vec<Arbitrator>> {
        let roll = app(ctx).roll(None).await.map_err(Failure::from)?;
        Ok(roll.arbitrators().map(Arbitrator::from).collect())
    }

    /// What an arbitrator counts in the draw of panels, with what that is made of; null if it cannot be drawn.
    #[graphql(complexity = "ARBITRATORS_COST + child_complexity")]
    async fn draw_weight(
        &self,
        ctx: &Context<'_>,
        arbitrator: NostrKey,
        #[graphql(desc = "As of this fact, such as a draw's `registrySeq`; now if absent.")] as_of: Option<u64>,
    ) -> Result<Option<DrawWeight>> {
        arbitrator::draw_weight(ctx, arbitrator, as_of).await
    }

    /// Who has which role; admins only.
    async fn roles(&self, ctx: &Context<'_>) -> Result<NodeRoles> {
        roles::view(ctx).await
    }

    /// What waits for a second admin; admins only.
    async fn proposals(&self, ctx: &Context<'_>) -> Result<Vec<Proposal>> {
        roles::waiting(ctx).await
    }

    /// Somebody's standing in a role, with what it is made of.
    #[graphql(complexity = "child_complexity.saturating_add(STANDING_COST)")]
    async fn standing(&self, ctx: &Context<'_>, key: NostrKey, role: TaskRole) -> Result<Standing> {
        standing::standing(ctx, key, role).await
    }

    /// What looks odd in all that ended on this node; operators only.
    #[graphql(complexity = "child_complexity.saturating_add(ANOMALIES_COST)")]
    async fn anomalies(&self, ctx: &Context<'_>) -> Result<Vec<Anomaly>> {
        standing::anomalies(ctx).await
    }

    /// The node: who it is, what it takes, and for its operators what it has.
    async fn node(&self) -> Node {
        Node
    }
}
