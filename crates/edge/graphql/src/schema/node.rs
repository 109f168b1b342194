//! The node as clients see it.

use async_graphql::{Context, Enum, Object, SimpleObject};
use tallystick_app::port::operator as port;
use tallystick_civics::roles::Operation;
use tallystick_core::Digest32;
use tallystick_escrow::Policy;

use super::{
    Result, app, operator,
    page::FIRST,
    scalar::{Hex32, Msat, NostrKey, Sat, Timestamp},
    services,
};
use crate::error::Failure;

/// The node.
pub(crate) struct Node;

/// The node: what everybody may see, and what its operators may.
#[Object]
impl Node {
    /// The Nostr key that the node signs its own facts with.
    async fn key(&self, ctx: &Context<'_>) -> NostrKey {
        NostrKey(app(ctx).key())
    }

    /// The height of the best block that the rules know; 0 while the node is starting.
    async fn height(&self, ctx: &Context<'_>) -> u32 {
        app(ctx).height().0
    }

    /// The node's own time.
    async fn time(&self, ctx: &Context<'_>) -> Timestamp {
        Timestamp(app(ctx).clock().now())
    }

    /// The Lightning node at a glance.
    async fn lightning(&self, ctx: &Context<'_>) -> Lightning {
        services(ctx).operator.info().into()
    }

    /// What the node takes for new tasks.
    async fn policy(&self, ctx: &Context<'_>) -> TaskPolicy {
        app(ctx).policy().into()
    }

    /// The node's money; operators only.
    async fn balances(&self, ctx: &Context<'_>) -> Result<Balances> {
        Ok(operator(ctx, Operation::Balances).await?.balances().await.map_err(Failure::from)?.into())
    }

    /// The node's channels; operators only.
    #[graphql(complexity = "child_complexity.saturating_mul(10)")]
    async fn channels(&self, ctx: &Context<'_>) -> Result<Vec<Channel>> {
        Ok(operator(ctx, Operation::Channels).await?.channels().await.into_iter().map(Channel::from).collect())
    }

    /// The node's payments, the newest first; operators only.
    #[graphql(complexity = "(first.unwrap_or(FIRST) as usize).saturating_mul(child_complexity).saturating_add(1)")]
    async fn payments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, 1 to 100.", default_with = "Some(FIRST)", validator(minimum = 1, maximum = 100))]
        first: Option<u32>,
    ) -> Result<Vec<Payment>> {
        let payments =
            operator(ctx, Operation::Payments).await?.payments(first.unwrap_or(FIRST)).await.map_err(Failure::from)?;
        Ok(payments.into_iter().map(Payment::from).collect())
    }
}

/// The Lightning node at a glance.
#[derive(SimpleObject)]
pub(crate) struct Lightning {
    /// Its public key, 66 hexadecimal digits.
    node_id: String,
    /// Its name in gossip.
    alias: String,
    /// `bitcoin`, `testnet`, `testnet4`, `signet` or `regtest`.
    network: String,
    /// The best block that it has processed.
    height: u32,
    /// That block's hash.
    block_hash: String,
    /// Where peers reach it: `host:port`.
    listen: Vec<String>,
    /// Connected peers.
    peers: u32,
    /// Channels that can be used now.
    usable_channels: u32,
}

impl From<port::NodeInfo> for Lightning {
    fn from(info: port::NodeInfo) -> Self {
        Self {
            node_id: info.node_id,
            alias: info.alias,
            network: info.network,
            height: info.height.0,
            block_hash: info.block_hash,
            listen: info.listen,
            peers: info.peers,
            usable_channels: info.usable_channels,
        }
    }
}

/// What the node takes for new tasks. A task keeps the policy under which it was created.
#[derive(SimpleObject)]
pub(crate) struct TaskPolicy {
    /// The fee on every payout in hundredths of a percent, rounded up to whole sats.
    fee_basis_points: u32,
    /// The smallest fee.
    fee_min_sat: Sat,
    /// The smallest payout of a tranche.
    payout_min_sat: Sat,
    /// The largest payout of a tranche.
    payout_max_sat: Sat,
    /// The most tranches of a task.
    tranches_max: u32,
    /// The largest final CLTV delta of a funding invoice, in blocks.
    final_cltv_max: u32,
    /// The most blocks that the route of a payout may take.
    payout_cltv_max: u32,
    /// The largest final CLTV delta that a worker's invoice may ask for, in blocks.
    payee_final_cltv_max: u32,
    /// Blocks kept between the end of a payout and the deadline of its hold.
    payout_margin: u32,
    /// How long the funding invoices can be paid, in seconds.
    funding_window_secs: u64,
    /// The longest review window, in seconds.
    review_window_max_secs: u64,
}

