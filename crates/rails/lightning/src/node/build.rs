//! LDK's parts, read from the store or made anew, and brought to the chain's tip.

use std::io::Cursor;
use std::sync::Arc;

use bitcoin::{BlockHash, Network};
use lightning::chain::BestBlock;
use lightning::chain::channelmonitor::ChannelMonitorUpdate;
use lightning::ln::channelmanager::{ChainParameters, ChannelManagerReadArgs};
use lightning::onion_message::messenger::NullMessageRouter;
use lightning::routing::scoring::{
    ProbabilisticScorer, ProbabilisticScoringDecayParameters, ProbabilisticScoringFeeParameters,
};
use lightning::sign::{EntropySource, KeysManager, NodeSigner};
use lightning::util::persist as names;
use lightning::util::ser::{Readable, ReadableArgs};
use lightning_block_sync::init::synchronize_listeners;
use lightning_block_sync::poll::ValidatedBlockHeader;

use crate::chain::{Broadcaster, ChainSource, Fees, HeaderCache, Outgoing};
use crate::clock::now;
use crate::ldk::keys::Keys;
use crate::ldk::logger::LdkLogger;
use crate::ldk::persist::Persister;
use crate::ldk::settings::settings;
use crate::ldk::types::{ChainMonitor, ChannelManager, ChannelMonitor, NetworkGraph, Router, Scorer, Sweeper};
use crate::secret::RootKeys;
use crate::store::{LdkStore, Store, StoredMonitor};
use crate::wallet::OnchainWallet;
use crate::{LightningConfig, LightningError};

/// What everything else is built on.
pub(crate) struct Ground {
    pub(crate) store: Arc<Store>,
    pub(crate) source: Arc<ChainSource>,
    pub(crate) broadcaster: Arc<Broadcaster>,
    pub(crate) fees: Arc<Fees>,
    pub(crate) logger: Arc<LdkLogger>,
    pub(crate) wallet: Arc<OnchainWallet>,
    pub(crate) keys: Arc<Keys>,
}

/// LDK's parts, at the chain's tip.
pub(crate) struct Parts {
    pub(crate) monitors: Arc<ChainMonitor>,
    pub(crate) manager: Arc<ChannelManager>,
    pub(crate) graph: Arc<NetworkGraph>,
    pub(crate) scorer: Arc<Scorer>,
    pub(crate) sweeper: Arc<Sweeper>,
    pub(crate) tip: ValidatedBlockHeader,
    pub(crate) headers: HeaderCache,
}

type Watched = (ChannelMonitor, Arc<Broadcaster>, Arc<Fees>, Arc<LdkLogger>);

impl Ground {
    pub(crate) fn new(
        config: &LightningConfig,
        store: Arc<Store>,
        root: &RootKeys,
        birth: (u32, BlockHash),
    ) -> Result<(Self, Outgoing), LightningError> {
        let wallet = Arc::new(OnchainWallet::open(Arc::clone(&store), root.wallet_root(), config.network, birth)?);
        let (broadcaster, outgoing) = Broadcaster::new(config.rpc.clone(), Arc::clone(&wallet));
        let started = now();
        // The time makes LDK's ephemeral keys differ from those of the last run.
        let subsecond = u32::try_from(started.as_millis() % 1_000).unwrap_or_default() * 1_000_000;
        let inner = KeysManager::new(&root.ldk_seed(), started.as_secs(), subsecond, true);
        let ground = Self {
            store,
            source: Arc::new(ChainSource::new(config.rpc.clone())),
            broadcaster: Arc::new(broadcaster),
            fees: Arc::new(Fees::new()),
            logger: Arc::new(LdkLogger),
            keys: Arc::new(Keys::new(inner, Arc::clone(&wallet))),
            wallet,
        };
        Ok((ground, outgoing))
    }

