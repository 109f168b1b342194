//! HTLCs that pay us: holds on somebody else's hash, and invoices of our own.

use lightning::events::{HTLCHandlingFailureType, PaymentPurpose};
use lightning::types::payment::PaymentHash as LdkHash;
use tallystick_app::port::operator::PaymentStatus;
use tallystick_app::port::rail::RailNotice;
use tallystick_core::{BlockHeight, PaymentHash};

use crate::LightningError;
use crate::clock::now;
use crate::node::engine::{Engine, msat};
use crate::store::{Kind, PaymentRow};

/// All parts of a payment arrived, and wait to be claimed or given back.
pub(super) fn claimable(
    engine: &Engine,
    hash: LdkHash,
    amount_msat: u64,
    purpose: &PaymentPurpose,
    claim_deadline: Option<u32>,
) -> Result<(), LightningError> {
    let PaymentPurpose::Bolt11InvoicePayment { payment_preimage, .. } = purpose else {
        // We hand out BOLT 11 invoices only.
        engine.manager.fail_htlc_backwards(&hash);
        return Ok(());
    };
    let own = PaymentHash(hash.0);
    let known = engine.store.inbound(&own)?;
    let (true, Some(deadline)) = (known.is_none_or(|row| !row.is_done()), claim_deadline) else {
        // A hash is paid once. LDK keeps no invoices, so it does not know that this one was paid before.
        engine.manager.fail_htlc_backwards(&hash);
        return Ok(());
    };
    let amount = msat(amount_msat);
    let claim_deadline = BlockHeight(deadline);
    let pending = PaymentRow {
        id: hash.0,
        kind: if payment_preimage.is_some() { Kind::Invoice } else { Kind::Hold },
        hash: own,
        amount,
        fee: None,
        status: PaymentStatus::Pending,
        reason: None,
        height: Some(claim_deadline),
        sealed: None,
        updated_at: now(),
    };
    engine.put(pending);
    match payment_preimage {
        Some(preimage) => engine.manager.claim_funds(*preimage),
        None if engine.claim_if_known(&own)? => {}
        None => engine.store.notify(RailNotice::HoldLocked { hash: own, amount, claim_deadline }),
    }
    Ok(())
}

/// A payment is ours. LDK says so again after each start, for a while.
pub(super) fn claimed(
    engine: &Engine,
    hash: LdkHash,
    amount_msat: u64,
    purpose: &PaymentPurpose,
) -> Result<(), LightningError> {
    let (hash, amount) = (PaymentHash(hash.0), msat(amount_msat));
    let known = engine.store.inbound(&hash)?;
    if known.as_ref().is_some_and(PaymentRow::is_done) {
        return Ok(());
    }
    let kind = if purpose.preimage().is_some() { Kind::Invoice } else { Kind::Hold };
    let height = known.and_then(|row| row.height);
    engine.put(PaymentRow {
        id: hash.0,
        kind,
        hash,
        amount,
        fee: None,
        status: PaymentStatus::Succeeded,
        reason: None,
        height,
        sealed: None,
        updated_at: now(),
    });
    if kind == Kind::Hold {
        // The monitors have the preimage, and will settle on the chain if they must: ours is not needed any more.
        for row in engine.store.outbound_on(&hash)?.into_iter().filter(|row| row.sealed.is_some()) {
            engine.put(PaymentRow { sealed: None, ..row });
        }
        engine.store.notify(RailNotice::HoldClaimed { hash, amount });
    }
    Ok(())
}

/// An HTLC was failed back. That is a lost hold only if its deadline has come: otherwise we gave it back ourselves, or it
/// was one that never became a hold, such as a probe on the same hash.
pub(super) fn failed(engine: &Engine, failure: &HTLCHandlingFailureType) -> Result<(), LightningError> {
    let HTLCHandlingFailureType::Receive { payment_hash } = failure else {
        return Ok(());
    };
    let hash = PaymentHash(payment_hash.0);
    let height = engine.height();
    let lost = engine.store.inbound(&hash)?.filter(|row| row.is_pending() && row.height.is_some_and(|at| at <= height));
    if let Some(row) = lost {
        // Parts of it with a later expiry go back at once, too.
        engine.manager.fail_htlc_backwards(payment_hash);
        let hold = row.kind == Kind::Hold;
        engine.put(PaymentRow { status: PaymentStatus::Failed, ..row });
        if hold {
            engine.store.notify(RailNotice::HoldLost { hash });
        }
    }
    Ok(())
}