impl From<&Policy> for TaskPolicy {
    fn from(policy: &Policy) -> Self {
        Self {
            fee_basis_points: policy.fee_rate.get().into(),
            fee_min_sat: Sat(policy.fee_min),
            payout_min_sat: Sat(policy.payout_min),
            payout_max_sat: Sat(policy.payout_max),
            tranches_max: policy.tranches_max,
            final_cltv_max: policy.final_cltv_max.0,
            payout_cltv_max: policy.payout_cltv_max.0,
            payee_final_cltv_max: policy.payee_final_cltv_max.0,
            payout_margin: policy.payout_margin.0,
            funding_window_secs: policy.funding_window.as_secs(),
            review_window_max_secs: policy.review_window_max.as_secs(),
        }
    }
}

/// The node's money.
#[derive(SimpleObject)]
pub(crate) struct Balances {
    /// Confirmed and spendable on the chain.
    onchain_confirmed_sat: Sat,
    /// On its way into the on-chain wallet.
    onchain_pending_sat: Sat,
    /// Our side of all channels, reserves included, HTLCs under way excluded.
    channels_msat: Msat,
    /// Held for tasks: can still be given back.
    held_msat: Msat,
    /// Outbound HTLCs under way.
    outbound_pending_msat: Msat,
}

impl From<port::Balances> for Balances {
    fn from(balances: port::Balances) -> Self {
        Self {
            onchain_confirmed_sat: Sat(balances.onchain_confirmed),
            onchain_pending_sat: Sat(balances.onchain_pending),
            channels_msat: Msat(balances.channels),
            held_msat: Msat(balances.held),
            outbound_pending_msat: Msat(balances.outbound_pending),
        }
    }
}

/// A channel of the node.
#[derive(SimpleObject)]
pub(crate) struct Channel {
    /// The channel's id (BOLT 2), 64 hexadecimal digits.
    id: String,
    /// The peer's public key, 66 hexadecimal digits.
    peer: String,
    /// The funding output, `txid:index`, once known.
    funding: Option<String>,
    /// The channel's size.
    capacity_sat: Sat,
    /// Our side, reserve included, HTLCs under way excluded.
    local_msat: Msat,
    /// What can be sent now.
    outbound_msat: Msat,
    /// What can be received now.
    inbound_msat: Msat,
    /// Confirmed and agreed by both.
    ready: bool,
    /// Ready, with the peer connected.
    usable: bool,
    /// Announced to the network.
    announced: bool,
}

impl From<port::Channel> for Channel {
    fn from(channel: port::Channel) -> Self {
        Self {
            id: channel.channel_id,
            peer: channel.peer,
            funding: channel.funding,
            capacity_sat: Sat(channel.capacity),
            local_msat: Msat(channel.local),
            outbound_msat: Msat(channel.outbound),
            inbound_msat: Msat(channel.inbound),
            ready: channel.ready,
            usable: channel.usable,
            announced: channel.announced,
        }
    }
}

/// Which way a payment goes.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "port::Direction")]
pub(crate) enum PaymentDirection {
    /// To the node.
    Inbound,
    /// From the node.
    Outbound,
}

/// How a payment stands.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "port::PaymentStatus")]
pub(crate) enum PaymentStatus {
    /// Under way, or held.
    Pending,
    /// Done.
    Succeeded,
    /// Failed or given back.
    Failed,
}

/// A payment in the Lightning node's own list.
#[derive(SimpleObject)]
pub(crate) struct Payment {
    /// For outbound payments the id they were asked under, for inbound ones the hash; hexadecimal.
    id: String,
    /// Which way.
    direction: PaymentDirection,
    /// The payment's hash.
    payment_hash: Hex32,
    /// What the payee gets.
    amount_msat: Msat,
    /// What routing cost, once known.
    fee_msat: Option<Msat>,
    /// How it stands.
    status: PaymentStatus,
    /// When it last changed.
    updated_at: Timestamp,
}

impl From<port::Payment> for Payment {
    fn from(payment: port::Payment) -> Self {
        Self {
            id: payment.id,
            direction: payment.direction.into(),
            payment_hash: Hex32(Digest32(payment.hash.0)),
            amount_msat: Msat(payment.amount),
            fee_msat: payment.fee.map(Msat),
            status: payment.status.into(),
            updated_at: Timestamp(payment.updated_at),
        }
    }
}
