//! Start-up, in order.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bitcoin::BlockHash;
use lightning::chain::BestBlock;
use lightning::ln::peer_handler::{IgnoringMessageHandler, MessageHandler};
use tallystick_app::port::rail::RailListener;
use tokio::net::TcpListener;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::build::{Ground, Parts};
use super::crew::Crew;
use super::engine::Engine;
use super::tasks::Tasks;
use super::{Inner, LightningNode, OpenedNode};
use crate::anchor::AnchorWallet;
use crate::chain::Spawner;
use crate::clock::now;
use crate::ldk::persist::RunningState;
use crate::ldk::types::{Gossip, PeerManager, Verifier};
use crate::peers::Peers;
use crate::secret::{self, RootKeys};
use crate::store::{Notices, Store};
use crate::{LightningConfig, LightningError, events};

/// About a day.
const BIRTH_BLOCKS: u32 = 144;

pub(super) async fn open(config: LightningConfig, passphrase: &str) -> Result<OpenedNode, LightningError> {
    config.check()?;
    let (root, birth) = open_seed(&config, passphrase).await?;
    Ok(OpenedNode { config, root, birth })
}

pub(super) async fn start(
    OpenedNode { config, root, birth }: OpenedNode,
    listener: Arc<dyn RailListener>,
) -> Result<LightningNode, LightningError> {
    let best = best_block(&config).await?;
    let birth = birth_block(&config, birth, best).await?;
    let (store, notices) = {
        let (dir, database, vault) = (config.data_dir.clone(), config.database.clone(), root.vault()?);
        blocking(move || Store::open(&dir, &database, vault)).await?
    };
    let start = Start { config, best, birth };
    match run(start, &root, Arc::clone(&store), notices, listener).await {
        Ok(node) => Ok(node),
        Err(error) => {
            blocking(move || {
                store.close();
                Ok(())
            })
            .await?;
            Err(error)
        }
    }
}

/// Where a node starts.
struct Start {
    config: LightningConfig,
    best: BestBlock,
    /// Where its wallet begins, if it is new.
    birth: (u32, BlockHash),
}

async fn run(
    Start { config, best, birth }: Start,
    root: &RootKeys,
    store: Arc<Store>,
    notices: Notices,
    listener: Arc<dyn RailListener>,
) -> Result<LightningNode, LightningError> {
    let (ground, outgoing) = Ground::new(&config, store, root, birth)?;
    ground.fees.refresh(&config.rpc).await;
    let parts = ground.build(&config, best).await?;
    let (peer_manager, gossip) = connect_parts(&ground, &parts);
    ground.store.attach(Arc::new(RunningState {
        manager: Arc::clone(&parts.manager),
        monitors: Arc::clone(&parts.monitors),
        peers: Arc::clone(&peer_manager),
        runtime: tokio::runtime::Handle::current(),
    }));
    let engine = Arc::new(Engine::new(&config, root, &ground, &parts));
    settle_last_run(&engine).await?;
    let (listeners, listen) = bind(&config).await?;
    let peers = Peers::load(Arc::clone(&peer_manager), Arc::clone(&ground.store), config.reconnect_pause_max)?;
    let (height, heights) = watch::channel(engine.height());
    let crew = Crew { engine, tasks: Tasks::new(), peer_manager, peers: Arc::new(peers) };
    crew.processor(&ground, gossip, Arc::clone(&parts.scorer));
    crew.chores(&config, &ground, heights.clone());
    crew.chain(&config, &ground, parts, height);
    crew.tasks.run_until_stopped("broadcasts", outgoing.run());
    crew.notices(listener, notices, heights.clone());
    crew.connections(listeners);
    crew.guard();
    let anchors = Arc::new(AnchorWallet::new(Arc::clone(&crew.engine), config.rpc.clone(), root.seal_key()));
    Ok(LightningNode {
        inner: Arc::new(Inner {
            anchors,
            failed: crew.tasks.failed(),
            engine: crew.engine,
            peer_manager: crew.peer_manager,
            peers: crew.peers,
            tasks: crew.tasks,
            node_key: root.node_key(),
            alias: config.alias,
            listen,
            height: heights,
        }),
    })
}