    /// Reads or makes LDK's parts, and brings them to the tip.
    pub(crate) async fn build(&self, config: &LightningConfig, best: BestBlock) -> Result<Parts, LightningError> {
        let monitors = Arc::new(ChainMonitor::new(
            None,
            Arc::clone(&self.broadcaster),
            Arc::clone(&self.logger),
            Arc::clone(&self.fees),
            Arc::new(Persister(Arc::clone(&self.store))),
            Arc::clone(&self.keys),
            self.keys.get_peer_storage_key(),
        ));
        let graph = Arc::new(self.graph(config.network)?);
        let scorer = Arc::new(self.scorer(&graph)?);
        let router = Arc::new(Router::new(
            Arc::clone(&graph),
            Arc::clone(&self.logger),
            Arc::clone(&self.keys),
            Arc::clone(&scorer),
            ProbabilisticScoringFeeParameters::default(),
        ));
        let mut watched = Vec::new();
        for stored in self.store.monitors()? {
            watched.push(self.monitor(&stored)?);
        }
        let (manager_tip, manager) = self.manager(config, best, &monitors, router, &watched)?;
        let (sweeper_tip, sweeper) = self.sweeper(best)?;
        let mut headers = HeaderCache::default();
        let tip = {
            let mut listeners: Vec<(BlockHash, &(dyn lightning::chain::Listen + Send + Sync))> =
                vec![(manager_tip, &manager), (sweeper_tip, &sweeper), (self.wallet.tip(), &*self.wallet)];
            listeners.extend(watched.iter().map(|(tip, watched)| (*tip, watched as _)));
            let synced = synchronize_listeners(&*self.source, config.network, &mut headers, listeners).await;
            synced.map_err(|error| LightningError::Chain(error.into_inner().to_string()))?
        };
        for (_, (monitor, ..)) in watched {
            let loaded = monitors.load_existing_monitor(monitor.channel_id(), monitor);
            loaded.map_err(|()| LightningError::Corrupt("two monitors of one channel"))?;
        }
        self.wallet.save();
        let (manager, sweeper) = (Arc::new(manager), Arc::new(sweeper));
        Ok(Parts { monitors, manager, graph, scorer, sweeper, tip, headers })
    }

    fn graph(&self, network: Network) -> Result<NetworkGraph, LightningError> {
        let stored = self.store.kv(
            names::NETWORK_GRAPH_PERSISTENCE_PRIMARY_NAMESPACE,
            names::NETWORK_GRAPH_PERSISTENCE_SECONDARY_NAMESPACE,
            names::NETWORK_GRAPH_PERSISTENCE_KEY,
        )?;
        // Gossip comes again by itself: a graph that cannot be read is no reason not to start.
        let read = stored.and_then(|body| NetworkGraph::read(&mut Cursor::new(body), Arc::clone(&self.logger)).ok());
        Ok(read.unwrap_or_else(|| NetworkGraph::new(network, Arc::clone(&self.logger))))
    }

    fn scorer(&self, graph: &Arc<NetworkGraph>) -> Result<Scorer, LightningError> {
        let stored = self.store.kv(
            names::SCORER_PERSISTENCE_PRIMARY_NAMESPACE,
            names::SCORER_PERSISTENCE_SECONDARY_NAMESPACE,
            names::SCORER_PERSISTENCE_KEY,
        )?;
        let decay = ProbabilisticScoringDecayParameters::default();
        let arguments = || (decay, Arc::clone(graph), Arc::clone(&self.logger));
        // What is known of others' channels is learned again.
        let read = stored.and_then(|body| ProbabilisticScorer::read(&mut Cursor::new(body), arguments()).ok());
        let fresh = || ProbabilisticScorer::new(decay, Arc::clone(graph), Arc::clone(&self.logger));
        Ok(Scorer::new(read.unwrap_or_else(fresh)))
    }

