//! What operators can do with the Lightning node itself.

use async_graphql::{Context, InputObject, Object};
use tallystick_app::port::{
    evidence::Matter,
    operator::{NodeOperator, OpenChannel},
};
use tallystick_core::{self as core, Duration};

use super::{
    Result, app,
    node::Payment,
    operator,
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
    /// What the peer gets of it at once.
    push_msat: Option<Msat>,
    /// Whether the channel is told to the network.
    #[graphql(default)]
    announce: bool,
}

#[derive(Default)]
pub(crate) struct NodeMutation;

#[Object]
impl NodeMutation {
    /// A fresh address of the node's on-chain wallet (BIP 86); operators only.
    async fn node_new_address(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(commanded(ctx).await?.new_address().await.map_err(Failure::from)?)
    }

    /// Connects to a peer and keeps the connection; operators only. True once the handshake is done.
    async fn node_connect(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The peer's public key, 66 hexadecimal digits.")] peer: String,
        #[graphql(desc = "`host:port`.")] address: String,
    ) -> Result<bool> {
        commanded(ctx).await?.connect(&peer, &address).await.map_err(Failure::from)?;
        Ok(true)
    }

    /// Begins to open a channel and answers its temporary id; operators only.
    async fn node_open_channel(&self, ctx: &Context<'_>, input: OpenChannelInput) -> Result<String> {
        let request = OpenChannel {
            peer: input.peer,
            address: input.address,
            capacity: input.capacity_sat.0,
            push: input.push_msat.map_or(core::Msat::ZERO, |push| push.0),
            announce: input.announce,
        };
        Ok(commanded(ctx).await?.open_channel(request).await.map_err(Failure::from)?)
    }

    /// Begins to close a channel; operators only. True once it has begun.
    async fn node_close_channel(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The channel's id, 64 hexadecimal digits.")] channel_id: String,
        #[graphql(desc = "Alone, without the peer: takes days and costs more.", default_with = "Some(false)")]
        force: Option<bool>,
    ) -> Result<bool> {
        commanded(ctx).await?.close_channel(&channel_id, force.unwrap_or(false)).await.map_err(Failure::from)?;
        Ok(true)
    }

    /// Pays an invoice (BOLT 11) and waits for the result; operators only.
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
    ) -> Result<Payment> {
        let timeout = Duration::from_secs(u64::from(timeout_secs.unwrap_or(PAY_TIMEOUT_SECS)));
        let operator = commanded(ctx).await?;
        app(ctx).refuse_tasks_invoice(&invoice).await.map_err(Failure::from)?;
        let payment = operator.pay_invoice(&invoice, fee_limit_msat.0, timeout).await;
        Ok(payment.map_err(Failure::from)?.into())
    }

    /// Erases the contents of a task that has ended: what its parties wrote and signed. What proves that it happened
    /// stays, and so does the fact that you erased it; operators only. Answers that fact's number, null if it had been
    /// erased before.
    async fn erase_task(&self, ctx: &Context<'_>, id: Uuid) -> Result<Option<u64>> {
        operator(ctx)?;
        let erased = app(ctx).erase(id.0, signed(ctx)?).await.map_err(Failure::from)?;
        services(ctx).vault.forget(id.0).await.map_err(Failure::from)?;
        Ok(erased)
    }

    /// Erases the evidence of a dispute that is over, before the node does so by itself. The fact that you erased it tells
    /// the hash of each piece; operators only. Answers how many pieces there were.
    async fn erase_evidence(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The task.")] id: Uuid,
        #[graphql(desc = "Its dispute.")] dispute: Uuid,
    ) -> Result<u64> {
        operator(ctx)?;
        let matter = Matter { task: id.0, dispute: dispute.of() };
        Ok(services(ctx).vault.erase(matter, signed(ctx)?).await.map_err(Failure::from)?)
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
        Ok(commanded(ctx).await?.invoice(amount_msat.0, &description, expiry).await.map_err(Failure::from)?)
    }
}

/// The node, for an operator's signed request that was not used before, not even before a restart.
async fn commanded<'a>(ctx: &Context<'a>) -> Result<&'a dyn NodeOperator> {
    let node = operator(ctx)?;
    app(ctx).admit(&signed(ctx)?).await.map_err(Failure::from)?;
    Ok(node)
}
