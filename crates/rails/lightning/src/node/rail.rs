//! The rail: holds and payouts, as products ask for them.

use async_trait::async_trait;
use tallystick_app::port::rail::{
    ClaimState, HoldRail, HoldRequest, InvoiceError, InvoiceFacts, InvoiceReader, PayRequest, PayState, RailError,
};
use tallystick_core::{BlockHeight, Msat, PaymentHash};

use super::LightningNode;
use super::engine::unavailable;
use crate::store::Kind;

#[async_trait]
impl HoldRail for LightningNode {
    async fn hold_invoice(&self, request: HoldRequest) -> Result<String, RailError> {
        self.inner.engine.hold_invoice(&request)
    }

    async fn cancel_hold(&self, hash: PaymentHash) -> Result<(), RailError> {
        self.inner.engine.give_back(hash).await
    }

    async fn claim_hold(&self, hash: PaymentHash) -> Result<ClaimState, RailError> {
        self.inner.engine.claim_hold(hash).await
    }

    async fn pay(&self, request: PayRequest) -> Result<PayState, RailError> {
        self.inner.engine.pay(&request, Kind::Payout).await
    }

    async fn holds(&self) -> Result<Vec<(PaymentHash, Msat)>, RailError> {
        self.inner.engine.held().map_err(unavailable)
    }

    fn height(&self) -> BlockHeight {
        *self.inner.height.borrow()
    }

    /// A node whose channels are all without their peers reaches nobody; one without channels has nobody to reach.
    fn is_reachable(&self) -> bool {
        let engine = &self.inner.engine;
        let is_alone =
            || engine.manager.list_usable_channels().is_empty() && !engine.manager.list_channels().is_empty();
        engine.sees_the_chain().is_ok() && !is_alone()
    }
}

impl InvoiceReader for LightningNode {
    fn read(&self, bolt11: &str) -> Result<InvoiceFacts, InvoiceError> {
        let engine = &self.inner.engine;
        let mut facts = crate::invoice::read(bolt11, engine.network, Some(&self.node_id()))?;
        // A store that does not answer may know the hash: an invoice can be made anew, money cannot.
        facts.hash_was_paid = engine.store.outbound_on(&facts.hash).map_or(true, |rows| !rows.is_empty());
        Ok(facts)
    }
}