async fn open_seed(config: &LightningConfig, passphrase: &str) -> Result<(RootKeys, Option<u32>), LightningError> {
    let (dir, network) = (config.data_dir.clone(), config.network);
    let passphrase = Zeroizing::new(passphrase.to_owned());
    // Argon2 takes a good part of a second.
    blocking(move || {
        let seed = secret::open(&dir, &passphrase)?;
        Ok((RootKeys::new(&seed, network), seed.birth()))
    })
    .await
}

async fn best_block(config: &LightningConfig) -> Result<BestBlock, LightningError> {
    let info = config.rpc.get_blockchain_info().await.map_err(|error| LightningError::Chain(error.to_string()))?;
    if info.network != config.network {
        let (has, wants) = (info.network, config.network);
        return Err(LightningError::Chain(format!("it is on {has}, the node is configured for {wants}")));
    }
    Ok(BestBlock::new(info.best_block_hash, info.blocks))
}

/// Where a new wallet begins: at the birth of a restored seed, and so far back that no reorganisation reaches it, which
/// the wallet could not follow.
async fn birth_block(
    config: &LightningConfig,
    birth: Option<u32>,
    best: BestBlock,
) -> Result<(u32, BlockHash), LightningError> {
    let height = birth.unwrap_or(u32::MAX).min(best.height.saturating_sub(BIRTH_BLOCKS));
    let hash = config.rpc.get_block_hash(height).await;
    Ok((height, hash.map_err(|error| LightningError::Chain(error.to_string()))?))
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LightningError> + Send + 'static,
) -> Result<T, LightningError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| LightningError::Store("a blocking task was cut short".to_owned()))?
}

/// Peers and gossip, which need each other.
fn connect_parts(ground: &Ground, parts: &Parts) -> (Arc<PeerManager>, Arc<Gossip>) {
    let gossip = Arc::new(Gossip::new(Arc::clone(&parts.graph), None, Arc::clone(&ground.logger)));
    let handlers = MessageHandler {
        chan_handler: Arc::clone(&parts.manager),
        route_handler: Arc::clone(&gossip),
        onion_message_handler: Arc::new(IgnoringMessageHandler {}),
        custom_message_handler: Arc::new(IgnoringMessageHandler {}),
        send_only_message_handler: Arc::clone(&parts.monitors),
    };
    let peer_manager = Arc::new(PeerManager::new(
        handlers,
        u32::try_from(now().as_secs()).unwrap_or(u32::MAX),
        &ground.randomness(),
        Arc::clone(&ground.logger),
        Arc::clone(&ground.keys),
    ));
    let verifier = Verifier::new(
        Arc::clone(&ground.source),
        Spawner(tokio::runtime::Handle::current()),
        Arc::clone(&gossip),
        Arc::clone(&peer_manager),
    );
    gossip.add_utxo_lookup(Some(Arc::new(verifier)));
    (peer_manager, gossip)
}

/// Brings what the last run left behind to an end, before anything new begins.
async fn settle_last_run(engine: &Arc<Engine>) -> Result<(), LightningError> {
    let failed = AtomicBool::new(false);
    let handler = |event| async {
        let handled = events::handle(Arc::clone(engine), event).await;
        failed.fetch_or(handled.is_err(), Ordering::Relaxed);
        handled
    };
    engine.manager.process_pending_events_async(&handler).await;
    engine.monitors.process_pending_events_async(&handler).await;
    if failed.into_inner() {
        // What stock is taken of would be wrong: an event that waits may tell the end of a payment.
        return Err(LightningError::Store("an event of the last run cannot be handled".to_owned()));
    }
    engine.take_stock()?;
    engine.stop_late(engine.height());
    engine.claim_all_known()?;
    engine.tell_holds()?;
    engine.store.flush().await?;
    Ok(())
}

async fn bind(config: &LightningConfig) -> Result<(Vec<TcpListener>, Vec<SocketAddr>), LightningError> {
    let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
    for address in &config.listen {
        let listener = TcpListener::bind(address).await.map_err(LightningError::io("the node cannot listen"))?;
        addresses.push(listener.local_addr().map_err(LightningError::io("the node cannot listen"))?);
        listeners.push(listener);
    }
    Ok((listeners, addresses))
}
