//! The schema: what can be asked, and by whom.

mod arbitrator;
mod bond;
mod dispute;
mod disputing;
mod milestone;
mod mutation;
mod node;
mod operator;
mod page;
mod query;
mod roles;
mod scalar;
mod standing;
mod subscription;
mod task;

use async_graphql::{Context, Error, MergedObject, SDLExportOptions, Schema, SchemaBuilder};
use std::sync::Arc;
use tallystick_app::{App, port::operator::NodeOperator, vault::Vault};
use tallystick_civics::roles::Operation;
use tallystick_core::{NostrKey, SignedRequest, Timestamp};

use crate::error::{EdgeError, Failure};

pub(crate) use disputing::award_of;
pub(crate) use mutation::CreateTaskInput;
pub(crate) use roles::{AdminActionInput, NodeRole, SecondFactor, close_channel, pay};
pub(crate) use scalar::{Hex32, Msat, NostrKey as NostrKeyScalar, Uuid};

/// What fields answer with.
type Result<T> = std::result::Result<T, Error>;

/// Everything that changes something.
#[derive(Default, MergedObject)]
pub(crate) struct Mutation(
    mutation::TaskMutation,
    disputing::DisputeMutation,
    arbitrator::ArbitratorMutation,
    operator::NodeMutation,
    roles::RolesMutation,
);

pub(crate) type EdgeSchema = Schema<query::Query, Mutation, subscription::Subscription>;

/// What all requests share.
pub(crate) struct Services {
    pub app: App,
    pub vault: Vault,
    pub operator: Arc<dyn NodeOperator>,
}

/// Who asks.
#[derive(Clone)]
pub(crate) struct Session {
    /// Who signed.
    pub viewer: NostrKey,
    /// The signed request itself; none on a WebSocket, whose signature covers no command.
    pub request: Option<Request>,
}

/// A signed request.
#[derive(Clone)]
pub(crate) struct Request {
    /// What was signed.
    pub signed: SignedRequest,
    /// When, as its author says.
    pub at: Timestamp,
}

/// The schema over these services.
pub(crate) fn build(services: Services, complexity_max: usize) -> EdgeSchema {
    builder().data(services).limit_complexity(complexity_max).finish()
}

/// The schema in the schema definition language.
pub fn sdl() -> String {
    builder().finish().sdl_with_options(SDLExportOptions::new())
}

fn builder() -> SchemaBuilder<query::Query, Mutation, subscription::Subscription> {
    Schema::build(query::Query, Mutation::default(), subscription::Subscription)
}

fn app<'a>(ctx: &Context<'a>) -> &'a App {
    &services(ctx).app
}

fn services<'a>(ctx: &Context<'a>) -> &'a Services {
    ctx.data_opt().expect("the schema is built with its services")
}

fn session<'a>(ctx: &Context<'a>) -> &'a Session {
    ctx.data_opt().expect("every request and every WebSocket has its session put in after its check")
}

/// The signed request that a mutation stands on.
fn signed(ctx: &Context<'_>) -> Result<SignedRequest> {
    Ok(request(ctx)?.signed.clone())
}

fn request<'a>(ctx: &Context<'a>) -> Result<&'a Request> {
    Ok(session(ctx).request.as_ref().ok_or_else(|| Failure::from(EdgeError::OnlySubscriptions))?)
}

/// Whether whoever asks has the role for an operation, by what the journal says now.
async fn may(ctx: &Context<'_>, operation: Operation) -> Result<()> {
    Ok(app(ctx).may(session(ctx).viewer, operation).await.map_err(Failure::from)?)
}

/// The operator's side of the node, for who may do this.
async fn operator<'a>(ctx: &Context<'a>, operation: Operation) -> Result<&'a dyn NodeOperator> {
    may(ctx, operation).await?;
    Ok(&*services(ctx).operator)
}

/// Something inside does not fit together: logged, and told in general words.
fn internal(what: &str, error: &dyn std::fmt::Display) -> Error {
    tracing::error!("{what}: {error}");
    Failure::from(EdgeError::Internal).into()
}
