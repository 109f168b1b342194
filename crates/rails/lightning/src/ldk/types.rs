//! LDK's generic types with our parts filled in. They are compiled here and nowhere else.

use std::sync::{Arc, RwLock};

use lightning::chain::Filter;
use lightning::events::bump_transaction::Wallet as BumpWallet;
use lightning::ln::peer_handler::IgnoringMessageHandler;
use lightning::onion_message::messenger::NullMessageRouter;
use lightning::routing::router::DefaultRouter;
use lightning::routing::scoring::{ProbabilisticScorer, ProbabilisticScoringFeeParameters};
use lightning::sign::InMemorySigner;
use lightning_block_sync::gossip::GossipVerifier;
use lightning_net_tokio::SocketDescriptor;

use super::keys::Keys;
use super::logger::LdkLogger;
use super::persist::Persister;
use crate::chain::{Broadcaster, ChainSource, Fees, Spawner};
use crate::store::LdkStore;
use crate::wallet::OnchainWallet;

pub(crate) type ChainMonitor = lightning::chain::chainmonitor::ChainMonitor<
    InMemorySigner,
    Arc<dyn Filter + Send + Sync>,
    Arc<Broadcaster>,
    Arc<Fees>,
    Arc<LdkLogger>,
    Arc<Persister>,
    Arc<Keys>,
>;

pub(crate) type ChannelMonitor = lightning::chain::channelmonitor::ChannelMonitor<InMemorySigner>;

pub(crate) type NetworkGraph = lightning::routing::gossip::NetworkGraph<Arc<LdkLogger>>;

pub(crate) type Scorer = RwLock<ProbabilisticScorer<Arc<NetworkGraph>, Arc<LdkLogger>>>;

pub(crate) type Router = DefaultRouter<
    Arc<NetworkGraph>,
    Arc<LdkLogger>,
    Arc<Keys>,
    Arc<Scorer>,
    ProbabilisticScoringFeeParameters,
    ProbabilisticScorer<Arc<NetworkGraph>, Arc<LdkLogger>>,
>;

pub(crate) type ChannelManager = lightning::ln::channelmanager::ChannelManager<
    Arc<ChainMonitor>,
    Arc<Broadcaster>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<Keys>,
    Arc<Fees>,
    Arc<Router>,
    Arc<NullMessageRouter>,
    Arc<LdkLogger>,
>;

pub(crate) type Verifier = GossipVerifier<Spawner, Arc<ChainSource>, Arc<LdkLogger>>;

pub(crate) type Gossip = lightning::routing::gossip::P2PGossipSync<Arc<NetworkGraph>, Arc<Verifier>, Arc<LdkLogger>>;

pub(crate) type PeerManager = lightning::ln::peer_handler::PeerManager<
    SocketDescriptor,
    Arc<ChannelManager>,
    Arc<Gossip>,
    Arc<IgnoringMessageHandler>,
    Arc<LdkLogger>,
    Arc<IgnoringMessageHandler>,
    Arc<Keys>,
    Arc<ChainMonitor>,
>;

pub(crate) type Sweeper = lightning::util::sweep::OutputSweeper<
    Arc<Broadcaster>,
    Arc<OnchainWallet>,
    Arc<Fees>,
    Arc<dyn Filter + Send + Sync>,
    Arc<LdkStore>,
    Arc<LdkLogger>,
    Arc<Keys>,
>;

pub(crate) type Bumper = lightning::events::bump_transaction::BumpTransactionEventHandler<
    Arc<Broadcaster>,
    Arc<BumpWallet<Arc<OnchainWallet>, Arc<LdkLogger>>>,
    Arc<Keys>,
    Arc<LdkLogger>,
>;
