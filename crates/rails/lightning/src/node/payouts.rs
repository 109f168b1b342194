//! Payments out, each once per id.
//!
//! ```text
//!           pay()                       PaymentSent
//!  (none) ────────▶ pending ──────────────────────────▶ paid, for ever
//!                      │ no route, PaymentFailed, too late
//!                      ▼
//!                   failed, for ever: a new attempt has a new id
//! ```
//! A payment counts as failed only when LDK says that no HTLC of it is left, or never took it.

use std::str::FromStr;

use lightning::ln::channelmanager::{Bolt11PaymentError, PaymentId, Retry, RetryableSendFailure};
use lightning::routing::router::RouteParametersConfig;
use lightning_invoice::{Bolt11Invoice, Currency};
use tallystick_app::port::operator::{Payment, PaymentStatus};
use tallystick_app::port::rail::{PayFailure, PayRequest, PayState, RailError};
use tallystick_core::{BlockHeight, Blocks, Digest32, Duration, Msat, PaymentHash};

use super::engine::{Engine, msat, unavailable};
use crate::LightningError;
use crate::clock::now;
use crate::invoice::INVOICE_BYTES_MAX;
use crate::store::{Kind, PaymentRow, Write};

/// How often LDK tries other routes by itself.
const ATTEMPTS: u32 = 5;
/// LDK's own limit of a route for a payment by hand.
const OPERATOR_CLTV_LIMIT: Blocks = Blocks(1_008);

impl Engine {
    /// Pays, once per id; answers how the payment stands.
    pub(crate) async fn pay(&self, request: &PayRequest, kind: Kind) -> Result<PayState, RailError> {
        let invoice = self.payable(&request.bolt11)?;
        let hash = hash_of(&invoice);
        let turn = self.turns.take(hash.0).await;
        let state = self.pay_now(request, &invoice, hash, kind)?;
        drop(turn);
        self.durable().await?;
        Ok(state)
    }

    /// An invoice that can be paid at all.
    fn payable(&self, bolt11: &str) -> Result<Bolt11Invoice, RailError> {
        let refuse = |why: &str| RailError::Refused(why.to_owned());
        if bolt11.len() > INVOICE_BYTES_MAX {
            return Err(refuse("the invoice is too long"));
        }
        let invoice = Bolt11Invoice::from_str(bolt11).map_err(|_| refuse("this is no BOLT 11 invoice"))?;
        if invoice.currency() != Currency::from(self.network) {
            return Err(refuse("the invoice is for another network"));
        }
        if invoice.amount_milli_satoshis().is_none() {
            return Err(refuse("the invoice names no amount"));
        }
        Ok(invoice)
    }

    fn pay_now(
        &self,
        request: &PayRequest,
        invoice: &Bolt11Invoice,
        hash: PaymentHash,
        kind: Kind,
    ) -> Result<PayState, RailError> {
        let covered = !request.covered || self.covers(&hash, request)?;
        match self.store.outbound(&request.id).map_err(unavailable)? {
            Some(row) if row.hash != hash => return Err(RailError::Refused("this id is another invoice's".into())),
            Some(row) if !row.is_pending() => return Ok(state_of(&row)),
            Some(row) if !self.never_begun().contains(&row.id) => return Ok(PayState::InFlight),
            Some(_) => {}
            None => self.refuse_second_payment(&hash, request.covered)?,
        }
        self.sees_the_chain()?;
        Ok(self.begin(request, invoice, (hash, kind), covered))
    }

    /// Whether a payer's money is held on this hash for longer than the payout's route may take. The listener knows that
    /// as well, but a notice that the hold is gone may still be on its way to it.
    fn covers(&self, hash: &PaymentHash, request: &PayRequest) -> Result<bool, RailError> {
        let held = self.store.inbound(hash).map_err(unavailable)?.filter(PaymentRow::is_pending);
        let deadline = held.filter(|row| row.kind == Kind::Hold).and_then(|row| row.height);
        Ok(deadline.is_some_and(|deadline| self.height().after(request.cltv_limit) < deadline))
    }

    /// A payee's hash is paid once, whatever ids are asked for; and without a hold only if no money is held on it.
    fn refuse_second_payment(&self, hash: &PaymentHash, covered: bool) -> Result<(), RailError> {
        let held = self.store.inbound(hash).map_err(unavailable)?;
        if !covered && held.is_some_and(|row| row.kind == Kind::Hold) {
            return Err(RailError::Refused("money was held on this hash; only its payout may pay it".into()));
        }
        let others = self.store.outbound_on(hash).map_err(unavailable)?;
        if others.iter().any(|row| row.status != PaymentStatus::Failed) {
            return Err(RailError::Refused("this hash is being paid, or was paid, under another id".into()));
        }
        Ok(())
    }

