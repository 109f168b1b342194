//! What the operator of a Lightning node can see and do.

use async_trait::async_trait;
use serde::Serialize;
use tallystick_core::{BlockHeight, Duration, Id, Msat, PaymentHash, Sat, Timestamp};

use super::rail::RailError;

/// The node at a glance. Public.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeInfo {
    /// The Lightning node's public key, 66 hexadecimal digits.
    pub node_id: String,
    /// Its name in gossip.
    pub alias: String,
    /// `bitcoin`, `testnet`, `testnet4`, `signet` or `regtest`.
    pub network: String,
    /// The best block that it has processed.
    pub height: BlockHeight,
    /// That block's hash.
    pub block_hash: String,
    /// Where peers reach it: `host:port`.
    pub listen: Vec<String>,
    /// Connected peers.
    pub peers: u32,
    /// Channels that can be used now.
    pub usable_channels: u32,
}

/// The node's money.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Balances {
    /// Confirmed and spendable in the on-chain wallet.
    pub onchain_confirmed: Sat,
    /// On its way into the on-chain wallet.
    pub onchain_pending: Sat,
    /// Our side of all channels, to the msat, reserves included, HTLCs under way excluded.
    pub channels: Msat,
    /// Inbound HTLCs that are held and can still be given back.
    pub held: Msat,
    /// Outbound HTLCs under way.
    pub outbound_pending: Msat,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Channel {
    /// The channel's id (BOLT 2), 64 hexadecimal digits.
    pub channel_id: String,
    /// The peer's public key, 66 hexadecimal digits.
    pub peer: String,
    /// The funding output, `txid:index`, once known.
    pub funding: Option<String>,
    /// The channel's size.
    pub capacity: Sat,
    /// Our side, to the msat, reserve included, HTLCs under way excluded.
    pub local: Msat,
    /// What can be sent now.
    pub outbound: Msat,
    /// What can be received now.
    pub inbound: Msat,
    /// Confirmed and agreed by both.
    pub ready: bool,
    /// Ready, with the peer connected.
    pub usable: bool,
    /// Meant to be told to the network, once it has six confirmations.
    pub announced: bool,
}

/// Which way a payment goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// To us.
    Inbound,
    /// From us.
    Outbound,
}

/// How a payment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PaymentStatus {
    /// Under way, or held.
    Pending,
    /// Done.
    Succeeded,
    /// Failed or given back.
    Failed,
}

/// A payment in the node's own list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Payment {
    /// The payment's id: for outbound ones the id it was asked under, for inbound ones the hash. Hexadecimal.
    pub id: String,
    /// Which way.
    pub direction: Direction,
    /// The payment's hash.
    pub hash: PaymentHash,
    /// What the payee gets.
    pub amount: Msat,
    /// What routing cost, once known.
    pub fee: Option<Msat>,
    /// How it stands.
    pub status: PaymentStatus,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A channel to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenChannel {
    /// The peer's public key, 66 hexadecimal digits.
    pub peer: String,
    /// Where to reach it: `host:port`; not needed if connected.
    pub address: Option<String>,
    /// The channel's size, paid by us.
    pub capacity: Sat,
    /// What the peer gets of it at once, for nothing. The API asks for none.
    pub push: Msat,
    /// Whether the channel is told to the network.
    pub announce: bool,
    /// The idempotency key: of all requests with one key, one opens a channel, until that is closed.
    pub key: Option<Id<Channel>>,
}

/// The operator's side of a Lightning node.
#[async_trait]
pub trait NodeOperator: Send + Sync {
    /// The node at a glance.
    fn info(&self) -> NodeInfo;
    /// The node's money.
    ///
    /// # Errors
    /// [`RailError`] if the node is not running.
    async fn balances(&self) -> Result<Balances, RailError>;
    /// A fresh address of the on-chain wallet (BIP 86).
    ///
    /// # Errors
    /// [`RailError`] if it cannot be saved.
    async fn new_address(&self) -> Result<String, RailError>;
    /// Connects to a peer and keeps trying after it is gone. Waits for the handshake.
    ///
    /// # Errors
    /// [`RailError`] for a malformed key or address, or if the peer does not answer.
    async fn connect(&self, peer: &str, address: &str) -> Result<(), RailError>;
    /// Begins to open a channel; answers the temporary channel id once the peer was asked. If there is a channel that was
    /// asked for under the request's key, answers its id, and opens none.
    ///
    /// # Errors
    /// [`RailError`] for a malformed request, too little money, an unreachable peer, or a key of another channel's.
    async fn open_channel(&self, request: OpenChannel) -> Result<String, RailError>;
    /// Begins to close a channel, together with the peer or, with `force`, alone.
    ///
    /// # Errors
    /// [`RailError`] if there is no such channel.
    async fn close_channel(&self, channel_id: &str, force: bool) -> Result<(), RailError>;
    /// All channels.
    async fn channels(&self) -> Vec<Channel>;
    /// The newest payments first, `limit` at most.
    ///
    /// # Errors
    /// [`RailError`] if the node's store does not answer.
    async fn payments(&self, limit: u32) -> Result<Vec<Payment>, RailError>;
    /// Pays a BOLT 11 invoice and waits for the result, `timeout` at most; the payment goes on after it. A payment of the
    /// operator's that is under way, or was made, on the invoice's hash is not begun again: it is waited for and answered.
    ///
    /// # Errors
    /// [`RailError`] if the invoice is refused or the payment cannot begin.
    async fn pay_invoice(&self, bolt11: &str, fee_limit: Msat, timeout: Duration) -> Result<Payment, RailError>;
    /// Makes an invoice that the node settles by itself.
    ///
    /// # Errors
    /// [`RailError`] if it cannot be made.
    async fn invoice(&self, amount: Msat, description: &str, expiry: Duration) -> Result<String, RailError>;
}