    fn monitor(&self, stored: &StoredMonitor) -> Result<(BlockHash, Watched), LightningError> {
        const DAMAGED: LightningError = LightningError::Corrupt("a channel monitor");
        let arguments = (&*self.keys, &*self.keys);
        let (tip, monitor) =
            <(BlockHash, ChannelMonitor)>::read(&mut Cursor::new(&stored.body), arguments).map_err(|_| DAMAGED)?;
        for (number, body) in &stored.updates {
            if *number <= monitor.get_latest_update_id() {
                continue;
            }
            let update = ChannelMonitorUpdate::read(&mut Cursor::new(body)).map_err(|_| DAMAGED)?;
            let applied = monitor.update_monitor(&update, &self.broadcaster, &self.fees, &self.logger);
            applied.map_err(|()| DAMAGED)?;
        }
        let (broadcaster, fees, logger) = (&self.broadcaster, &self.fees, &self.logger);
        Ok((tip, (monitor, Arc::clone(broadcaster), Arc::clone(fees), Arc::clone(logger))))
    }

    fn manager(
        &self,
        config: &LightningConfig,
        best: BestBlock,
        monitors: &Arc<ChainMonitor>,
        router: Arc<Router>,
        watched: &[(BlockHash, Watched)],
    ) -> Result<(BlockHash, ChannelManager), LightningError> {
        let message_router = Arc::new(NullMessageRouter {});
        let Some(body) = self.store.manager()? else {
            if !watched.is_empty() {
                return Err(LightningError::Corrupt("channels without their manager"));
            }
            let manager = ChannelManager::new(
                Arc::clone(&self.fees),
                Arc::clone(monitors),
                Arc::clone(&self.broadcaster),
                router,
                message_router,
                Arc::clone(&self.logger),
                Arc::clone(&self.keys),
                Arc::clone(&self.keys),
                Arc::clone(&self.keys),
                settings(config),
                ChainParameters { network: config.network, best_block: best },
                u32::try_from(now().as_secs()).unwrap_or(u32::MAX),
            );
            return Ok((best.block_hash, manager));
        };
        let arguments = ChannelManagerReadArgs::new(
            Arc::clone(&self.keys),
            Arc::clone(&self.keys),
            Arc::clone(&self.keys),
            Arc::clone(&self.fees),
            Arc::clone(monitors),
            Arc::clone(&self.broadcaster),
            router,
            message_router,
            Arc::clone(&self.logger),
            settings(config),
            watched.iter().map(|(_, (monitor, ..))| monitor).collect(),
        );
        <(BlockHash, ChannelManager)>::read(&mut Cursor::new(body), arguments)
            .map_err(|_| LightningError::Corrupt("the channel manager"))
    }

    fn sweeper(&self, best: BestBlock) -> Result<(BlockHash, Sweeper), LightningError> {
        let stored = self.store.kv(
            names::OUTPUT_SWEEPER_PERSISTENCE_PRIMARY_NAMESPACE,
            names::OUTPUT_SWEEPER_PERSISTENCE_SECONDARY_NAMESPACE,
            names::OUTPUT_SWEEPER_PERSISTENCE_KEY,
        )?;
        let store = Arc::new(LdkStore(Arc::clone(&self.store)));
        let (broadcaster, fees) = (Arc::clone(&self.broadcaster), Arc::clone(&self.fees));
        let (keys, wallet, logger) = (Arc::clone(&self.keys), Arc::clone(&self.wallet), Arc::clone(&self.logger));
        match stored {
            None => {
                let sweeper = Sweeper::new(best, broadcaster, fees, None, keys, wallet, store, logger);
                Ok((best.block_hash, sweeper))
            }
            Some(body) => {
                let arguments = (broadcaster, fees, None, keys, wallet, store, logger);
                let (tip, sweeper) = <(BestBlock, Sweeper)>::read(&mut Cursor::new(body), arguments)
                    .map_err(|_| LightningError::Corrupt("the outputs to be swept"))?;
                Ok((tip.block_hash, sweeper))
            }
        }
    }

    /// Fresh randomness for the connections of this run.
    pub(crate) fn randomness(&self) -> [u8; 32] {
        self.keys.get_secure_random_bytes()
    }
}
