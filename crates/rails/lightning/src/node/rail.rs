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
        let open = open.map(|channel| Open {
            is_road: channel.is_announced && channel.is_outbound,
            is_usable: channel.is_usable,
            msat: channel.outbound_capacity_msat,
        });
        engine.sees_the_chain().is_ok() && reaches_half(&open.collect::<Vec<_>>())
    }
}

/// A channel that is open and not being closed.
#[derive(Clone, Copy, Debug)]
struct Open {
    /// Whether the node has opened it, and told the network of it: its way to everybody.
    is_road: bool,
    is_usable: bool,
    /// What this node can send over it.
    msat: u64,
}

/// Roads count alone if they have one part in so many of what the node can send.
const ROADS_ONE_IN: u128 = 10;

/// Whether the channels that can be used have at least half of what the node can send. So it is not by a channel that somebody
/// else opened to it that a node which is cut off from all others counts as there. Roads count alone, unless next to nothing can be
/// sent over them: behind other channels are wallets, which come and go, or somebody who would like to be counted. A node that can
/// send nothing needs any channel, one without channels has nobody to reach.
fn reaches_half(open: &[Open]) -> bool {
    let roads: Vec<Open> = open.iter().copied().filter(|channel| channel.is_road).collect();
    let has_roads = sendable(&roads) > 0 && sendable(&roads) * ROADS_ONE_IN >= sendable(open);
    let counted = if has_roads { &roads } else { open };
    let usable: Vec<Open> = counted.iter().copied().filter(|channel| channel.is_usable).collect();
    counted.is_empty() || !usable.is_empty() && sendable(&usable) * 2 >= sendable(counted)
}

fn sendable(channels: &[Open]) -> u128 {
    channels.iter().map(|channel| u128::from(channel.msat)).sum()
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
    use super::{Open, reaches_half};

    fn reaches(open: &[(bool, bool, u64)]) -> bool {
        let open = open.iter().map(|&(is_road, is_usable, msat)| Open { is_road, is_usable, msat });
        reaches_half(&open.collect::<Vec<_>>())
    }

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
        for (open, expected) in cases {
            for is_road in [false, true] {
                let open: Vec<_> = open.iter().map(|&(is_usable, msat)| (is_road, is_usable, msat)).collect();
                assert_eq!(reaches(&open), expected, "{open:?}");
            }
        }
    }

    #[test]
    fn wallets_that_come_and_go_make_no_absence_beside_roads() {
        const ROAD: bool = true;
        // Most of the money is with wallets that are off.
        assert!(reaches(&[(ROAD, true, 2), (false, false, 9), (false, false, 9)]));
        // And wallets that are there are no network.
        assert!(!reaches(&[(ROAD, false, 2), (false, true, 9), (false, true, 9)]));
        assert!(!reaches(&[(ROAD, true, 1), (ROAD, false, 2), (false, true, 9)]));
        // A road over which next to nothing can be sent leads nowhere, whether it can be used or not.
        assert!(reaches(&[(ROAD, false, 1), (false, true, 20)]));
        assert!(!reaches(&[(ROAD, true, 1), (false, false, 20)]));
        assert!(!reaches(&[(ROAD, true, 0), (false, false, 9)]));
    }
}
