//! Money in channels, to the msat.

use lightning::chain::channelmonitor::{Balance, BalanceSource};
use lightning::ln::channel_state::ChannelDetails;
use lightning::sign::SpendableOutputDescriptor;
use lightning::util::sweep::{OutputSpendStatus, TrackedSpendableOutput};
use tallystick_app::port::operator::{Balances, Channel};
use tallystick_core::{Msat, Sat};

use super::engine::{Engine, msat};
use crate::LightningError;

/// BOLT 3: two anchors of 330 sat, paid by whoever opened the channel.
const ANCHORS_MSAT: u64 = 2 * 330_000;

impl Engine {
    pub(crate) fn balances(&self) -> Result<Balances, LightningError> {
        let channels = self.manager.list_channels();
        let onchain = self.wallet.balance();
        let open: Vec<&ChannelDetails> = channels.iter().collect();
        let closing: u64 = self.monitors.get_claimable_balances(&open).iter().map(closing_sat).sum();
        let swept: u64 = self.sweeper.tracked_spendable_outputs().iter().map(unswept_sat).sum();
        let held: u64 = self.held()?.iter().map(|(_, amount)| amount.get()).sum();
        Ok(Balances {
            onchain_confirmed: sat(onchain.confirmed.to_sat()),
            onchain_pending: sat(onchain.pending.to_sat().saturating_add(closing).saturating_add(swept)),
            channels: msat(channels.iter().map(local_msat).sum()),
            held: msat(held),
            outbound_pending: msat(channels.iter().map(outbound_pending_msat).sum()),
        })
    }
}

/// What waits to be swept; once its sweep is broadcast, the wallet counts it.
fn unswept_sat(output: &TrackedSpendableOutput) -> u64 {
    let value = match &output.descriptor {
        SpendableOutputDescriptor::StaticOutput { output, .. } => output.value,
        SpendableOutputDescriptor::DelayedPaymentOutput(descriptor) => descriptor.output.value,
        SpendableOutputDescriptor::StaticPaymentOutput(descriptor) => descriptor.output.value,
    };
    match output.status {
        OutputSpendStatus::PendingInitialBroadcast { .. } => value.to_sat(),
        OutputSpendStatus::PendingFirstConfirmation { .. }
        | OutputSpendStatus::PendingThresholdConfirmations { .. } => 0,
    }
}

/// What a channel that closes will bring for sure. What both closed together pays to the wallet, which counts it.
fn closing_sat(balance: &Balance) -> u64 {
    match balance {
        Balance::ClaimableOnChannelClose { .. }
        | Balance::MaybePreimageClaimableHTLC { .. }
        | Balance::MaybeTimeoutClaimableHTLC { .. }
        | Balance::CounterpartyRevokedOutputClaimable { .. }
        | Balance::ContentiousClaimable { .. }
        | Balance::ClaimableAwaitingConfirmations { source: BalanceSource::CoopClose, .. } => 0,
        Balance::ClaimableAwaitingConfirmations { amount_satoshis, .. } => *amount_satoshis,
    }
}

fn sat(amount: u64) -> Sat {
    Sat::try_new(amount).unwrap_or(Sat::MAX)
}

fn outbound_pending_msat(channel: &ChannelDetails) -> u64 {
    channel.pending_outbound_htlcs.iter().map(|htlc| htlc.amount_msat).sum()
}

/// Our side of a channel, HTLCs under way excluded.
///
/// LDK tells what can be sent and received: each side less its reserve, and less the anchors on the opener's side, but
/// never below nothing. The reserves are far smaller than the channel, so one of the two numbers is always exact.
fn local_msat(channel: &ChannelDetails) -> u64 {
    let anchors = channel.channel_type.as_ref().is_some_and(|features| features.supports_anchors_zero_fee_htlc_tx());
    let anchors_msat = if anchors { ANCHORS_MSAT } else { 0 };
    let reserve_msat = channel.unspendable_punishment_reserve.unwrap_or_default() * 1_000;
    if channel.outbound_capacity_msat > 0 {
        let ours = if channel.is_outbound { anchors_msat } else { 0 };
        return channel.outbound_capacity_msat + reserve_msat + ours;
    }
    let their_reserve_msat = channel.counterparty.unspendable_punishment_reserve * 1_000;
    let theirs = channel.inbound_capacity_msat
        + their_reserve_msat
        + if channel.is_outbound { 0 } else { anchors_msat }
        + channel.pending_inbound_htlcs.iter().map(|htlc| htlc.amount_msat).sum::<u64>()
        + outbound_pending_msat(channel);
    (channel.channel_value_satoshis * 1_000).saturating_sub(theirs)
}

/// A channel as the operator sees it.
pub(super) fn channel(details: &ChannelDetails) -> Channel {
    Channel {
        channel_id: details.channel_id.to_string(),
        peer: details.counterparty.node_id.to_string(),
        funding: details.funding_txo.map(|funding| format!("{}:{}", funding.txid, funding.index)),
        capacity: sat(details.channel_value_satoshis),
        local: msat(local_msat(details)),
        outbound: Msat::min(msat(details.outbound_capacity_msat), msat(details.next_outbound_htlc_limit_msat)),
        inbound: msat(details.inbound_capacity_msat),
        ready: details.is_channel_ready,
        usable: details.is_usable,
        announced: details.is_announced,
    }
}
