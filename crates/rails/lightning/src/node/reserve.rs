//! What stays on the chain for each channel.
//!
//! A payer's node that will not settle a claimed hold must be left on the chain, in time: the HTLC transactions of an
//! anchor channel carry no fee of their own, so the wallet pays it. A node without coins would lose what it paid out.

use std::collections::HashSet;

use bitcoin::{Amount, FeeRate};
use lightning::chain::chaininterface::ConfirmationTarget;
use lightning::ln::types::ChannelId;
use lightning::util::anchor_channel_reserves::{AnchorChannelReserveContext, get_reserve_per_channel};
use tallystick_app::port::rail::RailError;

use super::engine::Engine;
use crate::ldk::settings::HTLCS_MAX;

/// HTLCs of one channel in each direction, as LDK counts. A channel of ours is filled from one side: these pay for twice
/// as many in one direction, which is as many as a channel may have ([`HTLCS_MAX`]).
const HTLCS_EXPECTED: u16 = HTLCS_MAX / 2;
/// 50 sat per vbyte: 99 of 100 blocks since 2019 took less, says LDK.
const FEE_RATE_MIN: FeeRate = FeeRate::from_sat_per_kwu(50 * 250);

/// The reserve for one channel, when an urgent transaction pays `urgent`.
fn per_channel(urgent: FeeRate) -> Amount {
    get_reserve_per_channel(&AnchorChannelReserveContext {
        upper_bound_fee_rate: urgent.max(FEE_RATE_MIN),
        expected_accepted_htlcs: HTLCS_EXPECTED,
        taproot_wallet: true,
    })
}

impl Engine {
    /// What the wallet must keep for all channels, those that are closing included, and for `more` of them.
    pub(crate) fn reserve(&self, more: u64) -> Amount {
        let mut channels: HashSet<ChannelId> =
            self.manager.list_channels().iter().map(|channel| channel.channel_id).collect();
        let unresolved = self.monitors.list_monitors().into_iter().filter(|channel| {
            self.monitors.get_monitor(*channel).is_ok_and(|monitor| !monitor.get_claimable_balances().is_empty())
        });
        channels.extend(unresolved);
        let count = (channels.len() as u64).saturating_add(more);
        let each = per_channel(self.fees.rate(ConfirmationTarget::UrgentOnChainSweep));
        each.checked_mul(count).unwrap_or(Amount::MAX_MONEY)
    }

    /// No hold is taken that could not be claimed on the chain.
    pub(crate) fn could_enforce_holds(&self) -> Result<(), RailError> {
        let (have, need) = (self.wallet.spendable(), self.reserve(0));
        if self.accept_without_reserve || have >= need {
            return Ok(());
        }
        Err(RailError::Unavailable(format!(
            "the on-chain wallet has {have}, closing the channels in a hurry may take {need}"
        )))
    }

    /// Says so when the wallet no longer has what its channels may need.
    pub(crate) fn warn_of_thin_reserve(&self) {
        if let Err(error) = self.could_enforce_holds() {
            tracing::warn!(%error, "no holds are taken until the wallet has more coins");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_needs_a_few_hundred_thousand_sat_and_more_when_fees_are_high() {
        let usual = per_channel(FeeRate::from_sat_per_kwu(253));
        assert!((450_000..500_000).contains(&usual.to_sat()), "{usual}");
        assert_eq!(per_channel(FEE_RATE_MIN), usual);
        let dear = per_channel(FEE_RATE_MIN.checked_mul(2).unwrap());
        assert!(dear.to_sat().abs_diff(2 * usual.to_sat()) <= 1, "{dear}");
    }
}
