//! Arbitrators: the registry that panels are drawn from.

use async_graphql::{Context, Enum, Object, SimpleObject};
use tallystick_civics::{
    registry::{self, Command, OperatorCommand, UserCommand, in_a_draw},
    roles::Operation,
};

use super::{
    Result, app, internal, may,
    scalar::{Hex32, NostrKey, Timestamp},
    signed,
    standing::StandingTerm,
};
use crate::error::Failure;

/// What an operator made of an arbitrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub(crate) enum Admission {
    /// Nothing yet.
    Pending,
    /// May be drawn.
    Admitted,
    /// May not be drawn.
    Suspended,
}

/// Somebody who offers to sit on panels.
#[derive(SimpleObject)]
pub(crate) struct Arbitrator {
    /// Who.
    key: NostrKey,
    /// SHA-256 of the statement in which it tells who it is and what it knows.
    statement_hash: Hex32,
    /// How to pay it: a BOLT 12 offer or a Lightning address.
    pay: String,
    /// What an operator made of it.
    admission: Admission,
    /// Whether it wants no work for now.
    paused: bool,
    /// Whether it left.
    withdrawn: bool,
    /// In how many disputes it served, well or badly.
    served: usize,
    /// Whether it may be drawn.
    eligible: bool,
}

impl From<&registry::Arbitrator> for Arbitrator {
    fn from(arbitrator: &registry::Arbitrator) -> Self {
        Self {
            key: NostrKey(arbitrator.key),
            statement_hash: Hex32(arbitrator.statement_hash),
            pay: arbitrator.pay.clone(),
            admission: match arbitrator.admission {
                registry::Admission::Pending => Admission::Pending,
                registry::Admission::Admitted => Admission::Admitted,
                registry::Admission::Suspended => Admission::Suspended,
            },
            paused: arbitrator.paused,
            withdrawn: arbitrator.withdrawn,
            served: arbitrator.served.len(),
            eligible: arbitrator.is_eligible(),
        }
    }
}

/// What an arbitrator counts in the draw of panels, with what it is made of. Whoever has the registry's facts, which are
/// public, computes the same; `docs/reputation.md` has the formula.
#[derive(SimpleObject)]
pub(crate) struct DrawWeight {
    /// Whose.
    arbitrator: NostrKey,
    /// The last fact of the registry that is in it.
    seq: u64,
    /// The time that it is of: the latest of these facts.
    at: Timestamp,
    /// How much more likely to be drawn than somebody of weight 1: the sum of the terms' points.
    weight: u32,
    /// What it is made of.
    terms: Vec<StandingTerm>,
}

/// What somebody counts in a draw; nothing if it cannot be drawn.
pub(super) async fn draw_weight(
    ctx: &Context<'_>,
    arbitrator: NostrKey,
    as_of: Option<u64>,
) -> Result<Option<DrawWeight>> {
    let roll = app(ctx).roll(as_of).await.map_err(Failure::from)?;
    let mut weights = roll.weights().map_err(|error| internal("the registry makes no list", &error))?;
    Ok(weights.remove(&arbitrator.0).map(|weight| DrawWeight {
        arbitrator,
        seq: roll.seq(),
        at: Timestamp(roll.at()),
        weight: in_a_draw(&weight),
        terms: weight.terms.into_iter().map(StandingTerm::from).collect(),
    }))
}

/// What became of a request to the registry.
#[derive(SimpleObject)]
pub(crate) struct ArbitratorPayload {
    /// Whether this very request changed something; false if the same was done before.
    changed: bool,
    /// The arbitrator now.
    arbitrator: Option<Arbitrator>,
}

#[derive(Default)]
pub(crate) struct ArbitratorMutation;

#[Object]
impl ArbitratorMutation {
    /// Offers that you sit on panels, or changes what you said before. An operator reads your statement and admits you.
    async fn register_arbitrator(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "SHA-256 of the statement in which you tell who you are and what you know.")]
        statement_hash: Hex32,
        #[graphql(desc = "How to pay you: a BOLT 12 offer or a Lightning address.")] pay: String,
    ) -> Result<ArbitratorPayload> {
        ask(ctx, Command::User(UserCommand::Register { statement_hash: statement_hash.0, pay })).await
    }

    /// You want no work for now.
    async fn pause_arbitrator(&self, ctx: &Context<'_>) -> Result<ArbitratorPayload> {
        ask(ctx, Command::User(UserCommand::Pause)).await
    }

    /// You take work again.
    async fn resume_arbitrator(&self, ctx: &Context<'_>) -> Result<ArbitratorPayload> {
        ask(ctx, Command::User(UserCommand::Resume)).await
    }

    /// You leave the registry.
    async fn withdraw_arbitrator(&self, ctx: &Context<'_>) -> Result<ArbitratorPayload> {
        ask(ctx, Command::User(UserCommand::Withdraw)).await
    }

    /// Lets an arbitrator be drawn, whose statement you have read; operators only.
    async fn admit_arbitrator(
        &self,
        ctx: &Context<'_>,
        arbitrator: NostrKey,
        #[graphql(desc = "SHA-256 of the statement that you have read.")] statement_hash: Hex32,
    ) -> Result<ArbitratorPayload> {
        may(ctx, Operation::AdmitArbitrator).await?;
        let command = OperatorCommand::Admit { arbitrator: arbitrator.0, statement_hash: statement_hash.0 };
        ask(ctx, Command::Operator(command)).await
    }

    /// Lets an arbitrator not be drawn any more; operators only. Whoever sits already goes on.
    async fn suspend_arbitrator(&self, ctx: &Context<'_>, arbitrator: NostrKey) -> Result<ArbitratorPayload> {
        may(ctx, Operation::SuspendArbitrator).await?;
        ask(ctx, Command::Operator(OperatorCommand::Suspend { arbitrator: arbitrator.0 })).await
    }
}

async fn ask(ctx: &Context<'_>, command: Command) -> Result<ArbitratorPayload> {
    let (changed, state) = app(ctx).ask_registry(command, signed(ctx)?).await.map_err(Failure::from)?;
    let arbitrator = match &state {
        registry::State::Present(arbitrator) => Some(Arbitrator::from(arbitrator)),
        registry::State::Absent => None,
    };
    Ok(ArbitratorPayload { changed, arbitrator })
}
