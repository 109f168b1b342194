//! Channels on their way to being used.

use bitcoin::secp256k1::PublicKey;
use bitcoin::{Amount, ScriptBuf};
use lightning::chain::chaininterface::ConfirmationTarget;
use lightning::events::FundingInfo;
use lightning::ln::types::ChannelId;

use crate::node::engine::Engine;

/// A peer wants to open a channel to us: accepted if it can be closed in a hurry, and not used before it is confirmed.
pub(super) fn requested(engine: &Engine, channel: &ChannelId, peer: &PublicKey) {
    if let Err(error) = engine.wallet.can_pay(Amount::ZERO, engine.reserve(1))
        && !engine.accept_without_reserve
    {
        tracing::warn!(%channel, %peer, %error, "a channel is refused: add coins to the on-chain wallet");
        let message = "too few coins on the chain to take another channel".to_owned();
        if let Err(error) = engine.manager.force_close_broadcasting_latest_txn(channel, peer, message) {
            tracing::debug!(%channel, ?error, "the channel was gone already");
        }
        return;
    }
    if let Err(error) = engine.manager.accept_inbound_channel(channel, peer, 0, None) {
        tracing::warn!(%channel, ?error, "a channel cannot be accepted");
    }
}

/// A peer accepted our channel: it is funded. If that fails the channel is given up, which costs nothing.
pub(super) fn fund(engine: &Engine, channel: ChannelId, peer: PublicKey, value_sat: u64, script: ScriptBuf) {
    let rate = engine.fees.rate(ConfirmationTarget::NonAnchorChannelFee);
    let keep = if engine.accept_without_reserve { Amount::ZERO } else { engine.reserve(0) };
    let failed = match engine.wallet.fund(script, Amount::from_sat(value_sat), keep, rate) {
        Ok(tx) => match engine.manager.funding_transaction_generated(channel, peer, tx.clone()) {
            Ok(()) => return,
            Err(error) => {
                engine.wallet.give_up(&tx);
                format!("{error:?}")
            }
        },
        Err(error) => error.to_string(),
    };
    tracing::warn!(%channel, error = failed, "a channel cannot be funded and is given up");
    let message = "the channel could not be funded".to_owned();
    if let Err(error) = engine.manager.force_close_broadcasting_latest_txn(&channel, &peer, message) {
        tracing::debug!(%channel, ?error, "the channel was gone already");
    }
}

/// A funding transaction will never be broadcast: its coins are free again. What only its outpoint is known of is freed
/// with the next start.
pub(super) fn discard(engine: &Engine, channel: &ChannelId, funding: &FundingInfo) {
    tracing::info!(%channel, "a channel's funding is not needed any more");
    match funding {
        FundingInfo::Tx { transaction } => engine.wallet.give_up(transaction),
        FundingInfo::OutPoint { .. } => {}
    }
}
