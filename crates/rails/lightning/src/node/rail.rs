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

    fn is_reachable(&self) -> bool {
        let engine = &self.inner.engine;
        let channels = engine.manager.list_channels();
        let open = channels.iter().filter(|channel| channel.is_channel_ready);
        let open = open.map(|channel| (channel.is_usable, channel.outbound_capacity_msat));
        engine.sees_the_chain().is_ok() && reaches_half(open)
    }
}

/// Whether open channels that can be used have at least half of what the node can send. So it is not by a channel that somebody
/// else opened to it that a node which is cut off from all others counts as there. One that can send nothing needs any of them, one
/// without channels has nobody to reach.
fn reaches_half(open: impl Iterator<Item = (bool, u64)>) -> bool {
    let (mut usable, mut all, mut is_any, mut is_none) = (0u128, 0u128, false, true);
    for (is_usable, msat) in open {
        is_none = false;
        all += u128::from(msat);
        if is_usable {
            is_any = true;
            usable += u128::from(msat);
        }
    }
    is_none || is_any && usable * 2 >= all
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

#[cfg(test)]
mod tests {
    use super::reaches_half;

    #[test]
    fn half_of_what_can_be_sent_is_reached() {
        let cases: [(&[(bool, u64)], bool); 9] = [
            (&[], true),
            (&[(true, 0)], true),
            (&[(false, 0)], false),
            (&[(false, 0), (true, 0)], true),
            (&[(false, 5)], false),
            // Somebody else's channel, and the node's own.
            (&[(true, 0), (false, 5)], false),
            (&[(true, 5), (false, 5)], true),
            (&[(true, 4), (false, 5)], false),
            (&[(true, u64::MAX), (false, u64::MAX), (false, 1)], false),
        ];
        for (open, reaches) in cases {
            assert_eq!(reaches_half(open.iter().copied()), reaches, "{open:?}");
        }
    }
}