    fn begin(
        &self,
        request: &PayRequest,
        invoice: &Bolt11Invoice,
        (hash, kind): (PaymentHash, Kind),
        covered: bool,
    ) -> PayState {
        // No block comes between the look at the height and the first HTLC.
        let _height = self.gate.hold();
        let pending = PaymentRow {
            id: request.id.0,
            kind,
            hash,
            amount: msat(invoice.amount_milli_satoshis().unwrap_or_default()),
            fee: None,
            status: PaymentStatus::Pending,
            reason: None,
            height: request.covered.then_some(request.begin_by),
            sealed: None,
            updated_at: now(),
        };
        if !covered || self.height() > request.begin_by {
            return self.never_sent(pending, PayFailure::TooLate);
        }
        // Queued before LDK takes it, so that no flush can hold the payment without it.
        self.store.write_lazily(Write::Payment(pending.clone()));
        let limits = RouteParametersConfig::default()
            .with_max_total_routing_fee_msat(request.fee_limit.get())
            .with_max_total_cltv_expiry_delta(request.cltv_limit.0);
        let id = PaymentId(request.id.0);
        let sent = self.manager.pay_for_bolt11_invoice(invoice, id, None, limits, Retry::Attempts(ATTEMPTS));
        self.never_begun().remove(&request.id.0);
        match sent {
            Ok(()) | Err(Bolt11PaymentError::SendingFailed(RetryableSendFailure::DuplicatePayment)) => {
                PayState::InFlight
            }
            Err(error) => self.never_sent(pending, reason_of(&error)),
        }
    }

    /// LDK never took the payment: nothing of it is anywhere.
    fn never_sent(&self, row: PaymentRow, reason: PayFailure) -> PayState {
        self.never_begun().remove(&row.id);
        self.put(PaymentRow { status: PaymentStatus::Failed, reason: Some(reason), ..row });
        PayState::Failed { reason }
    }

    /// Stops payouts that must not begin at `height` any more: LDK makes no further attempt for them, and says when the
    /// last HTLC is gone.
    pub(crate) fn stop_late(&self, height: BlockHeight) {
        let pending = match self.store.outbound_pending() {
            Ok(pending) => pending,
            Err(error) => return tracing::error!(%error, "late payouts cannot be looked for"),
        };
        for row in pending.iter().filter(|row| row.height.is_some_and(|begin_by| begin_by < height)) {
            self.manager.abandon_payment(PaymentId(row.id));
        }
    }

    /// Pays an invoice for the operator, unless that was done or is under way, and waits for the end.
    pub(crate) async fn pay_and_wait(
        &self,
        bolt11: &str,
        fee_limit: Msat,
        timeout: Duration,
    ) -> Result<Payment, RailError> {
        let mut ended = self.ended.subscribe();
        let id = match self.paid_by_hand(bolt11)? {
            Some(id) => id,
            // Somebody else may have begun it meanwhile.
            None => match self.pay_by_hand(bolt11, fee_limit).await {
                Ok(id) => id,
                Err(refused) => self.paid_by_hand(bolt11)?.ok_or(refused)?,
            },
        };
        let done = async {
            loop {
                ended.borrow_and_update();
                let row = self.store.outbound(&id).map_err(unavailable)?;
                if let Some(row) = row.filter(|row| !row.is_pending()) {
                    return Ok(row.to_payment());
                }
                ended.changed().await.map_err(|_| RailError::Unavailable("the node is stopping".into()))?;
            }
        };
        match tokio::time::timeout(std::time::Duration::from_millis(timeout.as_millis()), done).await {
            Ok(payment) => payment,
            Err(_) => {
                let row = self.store.outbound(&id).map_err(unavailable)?;
                row.map(|row| row.to_payment()).ok_or_else(|| RailError::Unavailable("the payment is gone".into()))
            }
        }
    }

    /// The operator's payment of this invoice that has not failed.
    fn paid_by_hand(&self, bolt11: &str) -> Result<Option<Digest32>, RailError> {
        let invoice = self.payable(bolt11)?;
        let hash = hash_of(&invoice);
        let rows = self.store.outbound_on(&hash).map_err(unavailable)?;
        let mut same = rows.iter().filter(|row| row.kind == Kind::Operator && row.status != PaymentStatus::Failed);
        Ok(same.next().map(|row| Digest32(row.id)))
    }

    /// Begins a payment of the operator's.
    async fn pay_by_hand(&self, bolt11: &str, fee_limit: Msat) -> Result<Digest32, RailError> {
        let mut id = [0; 32];
        getrandom::fill(&mut id).map_err(|_| unavailable(LightningError::Randomness))?;
        let request = PayRequest {
            id: Digest32(id),
            bolt11: bolt11.to_owned(),
            fee_limit,
            cltv_limit: OPERATOR_CLTV_LIMIT,
            begin_by: BlockHeight(u32::MAX),
            covered: false,
        };
        self.pay(&request, Kind::Operator).await?;
        Ok(request.id)
    }
}

fn hash_of(invoice: &Bolt11Invoice) -> PaymentHash {
    PaymentHash(*AsRef::<[u8; 32]>::as_ref(invoice.payment_hash()))
}

fn state_of(row: &PaymentRow) -> PayState {
    match row.status {
        PaymentStatus::Pending => PayState::InFlight,
        PaymentStatus::Succeeded => PayState::Paid { fee: row.fee.unwrap_or_default() },
        PaymentStatus::Failed => PayState::Failed { reason: row.reason.unwrap_or(PayFailure::Other) },
    }
}

fn reason_of(error: &Bolt11PaymentError) -> PayFailure {
    match error {
        Bolt11PaymentError::SendingFailed(RetryableSendFailure::PaymentExpired) => PayFailure::InvoiceExpired,
        Bolt11PaymentError::SendingFailed(
            RetryableSendFailure::RouteNotFound | RetryableSendFailure::OnionPacketSizeExceeded,
        ) => PayFailure::NoRoute,
        Bolt11PaymentError::SendingFailed(RetryableSendFailure::DuplicatePayment)
        | Bolt11PaymentError::InvalidAmount => PayFailure::Other,
    }
}
