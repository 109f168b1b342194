//! Payments of ours: paid, or failed for good.

use lightning::events::PaymentFailureReason;
use lightning::ln::channelmanager::PaymentId;
use lightning::types::payment::{PaymentHash as LdkHash, PaymentPreimage};
use tallystick_app::port::operator::PaymentStatus;
use tallystick_app::port::rail::{PayFailure, RailNotice};
use tallystick_core::{Digest32, PaymentHash};

use crate::LightningError;
use crate::clock::now;
use crate::node::engine::{Engine, msat};
use crate::store::{Kind, PaymentRow};

/// What LDK says of a payment that arrived.
pub(super) struct Sent {
    pub(super) payment_id: Option<PaymentId>,
    pub(super) payment_hash: LdkHash,
    pub(super) amount_msat: Option<u64>,
    pub(super) fee_paid_msat: Option<u64>,
}

/// The payee was paid and revealed the preimage: it is sealed, and what is held on it is claimed.
///
/// Sealed preimage and claim are queued before the event counts as handled, so the first manager without the event
/// comes to the disk together with both.
pub(super) fn sent(engine: &Engine, sent: &Sent, preimage: &PaymentPreimage) -> Result<(), LightningError> {
    let hash = PaymentHash(sent.payment_hash.0);
    let id = sent.payment_id.map_or(hash.0, |id| id.0);
    let fee = msat(sent.fee_paid_msat.unwrap_or_default());
    // A hold on this hash is not given back from here on.
    let _settling = engine.settling();
    let known = engine.store.outbound(&Digest32(id))?;
    if known.as_ref().is_some_and(PaymentRow::is_done) {
        return Ok(());
    }
    let row = known.unwrap_or_else(|| PaymentRow {
        id,
        kind: Kind::Operator,
        hash,
        amount: msat(sent.amount_msat.unwrap_or_default()),
        fee: None,
        status: PaymentStatus::Pending,
        reason: None,
        height: None,
        sealed: None,
        updated_at: now(),
    });
    let kind = row.kind;
    let sealed = engine.sealer.seal(&hash, &preimage.0)?;
    engine.put(PaymentRow {
        status: PaymentStatus::Succeeded,
        reason: None,
        fee: Some(fee),
        sealed: Some(sealed),
        ..row
    });
    if kind == Kind::Payout {
        if engine.store.inbound(&hash)?.is_some_and(|row| row.is_pending()) {
            engine.manager.claim_funds(*preimage);
        }
        engine.store.notify(RailNotice::PayoutPaid { id: Digest32(id), hash, fee });
    }
    Ok(())
}

/// A payment failed for good: LDK says so only when none of its HTLCs is left and none will be made.
pub(super) fn failed(
    engine: &Engine,
    id: PaymentId,
    reason: Option<PaymentFailureReason>,
) -> Result<(), LightningError> {
    let id = Digest32(id.0);
    let Some(row) = engine.store.outbound(&id)?.filter(PaymentRow::is_pending) else {
        return Ok(());
    };
    let reason = translate(reason);
    let (kind, hash) = (row.kind, row.hash);
    engine.put(PaymentRow { status: PaymentStatus::Failed, reason: Some(reason), ..row });
    if kind == Kind::Payout {
        engine.store.notify(RailNotice::PayoutFailed { id, hash, reason });
    }
    Ok(())
}

fn translate(reason: Option<PaymentFailureReason>) -> PayFailure {
    match reason {
        Some(PaymentFailureReason::RecipientRejected | PaymentFailureReason::InvoiceRequestRejected) => {
            PayFailure::Refused
        }
        Some(PaymentFailureReason::RetriesExhausted) => PayFailure::AttemptsExhausted,
        Some(PaymentFailureReason::PaymentExpired | PaymentFailureReason::InvoiceRequestExpired) => {
            PayFailure::InvoiceExpired
        }
        Some(PaymentFailureReason::RouteNotFound) => PayFailure::NoRoute,
        // We abandon a payment for one reason only.
        Some(PaymentFailureReason::UserAbandoned) => PayFailure::TooLate,
        Some(
            PaymentFailureReason::UnexpectedError
            | PaymentFailureReason::UnknownRequiredFeatures
            | PaymentFailureReason::BlindedPathCreationFailed,
        )
        | None => PayFailure::Other,
    }
}
