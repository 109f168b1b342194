//! What a transaction should pay, refreshed in the background.

use std::collections::HashMap;
use std::sync::RwLock;

use bitcoin::FeeRate;
use lightning::chain::chaininterface::{ConfirmationTarget, FEERATE_FLOOR_SATS_PER_KW, FeeEstimator};
use tallystick_bitcoin::{EstimateMode, RpcClient};

/// What each target means: the blocks to estimate for, and what is taken when there is no estimate (sat per 1000 weight).
const TARGETS: [(ConfirmationTarget, u16, u32); 8] = [
    (ConfirmationTarget::MaximumFeeEstimate, 1, 8_000),
    (ConfirmationTarget::UrgentOnChainSweep, 6, 5_000),
    (ConfirmationTarget::MinAllowedAnchorChannelRemoteFee, 1_008, FEERATE_FLOOR_SATS_PER_KW),
    (ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee, 144, FEERATE_FLOOR_SATS_PER_KW),
    (ConfirmationTarget::AnchorChannelFee, 1_008, 500),
    (ConfirmationTarget::NonAnchorChannelFee, 12, 1_000),
    (ConfirmationTarget::ChannelCloseMinimum, 144, 500),
    (ConfirmationTarget::OutputSpendingFee, 12, 1_000),
];

/// A peer's estimate may be this much above ours, in sat per 1000 weight: `MaximumFeeEstimate` bounds what a peer may do.
const PEER_SLACK: u32 = 5_000;
/// No estimate above this is believed: 2,000 sat per vbyte.
const BELIEVED_MAX: u32 = 500_000;

/// Fee rates by target. Answers at once, from the last refresh.
pub(crate) struct Fees {
    rates: RwLock<HashMap<ConfirmationTarget, u32>>,
}

impl Fees {
    pub(crate) fn new() -> Self {
        Self { rates: RwLock::new(TARGETS.iter().map(|(target, _, fallback)| (*target, *fallback)).collect()) }
    }

    /// Asks for new estimates. A target without one keeps what it has.
    pub(crate) async fn refresh(&self, rpc: &RpcClient) {
        for (target, blocks, _) in TARGETS {
            match rpc.estimate_smart_fee(blocks, mode(target)).await {
                Ok(estimate) => {
                    if let Some(rate) = estimate.fee_rate {
                        self.set(target, adjust(target, rate));
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "no fee estimate; the last one is kept");
                    return;
                }
            }
        }
    }

    /// The rate for a transaction of ours, such as the funding of a channel.
    pub(crate) fn rate(&self, target: ConfirmationTarget) -> FeeRate {
        FeeRate::from_sat_per_kwu(self.get_est_sat_per_1000_weight(target).into())
    }

    fn set(&self, target: ConfirmationTarget, rate: u32) {
        self.rates.write().unwrap_or_else(std::sync::PoisonError::into_inner).insert(target, rate);
    }
}

fn mode(target: ConfirmationTarget) -> EstimateMode {
    match target {
        ConfirmationTarget::MaximumFeeEstimate | ConfirmationTarget::UrgentOnChainSweep => EstimateMode::Conservative,
        _ => EstimateMode::Economical,
    }
}

fn adjust(target: ConfirmationTarget, estimate: FeeRate) -> u32 {
    let rate = u32::try_from(estimate.to_sat_per_kwu()).unwrap_or(u32::MAX).min(BELIEVED_MAX);
    let rate = match target {
        ConfirmationTarget::MaximumFeeEstimate => rate + PEER_SLACK,
        // A peer that rounds differently is not closed on for it.
        ConfirmationTarget::MinAllowedAnchorChannelRemoteFee
        | ConfirmationTarget::MinAllowedNonAnchorChannelRemoteFee => rate / 2,
        _ => rate,
    };
    rate.max(FEERATE_FLOOR_SATS_PER_KW)
}

impl FeeEstimator for Fees {
    fn get_est_sat_per_1000_weight(&self, target: ConfirmationTarget) -> u32 {
        let rates = self.rates.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        rates.get(&target).copied().unwrap_or(FEERATE_FLOOR_SATS_PER_KW)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_estimate_every_target_has_a_rate_that_relays() {
        let fees = Fees::new();
        for (target, _, _) in TARGETS {
            assert!(fees.get_est_sat_per_1000_weight(target) >= FEERATE_FLOOR_SATS_PER_KW);
        }
    }

    #[test]
    fn absurd_estimates_are_bounded_on_both_sides() {
        let low = FeeRate::from_sat_per_kwu(1);
        let high = FeeRate::from_sat_per_kwu(u64::from(u32::MAX));
        for (target, _, _) in TARGETS {
            assert!(adjust(target, low) >= FEERATE_FLOOR_SATS_PER_KW);
            assert!(adjust(target, high) <= BELIEVED_MAX + PEER_SLACK);
        }
    }
}
