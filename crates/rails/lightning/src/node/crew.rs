//! The node's tasks, set going.

use std::sync::Arc;
use std::time::Duration;

use lightning::ln::msgs::SocketAddress;
use lightning_background_processor::{GossipSync, NO_LIQUIDITY_MANAGER, NO_ONION_MESSENGER, process_events_async};
use tallystick_app::port::rail::RailListener;
use tallystick_core::BlockHeight;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::build::{Ground, Parts};
use super::engine::Engine;
use super::tasks::Tasks;
use crate::chain::Follower;
use crate::clock::now;
use crate::courier::{Courier, tell_heights};
use crate::ldk::types::{Gossip, PeerManager, Scorer};
use crate::peers::{self, Peers};
use crate::store::{LdkStore, Notices};
use crate::{LightningConfig, events};

const FEE_REFRESH: Duration = Duration::from_secs(60);
/// About once a day.
const ARCHIVE_BLOCKS: u32 = 144;
/// About once an hour.
const ANNOUNCE_BLOCKS: u32 = 6;
/// Hazel, the wood of tally sticks.
const COLOUR: [u8; 3] = [0x8a, 0x6d, 0x3b];

/// Who works, and on what.
pub(super) struct Crew {
    pub(super) engine: Arc<Engine>,
    pub(super) tasks: Tasks,
    pub(super) peer_manager: Arc<PeerManager>,
    pub(super) peers: Arc<Peers>,
}

impl Crew {
    /// LDK's background processor: events, timers, persistence.
    pub(super) fn processor(&self, ground: &Ground, gossip: Arc<Gossip>, scorer: Arc<Scorer>) {
        let engine = Arc::clone(&self.engine);
        let peer_manager = Arc::clone(&self.peer_manager);
        let store = Arc::new(LdkStore(Arc::clone(&ground.store)));
        let logger = Arc::clone(&ground.logger);
        let stop = self.tasks.switch();
        self.tasks.run("processor", async move {
            let handler = |event| events::handle(Arc::clone(&engine), event);
            let sleeper = |pause: Duration| {
                let mut stop = stop.clone();
                Box::pin(async move {
                    tokio::select! {
                        () = tokio::time::sleep(pause) => false,
                        _ = stop.wait_for(|stop| *stop) => true,
                    }
                })
            };
            let done = process_events_async(
                store,
                handler,
                Arc::clone(&engine.monitors),
                Arc::clone(&engine.manager),
                NO_ONION_MESSENGER,
                GossipSync::p2p(Arc::clone(&gossip)),
                peer_manager,
                NO_LIQUIDITY_MANAGER,
                Some(Arc::clone(&engine.sweeper)),
                logger,
                Some(scorer),
                sleeper,
                false,
                || Some(Duration::from_millis(now().as_millis())),
            )
            .await;
            if let Err(error) = done {
                tracing::error!(%error, "the Lightning node's background processor stopped");
            }
            // Gossip and its verifier hold each other.
            gossip.add_utxo_lookup(None);
        });
    }

    /// Follows the chain.
    pub(super) fn chain(
        &self,
        config: &LightningConfig,
        ground: &Ground,
        parts: Parts,
        height: watch::Sender<BlockHeight>,
    ) {
        let engine = Arc::clone(&self.engine);
        let follower = Follower {
            monitors: parts.monitors,
            manager: parts.manager,
            sweeper: parts.sweeper,
            wallet: Arc::clone(&ground.wallet),
            gate: Arc::clone(&self.engine.gate),
            before: Box::new(move |height| engine.stop_late(height)),
            pulse: Arc::clone(&self.engine.pulse),
            height,
        };
        let source = Arc::clone(&ground.source);
        let (network, pause) = (config.network, config.poll_interval);
        self.tasks.run_until_stopped("chain", follower.run(source, network, parts.tip, parts.headers, pause));
    }

    /// What is done now and then.
    pub(super) fn chores(&self, config: &LightningConfig, ground: &Ground, mut heights: watch::Receiver<BlockHeight>) {
        let (fees, rpc) = (Arc::clone(&ground.fees), config.rpc.clone());
        self.tasks.run_until_stopped("fees", async move {
            loop {
                tokio::time::sleep(FEE_REFRESH).await;
                fees.refresh(&rpc).await;
            }
        });
        let (engine, broadcaster) = (Arc::clone(&self.engine), Arc::clone(&ground.broadcaster));
        let peer_manager = Arc::clone(&self.peer_manager);
        let alias = config.alias_bytes();
        let addresses: Vec<SocketAddress> = config.announce.iter().map(|address| (*address).into()).collect();
        self.tasks.run_until_stopped("chores", async move {
            heights.mark_changed();
            // Several blocks may come at once: what is done every so many blocks counts from the last time.
            let (mut archived, mut announced) = (0, 0);
            while heights.changed().await.is_ok() {
                let height = heights.borrow_and_update().0;
                // LDK offers its own transactions again; those of the wallet are ours to repeat.
                broadcaster.repeat(engine.wallet.unconfirmed());
                if height >= archived + ARCHIVE_BLOCKS {
                    archived = height;
                    engine.monitors.archive_fully_resolved_channel_monitors();
                }
                if height >= announced + ANNOUNCE_BLOCKS {
                    announced = height;
                    engine.warn_of_thin_reserve();
                    if let Err(error) = engine.tell_holds() {
                        tracing::error!(%error, "the holds cannot be told again");
                    }
                    if !addresses.is_empty() {
                        peer_manager.broadcast_node_announcement(COLOUR, alias, addresses.clone());
                    }
                }
            }
        });
    }

    /// Tells the listener.
    pub(super) fn notices(
        &self,
        listener: Arc<dyn RailListener>,
        notices: Notices,
        heights: watch::Receiver<BlockHeight>,
    ) {
        let courier = Courier::new(Arc::clone(&self.engine), Arc::clone(&listener));
        self.tasks.run("courier", courier.run(notices, self.tasks.switch()));
        self.tasks.run("heights", tell_heights(listener, heights, self.tasks.switch()));
    }

    /// Takes connections, and goes back to peers that are gone.
    pub(super) fn connections(&self, listeners: Vec<TcpListener>) {
        for listener in listeners {
            self.tasks.run_until_stopped("listener", peers::listen(listener, Arc::clone(&self.peer_manager)));
        }
        self.tasks.run_until_stopped("peers", Arc::clone(&self.peers).keep_connected());
    }

    /// A node that cannot write must not go on, and a node that stops has no peers.
    pub(super) fn guard(&self) {
        let mut down = self.engine.store.down();
        let mut stop = self.tasks.switch();
        let peer_manager = Arc::clone(&self.peer_manager);
        self.tasks.run("guard", async move {
            tokio::select! {
                _ = down.wait_for(|down| *down) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
            peer_manager.disconnect_all_peers();
        });
    }
}
