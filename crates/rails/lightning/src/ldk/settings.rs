//! How channels are set up.

use crate::LightningConfig;
use lightning::util::config::{
    ChannelConfig, ChannelHandshakeConfig, ChannelHandshakeLimits, MaxDustHTLCExposure, UserConfig,
};

/// HTLCs that one channel may hold for us. BOLT 2 allows 483, but each may have to be claimed on the chain in a
/// transaction of its own, for which the reserve must suffice.
pub(crate) const HTLCS_MAX: u16 = 30;
/// The smallest HTLC that a peer may send to a node that enforces holds: no peer may call it dust (BOLT 3), so each has an
/// output on the commitment transaction.
const HTLC_MIN_MSAT: u64 = 546_000;

/// LDK's settings for a node that holds HTLCs for days.
pub(crate) fn settings(config: &LightningConfig) -> UserConfig {
    UserConfig {
        channel_handshake_config: ChannelHandshakeConfig {
            // HTLC transactions pay their fee when they are needed, not when the channel is opened.
            negotiate_anchors_zero_fee_htlc_tx: true,
            our_htlc_minimum_msat: if config.accept_without_reserve { 1 } else { HTLC_MIN_MSAT },
            our_max_accepted_htlcs: HTLCS_MAX,
            // Holds may fill the whole channel; the default of 10 % is for wallets.
            max_inbound_htlc_value_in_flight_percent_of_channel: 100,
            ..ChannelHandshakeConfig::default()
        },
        channel_handshake_limits: ChannelHandshakeLimits {
            // Whether a channel is announced is the opener's choice.
            force_announced_channel_preference: false,
            ..ChannelHandshakeLimits::default()
        },
        channel_config: ChannelConfig {
            // Dust that could be lost to miners: at most what 10,000 vbytes of fees cost.
            max_dust_htlc_exposure: MaxDustHTLCExposure::FeeRateMultiplier(10_000),
            ..ChannelConfig::default()
        },
        accept_forwards_to_priv_channels: config.forward,
        // Every channel is looked at before it is accepted; none is used before it is confirmed.
        manually_accept_inbound_channels: true,
        reject_inbound_splices: true,
        ..UserConfig::default()
    }
}
