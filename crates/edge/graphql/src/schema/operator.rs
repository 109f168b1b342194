//! What operators and admins can do with the Lightning node itself.

use async_graphql::{Context, InputObject, Object};
use tallystick_app::port::{
    evidence::Matter,
    operator::{NodeOperator, OpenChannel},
};
use tallystick_civics::roles::{Action, Operation};
use tallystick_core::{self as core, Duration};

use super::{
    Result, app,
    node::Payment,
    operator,
    roles::{SecondFactor, close_channel, pay},
    scalar::{Msat, Sat, Uuid},
    services, signed,
};
use crate::error::Failure;

const PAY_TIMEOUT_SECS: u32 = 20;
const EXPIRY_SECS: u32 = 3_600;

/// A channel to be opened.
#[derive(InputObject)]
pub(crate) struct OpenChannelInput {
    /// The peer's public key, 66 hexadecimal digits.
    peer: String,
    /// Where to reach it, `host:port`; not needed if connected.
    address: Option<String>,
    /// The channel's size, paid by this node.
    capacity_sat: Sat,
    /// Whether the channel is told to the network.
    #[graphql(default)]
    announce: bool,
    /// A UUIDv7 of your own. Asked again with the same key, as long as that channel is not closed, it is answered, and none is
    /// opened beside it.
    key: Option<Uuid>,
}

#[derive(Default)]
pub(crate) struct NodeMutation;

#[Object]
impl NodeMutation {
    /// A fresh address of the node's on-chain wallet (BIP 86); operators only.
    async fn node_new_address(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(commanded(ctx, Operation::NewAddress).await?.new_address().await.map_err(Failure::from)?)
    }

    /// Connects to a peer and keeps the connection; operators only. True once the handshake is done.
    async fn node_connect(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The peer's public key, 66 hexadecimal digits.")] peer: String,
        #[graphql(desc = "`host:port`.")] address: String,
    ) -> Result<bool> {
        commanded(ctx, Operation::Connect).await?.connect(&peer, &address).await.map_err(Failure::from)?;
        Ok(true)
    }

    /// Begins to open a channel and answers its id, which changes once it is funded; operators only. All of its money stays the
    /// node's.
    async fn node_open_channel(&self, ctx: &Context<'_>, input: OpenChannelInput) -> Result<String> {
        let request = OpenChannel {
            peer: input.peer,
            address: input.address,
            capacity: input.capacity_sat.0,
            // What a peer gets is paid out of the node, and that takes more than an operator's key.
            push: core::Msat::ZERO,
            announce: input.announce,
            key: input.key.map(Uuid::of),
        };
        Ok(commanded(ctx, Operation::OpenChannel).await?.open_channel(request).await.map_err(Failure::from)?)
    }

    /// Begins to close a channel; admins with a second factor only. True once it has begun.
    async fn node_close_channel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The channel's id, 64 hexadecimal digits.")] channel_id: String,
        #[graphql(desc = "Alone, without the peer: takes days and costs more.", default_with = "Some(false)")]
        force: Option<bool>,
        second_factor: Option<SecondFactor>,
    ) -> Result<bool> {
        let force = force.unwrap_or(false);
        authorised(ctx, close_channel(&channel_id, force), second_factor).await?;
        services(ctx).operator.close_channel(&channel_id, force).await.map_err(Failure::from)?;
        Ok(true)
    }

    /// Pays an invoice (BOLT 11) and waits for the result; admins with a second factor only. Asked again, it is not paid
    /// again: the answer is the payment that there is, unless that one failed.
    async fn node_pay(
        &self,
        ctx: &Context<'_>,
        invoice: String,
        #[graphql(desc = "The most that routing may cost.")] fee_limit_msat: Msat,
        #[graphql(
            desc = "How long to wait, 1 to 25 seconds; the payment goes on after it.",
            default_with = "Some(PAY_TIMEOUT_SECS)",
            validator(minimum = 1, maximum = 25)
        )]
        timeout_secs: Option<u32>,
        second_factor: Option<SecondFactor>,
    ) -> Result<Payment> {
        let timeout = Duration::from_secs(u64::from(timeout_secs.unwrap_or(PAY_TIMEOUT_SECS)));
        let operator = operator(ctx, Operation::Pay).await?;
        app(ctx).refuse_tasks_invoice(&invoice).await.map_err(Failure::from)?;
        authorised(ctx, pay(&invoice, fee_limit_msat), second_factor).await?;
        let payment = operator.pay_invoice(&invoice, fee_limit_msat.0, timeout).await;
        Ok(payment.map_err(Failure::from)?.into())
    }

    /// Erases the contents of a task that has ended: what its parties wrote and signed. What proves that it happened
    /// stays, and so does the fact that you erased it; admins with a second factor only. Answers that fact's number, null if
    /// it had been erased before.
    async fn erase_task(
        &self,
        ctx: &Context<'_>,
        id: Uuid,
        second_factor: Option<SecondFactor>,
    ) -> Result<Option<u64>> {
        let said = SecondFactor::said(second_factor);
        let erased = app(ctx).erase_as_admin(id.0, &said, signed(ctx)?).await.map_err(Failure::from)?;
        services(ctx).vault.forget(id.0).await.map_err(Failure::from)?;
        Ok(erased)
    }

    /// Erases the evidence of a dispute that is over, before the node does so by itself. The fact that you erased it tells
    /// the hash of each piece; admins with a second factor only. Answers how many pieces there were.
    async fn erase_evidence(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The task.")] id: Uuid,
        #[graphql(desc = "Its dispute.")] dispute: Uuid,
        second_factor: Option<SecondFactor>,
    ) -> Result<u64> {
        let (matter, said) = (Matter { task: id.0, dispute: dispute.of() }, SecondFactor::said(second_factor));
        Ok(services(ctx).vault.erase_as_admin(matter, &said, signed(ctx)?).await.map_err(Failure::from)?)
    }

    /// Makes an invoice (BOLT 11) that the node settles by itself; operators only.
    async fn node_invoice(
        &self,
        ctx: &Context<'_>,
        amount_msat: Msat,
        #[graphql(desc = "What the payer sees; 639 bytes at most.", validator(max_length = 639))] description: String,
        #[graphql(
            desc = "How long it can be paid, 1 second to 7 days, in seconds.",
            default_with = "Some(EXPIRY_SECS)",
            validator(minimum = 1, maximum = 604_800)
        )]
        expiry_secs: Option<u32>,
    ) -> Result<String> {
        let expiry = Duration::from_secs(u64::from(expiry_secs.unwrap_or(EXPIRY_SECS)));
        Ok(commanded(ctx, Operation::Invoice)
            .await?
            .invoice(amount_msat.0, &description, expiry)
            .await
            .map_err(Failure::from)?)
    }
}

/// The node, for an operator's signed request that was not used before, not even before a restart.
async fn commanded<'a>(ctx: &Context<'a>, operation: Operation) -> Result<&'a dyn NodeOperator> {
    let node = operator(ctx, operation).await?;
    app(ctx).admit(&signed(ctx)?).await.map_err(Failure::from)?;
    Ok(node)
}

/// Lets an admin do this once.
async fn authorised(ctx: &Context<'_>, action: Action, factor: Option<SecondFactor>) -> Result<()> {
    app(ctx).authorise(action, &SecondFactor::said(factor), &signed(ctx)?).await.map_err(Failure::from)?;
    Ok(())
}
