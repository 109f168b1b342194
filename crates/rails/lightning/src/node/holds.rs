//! Holds: made, given back, claimed.
//!
//! ```text
//!            PaymentClaimable            claim_funds            PaymentClaimed
//!  invoice ───────────────────▶ held ───────────────▶ claiming ────────────────▶ claimed (once for ever)
//!                                │ give back, deadline
//!                                ▼
//!                           given back ──▶ held again, if the payer pays again
//! ```

use lightning::ln::channelmanager::Bolt11InvoiceParameters;
use lightning::types::payment::{PaymentHash as LdkHash, PaymentPreimage};
use lightning_invoice::{Bolt11InvoiceDescription, Description};
use tallystick_app::port::operator::PaymentStatus;
use tallystick_app::port::rail::{ClaimState, HoldRequest, RailError, RailNotice};
use tallystick_core::{BlockHeight, Blocks, Duration, Msat, PaymentHash};

use super::engine::{Engine, unavailable};
use crate::LightningError;
use crate::store::{Kind, PaymentRow};

/// LDK puts three blocks more into an invoice than it is asked for.
const LDK_FINAL_CLTV_SLACK: u32 = 3;

impl Engine {
    /// Makes a hold invoice.
    pub(crate) fn hold_invoice(&self, request: &HoldRequest) -> Result<String, RailError> {
        self.sees_the_chain()?;
        self.could_enforce_holds()?;
        let HoldRequest { hash, amount, description, expiry, final_cltv_delta } = request;
        self.make_invoice(Some(*hash), *amount, description, *expiry, Some(*final_cltv_delta))
    }

    /// Makes an invoice on this hash, or on one of our own. The delta is the one that the invoice shows.
    pub(crate) fn make_invoice(
        &self,
        hash: Option<PaymentHash>,
        amount: Msat,
        description: &str,
        expiry: Duration,
        final_cltv_delta: Option<Blocks>,
    ) -> Result<String, RailError> {
        let refuse = |why: &str| RailError::Refused(why.to_owned());
        let description =
            Description::new(description.to_owned()).map_err(|_| refuse("the description is longer than 639 bytes"))?;
        let expiry = u32::try_from(expiry.as_secs()).map_err(|_| refuse("the expiry is too far away"))?;
        let delta = final_cltv_delta
            .map(|delta| u16::try_from(delta.0.saturating_sub(LDK_FINAL_CLTV_SLACK)))
            .transpose()
            .map_err(|_| refuse("the final CLTV delta is too long"))?;
        let parameters = Bolt11InvoiceParameters {
            amount_msats: Some(amount.get()),
            description: Bolt11InvoiceDescription::Direct(description),
            invoice_expiry_delta_secs: Some(expiry),
            min_final_cltv_expiry_delta: delta,
            payment_hash: hash.map(|hash| LdkHash(hash.0)),
        };
        let invoice = self.manager.create_bolt11_invoice(parameters);
        invoice.map(|invoice| invoice.to_string()).map_err(|error| RailError::Refused(format!("{error:?}")))
    }

    /// Gives a hold back, unless it is being claimed or a payout may yet reveal its preimage.
    pub(crate) async fn give_back(&self, hash: PaymentHash) -> Result<(), RailError> {
        // A payout on this hash begins before this, or after.
        let turn = self.turns.take(hash.0).await;
        self.give_back_now(&hash)?;
        drop(turn);
        self.durable().await
    }

    /// Whether a hold is known to be gone, by its amount and deadline: another one may be locked on its hash by now.
    pub(crate) fn is_gone(&self, hash: &PaymentHash, (amount, claim_deadline): (Msat, BlockHeight)) -> bool {
        // What cannot be read may be there.
        let Ok(Some(row)) = self.store.inbound(hash) else { return false };
        row.status == PaymentStatus::Failed || (row.amount, row.height) != (amount, Some(claim_deadline))
    }

    fn give_back_now(&self, hash: &PaymentHash) -> Result<(), RailError> {
        let _settling = self.settling();
        let inbound = self.store.inbound(hash).map_err(unavailable)?;
        let outbound = self.payouts_on(hash).map_err(unavailable)?;
        if inbound.as_ref().is_some_and(PaymentRow::is_done) || outbound.iter().any(PaymentRow::is_done) {
            return Err(RailError::Claimed);
        }
        if outbound.iter().any(PaymentRow::is_pending) {
            return Err(RailError::Unavailable("a payout on this hash is under way".into()));
        }
        self.manager.fail_htlc_backwards(&LdkHash(hash.0));
        if let Some(row) = inbound.filter(PaymentRow::is_pending) {
            self.put(PaymentRow { status: PaymentStatus::Failed, ..row });
        }
        Ok(())
    }

    /// Claims a hold, if paying the payee revealed the preimage.
    pub(crate) async fn claim_hold(&self, hash: PaymentHash) -> Result<ClaimState, RailError> {
        let claimed = self.store.inbound(&hash).map_err(unavailable)?.is_some_and(|row| row.is_done());
        if !claimed && !self.claim_if_known(&hash).map_err(unavailable)? {
            return Err(RailError::NoPreimage);
        }
        self.durable().await?;
        Ok(if claimed { ClaimState::Claimed } else { ClaimState::Claiming })
    }

    /// The payouts on this hash. What the operator paid by hand is none: its preimage must never claim a hold.
    fn payouts_on(&self, hash: &PaymentHash) -> Result<Vec<PaymentRow>, LightningError> {
        let mut rows = self.store.outbound_on(hash)?;
        rows.retain(|row| row.kind == Kind::Payout);
        Ok(rows)
    }

    /// Claims what is held on this hash if a payout revealed its preimage; says whether one did.
    pub(crate) fn claim_if_known(&self, hash: &PaymentHash) -> Result<bool, LightningError> {
        for row in self.payouts_on(hash)? {
            if let Some(sealed) = &row.sealed {
                let preimage = self.sealer.open(hash, sealed)?;
                self.manager.claim_funds(PaymentPreimage(*preimage));
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Claims every hold whose preimage is known, after a start.
    pub(crate) fn claim_all_known(&self) -> Result<(), LightningError> {
        for row in self.store.inbound_pending()? {
            if row.kind == Kind::Hold && self.claim_if_known(&row.hash)? {
                tracing::info!(hash = %row.hash, "claiming a hold whose preimage was revealed in an earlier run");
            }
        }
        Ok(())
    }

    /// Tells the listener of every hold again, for one that has lost its memory of it, or could not give it back when it
    /// first wanted to: a hold that it does not want goes back.
    pub(crate) fn tell_holds(&self) -> Result<(), LightningError> {
        for row in self.store.inbound_pending()?.into_iter().filter(|row| row.kind == Kind::Hold) {
            if let Some(claim_deadline) = row.height {
                self.store.notify(RailNotice::HoldLocked { hash: row.hash, amount: row.amount, claim_deadline });
            }
        }
        Ok(())
    }

    /// What is held and can still be given back.
    pub(crate) fn held(&self) -> Result<Vec<(PaymentHash, Msat)>, LightningError> {
        let mut held = Vec::new();
        for row in self.store.inbound_pending()? {
            if row.kind == Kind::Hold && !self.payouts_on(&row.hash)?.iter().any(PaymentRow::is_done) {
                held.push((row.hash, row.amount));
            }
        }
        Ok(held)
    }
}
