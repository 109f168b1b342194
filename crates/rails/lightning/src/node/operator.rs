//! What the operator sees and does.

use async_trait::async_trait;
use bitcoin::Amount;
use lightning::ln::channel_state::ChannelDetails;
use lightning::ln::types::ChannelId;
use tallystick_app::port::operator::{Balances, Channel, NodeInfo, NodeOperator, OpenChannel, Payment};
use tallystick_app::port::rail::RailError;
use tallystick_core::{BlockHeight, Duration, Msat};

use super::engine::unavailable;
use super::{LightningNode, balances};
use crate::peers::parse_peer;

/// One answer holds no more payments.
const PAYMENTS_MAX: u32 = 1_000;

/// `bitcoin`, `testnet`, `testnet4`, `signet` or `regtest`.
pub(super) fn network_name(network: bitcoin::Network) -> String {
    match network {
        bitcoin::Network::Bitcoin => "bitcoin".to_owned(),
        other => other.to_string(),
    }
}

/// In whose order requests for a channel under one key come.
fn turn_of(key: u128) -> [u8; 32] {
    let mut turn = [0; 32];
    turn[16..].copy_from_slice(&key.to_be_bytes());
    turn
}

impl LightningNode {
    /// The channel of ours that was asked for under this key.
    fn opened_under(&self, key: u128) -> Option<ChannelDetails> {
        let ours = |channel: &ChannelDetails| channel.is_outbound && channel.user_channel_id == key;
        self.inner.engine.manager.list_channels().into_iter().find(ours)
    }
}

#[async_trait]
impl NodeOperator for LightningNode {
    fn info(&self) -> NodeInfo {
        let manager = &self.inner.engine.manager;
        let best = manager.current_best_block();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        NodeInfo {
            node_id: self.node_id().to_string(),
            alias: self.inner.alias.clone(),
            network: network_name(self.inner.engine.network),
            height: BlockHeight(best.height),
            block_hash: best.block_hash.to_string(),
            listen: self.inner.listen.iter().map(ToString::to_string).collect(),
            peers: count(self.inner.peer_manager.list_peers().len()),
            usable_channels: count(manager.list_usable_channels().len()),
        }
    }

    async fn balances(&self) -> Result<Balances, RailError> {
        self.inner.engine.balances().map_err(unavailable)
    }

    async fn new_address(&self) -> Result<String, RailError> {
        let address = self.inner.engine.wallet.fresh_address();
        self.inner.engine.durable().await?;
        Ok(address.to_string())
    }

    async fn connect(&self, peer: &str, address: &str) -> Result<(), RailError> {
        self.inner.peers.connect(peer, address).await.map(|_| ())
    }

    async fn open_channel(&self, request: OpenChannel) -> Result<String, RailError> {
        let engine = &self.inner.engine;
        let key = request.key.map(|key| u128::from_be_bytes(*key.as_bytes()));
        let _turn = match key {
            Some(key) => Some(engine.turns.take(turn_of(key)).await),
            None => None,
        };
        if let Some(channel) = key.and_then(|key| self.opened_under(key)) {
            let same = channel.counterparty.node_id == parse_peer(&request.peer)?
                && channel.channel_value_satoshis == request.capacity.get();
            let refused = || RailError::Refused("another channel was opened under this key".into());
            return if same { Ok(channel.channel_id.to_string()) } else { Err(refused()) };
        }
        let peer = match &request.address {
            Some(address) => self.inner.peers.connect(&request.peer, address).await?,
            None => parse_peer(&request.peer)?,
        };
        if !self.inner.peers.is_connected(&peer) {
            return Err(RailError::Unavailable("the peer is not connected, and no address was given".into()));
        }
        if request.push.get() > request.capacity.to_msat().get() {
            return Err(RailError::Refused("more would be pushed than the channel holds".into()));
        }
        let keep = if engine.accept_without_reserve { Amount::ZERO } else { engine.reserve(1) };
        let can_pay = engine.wallet.can_pay(Amount::from_sat(request.capacity.get()), keep);
        can_pay.map_err(|error| RailError::Refused(error.to_string()))?;
        let mut settings = engine.manager.get_current_config();
        settings.channel_handshake_config.announce_for_forwarding = request.announce;
        let (capacity, push) = (request.capacity.get(), request.push.get());
        let channel =
            engine.manager.create_channel(peer, capacity, push, key.unwrap_or_default(), None, Some(settings));
        let channel = channel.map_err(|error| RailError::Refused(format!("{error:?}")))?;
        Ok(channel.to_string())
    }

    async fn close_channel(&self, channel_id: &str, force: bool) -> Result<(), RailError> {
        let mut id = [0; 32];
        hex::decode_to_slice(channel_id, &mut id)
            .map_err(|_| RailError::Refused("a channel's id has 64 hexadecimal digits".into()))?;
        let manager = &self.inner.engine.manager;
        let channel = ChannelId(id);
        let peer = manager
            .list_channels()
            .into_iter()
            .find(|details| details.channel_id == channel)
            .map(|details| details.counterparty.node_id)
            .ok_or_else(|| RailError::Refused("there is no such channel".into()))?;
        let closed = if force {
            manager.force_close_broadcasting_latest_txn(&channel, &peer, "closed by the operator".to_owned())
        } else {
            manager.close_channel(&channel, &peer)
        };
        closed.map_err(|error| RailError::Refused(format!("{error:?}")))?;
        self.inner.engine.durable().await
    }

    async fn channels(&self) -> Vec<Channel> {
        self.inner.engine.manager.list_channels().iter().map(balances::channel).collect()
    }

    async fn payments(&self, limit: u32) -> Result<Vec<Payment>, RailError> {
        let rows = self.inner.engine.store.newest_payments(limit.min(PAYMENTS_MAX)).map_err(unavailable)?;
        Ok(rows.iter().map(|row| row.to_payment()).collect())
    }

    async fn pay_invoice(&self, bolt11: &str, fee_limit: Msat, timeout: Duration) -> Result<Payment, RailError> {
        self.inner.engine.pay_and_wait(bolt11, fee_limit, timeout).await
    }

    async fn invoice(&self, amount: Msat, description: &str, expiry: Duration) -> Result<String, RailError> {
        self.inner.engine.make_invoice(None, amount, description, expiry, None)
    }
}
