//! What the rules ask of a worker's invoice.

use tallystick_core::{Blocks, Duration, Msat, PaymentHash, Timestamp};

use crate::{Policy, Rejection, Task, plan};

/// What a payee's BOLT 11 invoice says, as the rail read it. Its form and signature are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceFacts {
    /// Whether the invoice is for the network that the node runs on.
    pub same_network: bool,
    /// The payment hash.
    pub hash: PaymentHash,
    /// The amount, if it names one.
    pub amount: Option<Msat>,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The blocks that the payee wants to have left (`min_final_cltv_expiry_delta`).
    pub final_cltv_delta: Blocks,
    /// Whether this node itself is the payee.
    pub payee_is_self: bool,
    /// Whether this node has ever begun to pay this hash, for whatever reason: its preimage may be known then.
    pub hash_was_paid: bool,
}

impl InvoiceFacts {
    /// Checks that a payout of `payout` can be made to this invoice for as long as the task may take, if it is accepted
    /// now and its hold is locked within `funding_window`.
    ///
    /// # Errors
    /// The rejection names what does not fit, with the numbers.
    pub(crate) fn check(
        &self,
        payout: Msat,
        task: &Task,
        funding_window: Duration,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        let life = plan::invoice_life(funding_window, task.hold_blocks);
        let needed = plan::invoice_needed(task.terms.work_over(), life, now);
        self.fits(payout, &task.policy, needed, now)
    }

    /// Checks that this much can be paid to this invoice, until then.
    ///
    /// # Errors
    /// The rejection names what does not fit, with the numbers.
    pub(crate) fn fits(
        &self,
        payout: Msat,
        policy: &Policy,
        needed: Timestamp,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        if !self.same_network {
            return Err(Rejection::InvoiceNetwork);
        }
        match self.amount {
            None => return Err(Rejection::InvoiceAmountless { needed: payout }),
            Some(amount) if amount != payout => return Err(Rejection::InvoiceAmount { amount, needed: payout }),
            Some(_) => {}
        }
        if self.expires_at <= now {
            return Err(Rejection::InvoiceExpired { expires_at: self.expires_at });
        }
        if self.expires_at < needed {
            return Err(Rejection::InvoiceExpiresSoon { expires_at: self.expires_at, needed });
        }
        let limit = policy.payee_final_cltv_max;
        if self.final_cltv_delta > limit {
            return Err(Rejection::InvoiceFinalCltv { delta: self.final_cltv_delta, limit });
        }
        if self.payee_is_self {
            return Err(Rejection::InvoiceToSelf);
        }
        if self.hash_was_paid {
            return Err(Rejection::HashReused);
        }
        Ok(())
    }
}
