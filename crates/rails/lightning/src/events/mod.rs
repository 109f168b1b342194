//! LDK's events, each handled on purpose.
//!
//! A handler never waits for the disk or for the listener. What follows from an event (a payment's state, a sealed
//! preimage, a notice) is queued, and goes to the disk in the same transaction as the first manager that does not hold
//! the event any more. So an event counts as handled exactly when its consequences are durable, and a crash before that
//! brings it again.

mod channel;
mod inbound;
mod onchain;
mod outbound;

use std::sync::Arc;
use std::time::Duration;

use lightning::events::{Event, ReplayEvent};

use crate::LightningError;
use crate::node::engine::Engine;

/// The pause before an event is offered again whose handling failed.
const REPLAY_PAUSE: Duration = Duration::from_secs(1);

/// Handles one event.
pub(crate) async fn handle(engine: Arc<Engine>, event: Event) -> Result<(), ReplayEvent> {
    match dispatch(&engine, event).await {
        Ok(()) => Ok(()),
        Err(error) => {
            tracing::error!(%error, "an event of the Lightning node cannot be handled; it is tried again");
            tokio::time::sleep(REPLAY_PAUSE).await;
            Err(ReplayEvent())
        }
    }
}

async fn dispatch(engine: &Engine, event: Event) -> Result<(), LightningError> {
    match event {
        Event::PaymentClaimable { payment_hash, amount_msat, purpose, claim_deadline, .. } => {
            inbound::claimable(engine, payment_hash, amount_msat, &purpose, claim_deadline)
        }
        Event::PaymentClaimed { payment_hash, amount_msat, purpose, .. } => {
            inbound::claimed(engine, payment_hash, amount_msat, &purpose)
        }
        Event::HTLCHandlingFailed { failure_type, .. } => inbound::failed(engine, &failure_type),
        Event::PaymentSent { payment_id, payment_preimage, payment_hash, amount_msat, fee_paid_msat, .. } => {
            let sent = outbound::Sent { payment_id, payment_hash, amount_msat, fee_paid_msat };
            outbound::sent(engine, &sent, &payment_preimage)
        }
        Event::PaymentFailed { payment_id, reason, .. } => outbound::failed(engine, payment_id, reason),
        Event::OpenChannelRequest { temporary_channel_id, counterparty_node_id, .. } => {
            channel::requested(engine, &temporary_channel_id, &counterparty_node_id);
            Ok(())
        }
        Event::FundingGenerationReady {
            temporary_channel_id,
            counterparty_node_id,
            channel_value_satoshis,
            output_script,
            ..
        } => {
            channel::fund(engine, temporary_channel_id, counterparty_node_id, channel_value_satoshis, output_script);
            Ok(())
        }
        Event::DiscardFunding { channel_id, funding_info } => {
            channel::discard(engine, &channel_id, &funding_info);
            Ok(())
        }
        Event::SpendableOutputs { outputs, channel_id } => onchain::spendable(engine, outputs, channel_id).await,
        Event::BumpTransaction(event) => {
            engine.bumper.handle_event(&event).await;
            Ok(())
        }
        Event::HTLCIntercepted { intercept_id, .. } => {
            // We hand out no intercept addresses.
            if engine.manager.fail_intercepted_htlc(intercept_id).is_err() {
                tracing::debug!("an intercepted HTLC was gone already");
            }
            Ok(())
        }
        other => {
            note(&other);
            Ok(())
        }
    }
}

/// Events that need nothing but a line in the log, or not even that.
fn note(event: &Event) {
    match event {
        Event::ChannelPending { channel_id, funding_txo, .. } => {
            tracing::info!(channel = %channel_id, funding = %funding_txo, "a channel waits for its confirmations");
        }
        Event::ChannelReady { channel_id, .. } => tracing::info!(channel = %channel_id, "a channel is ready"),
        Event::ChannelClosed { channel_id, reason, .. } => {
            tracing::warn!(channel = %channel_id, %reason, "a channel is closed");
        }
        Event::PaymentForwarded { total_fee_earned_msat, .. } => {
            tracing::debug!(fee_msat = total_fee_earned_msat, "forwarded a payment");
        }
        // The background processor has told the scorer and the network graph.
        Event::PaymentPathSuccessful { .. }
        | Event::PaymentPathFailed { .. }
        | Event::ProbeSuccessful { .. }
        | Event::ProbeFailed { .. } => {}
        // We broadcast funding ourselves only through LDK, which does so when it is safe.
        Event::FundingTxBroadcastSafe { .. } => {}
        // Splices are refused and never begun, and nothing of ours is spent by somebody else's draft.
        Event::SplicePending { .. } | Event::SpliceFailed { .. } | Event::FundingTransactionReadyForSigning { .. } => {}
        // Onion messages and BOLT 12 are not offered.
        Event::InvoiceReceived { .. }
        | Event::ConnectionNeeded { .. }
        | Event::OnionMessageIntercepted { .. }
        | Event::OnionMessagePeerConnected { .. }
        | Event::PersistStaticInvoice { .. }
        | Event::StaticInvoiceRequested { .. } => {}
        // These were handled before.
        Event::PaymentClaimable { .. }
        | Event::PaymentClaimed { .. }
        | Event::PaymentSent { .. }
        | Event::PaymentFailed { .. }
        | Event::HTLCHandlingFailed { .. }
        | Event::HTLCIntercepted { .. }
        | Event::OpenChannelRequest { .. }
        | Event::FundingGenerationReady { .. }
        | Event::DiscardFunding { .. }
        | Event::SpendableOutputs { .. }
        | Event::BumpTransaction(_) => {}
    }
}
