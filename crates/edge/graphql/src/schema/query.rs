//! What can be read.

use async_graphql::{Context, Object, connection::Connection};
use std::sync::Arc;

use super::{
    Result, app,
    node::Node,
    page::{self, FIRST, TaskCursor, TaskFilter},
    roles::{self, NodeRoles, Proposal},
    scalar::Uuid,
    session,
    task::Task,
};
use crate::error::Failure;

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

    /// Who has which role; admins only.
    async fn roles(&self, ctx: &Context<'_>) -> Result<NodeRoles> {
        roles::view(ctx).await
    }

    /// What waits for a second admin; admins only.
    async fn proposals(&self, ctx: &Context<'_>) -> Result<Vec<Proposal>> {
        roles::waiting(ctx).await
    }

    /// The node: who it is, what it takes, and for its operators what it has.
    async fn node(&self) -> Node {
        Node
    }
}
