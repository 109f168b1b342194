//! Connections: peers that come to us, and peers that we go back to.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bitcoin::secp256k1::PublicKey;
use tallystick_app::port::rail::RailError;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::LightningError;
use crate::ldk::types::PeerManager;
use crate::store::{KvAddress, Store, Write};

const NAMESPACE: &str = "tallystick_peers";
/// How long a connection and its handshake may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const HANDSHAKE_CHECK: Duration = Duration::from_millis(10);
/// How long nothing is accepted after the system refused to.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// The pause after the first failed attempt; it doubles up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Peers that the node connects to by itself, at most: no operator has so many.
pub const PEERS_MAX: usize = 1_000;
/// Connections that others may have open to one address of ours.
pub const INBOUND_MAX: usize = 512;

/// Peers that we reach by ourselves, with their addresses.
pub(crate) struct Peers {
    manager: Arc<PeerManager>,
    store: Arc<Store>,
    known: Mutex<HashMap<PublicKey, Known>>,
    pause_max: Duration,
}

#[derive(Clone)]
struct Known {
    address: String,
    next_attempt: Instant,
    pause: Duration,
}

impl Known {
    fn new(address: String) -> Self {
        Self { address, next_attempt: Instant::now(), pause: PAUSE_FIRST }
    }
}

impl Peers {
    pub(crate) fn load(
        manager: Arc<PeerManager>,
        store: Arc<Store>,
        pause_max: Duration,
    ) -> Result<Self, LightningError> {
        const DAMAGED: LightningError = LightningError::Corrupt("a peer's address");
        let mut known = HashMap::new();
        for key in store.kv_keys(NAMESPACE, "")? {
            let address = store.kv(NAMESPACE, "", &key)?.ok_or(DAMAGED)?;
            let address = String::from_utf8(address).map_err(|_| DAMAGED)?;
            known.insert(PublicKey::from_str(&key).map_err(|_| DAMAGED)?, Known::new(address));
        }
        Ok(Self { manager, store, known: Mutex::new(known), pause_max })
    }

    /// Connects, waits for the handshake, and remembers the address.
    pub(crate) async fn connect(self: &Arc<Self>, peer: &str, address: &str) -> Result<PublicKey, RailError> {
        let peer = parse_peer(peer)?;
        if self.known().len() >= PEERS_MAX && !self.known().contains_key(&peer) {
            return Err(RailError::Refused(format!("{PEERS_MAX} peers are known already")));
        }
        self.reach(peer, address).await?;
        self.known().insert(peer, Known::new(address.to_owned()));
        let place = KvAddress { primary: NAMESPACE.to_owned(), secondary: String::new(), key: peer.to_string() };
        self.store.write(Write::Kv { address: place, value: Some(address.as_bytes().to_vec()) });
        self.store.flush().await.map_err(|down| RailError::Unavailable(down.to_string()))?;
        Ok(peer)
    }

    /// Whether the handshake with this peer is done.
    pub(crate) fn is_connected(&self, peer: &PublicKey) -> bool {
        self.manager.peer_by_node_id(peer).is_some()
    }

    async fn reach(&self, peer: PublicKey, address: &str) -> Result<(), RailError> {
        if self.is_connected(&peer) {
            return Ok(());
        }
        let unreachable = || RailError::Unavailable(format!("the peer at {address} cannot be reached"));
        let attempt = async {
            let mut found = tokio::net::lookup_host(address).await.map_err(|_| unreachable())?;
            let socket: SocketAddr = found.next().ok_or_else(unreachable)?;
            let connection = lightning_net_tokio::connect_outbound(Arc::clone(&self.manager), peer, socket);
            let closed = connection.await.ok_or_else(unreachable)?;
            tokio::pin!(closed);
            loop {
                tokio::select! {
                    // Of two connections of one peer the second is closed: it may have come to us meanwhile.
                    () = &mut closed => return if self.is_connected(&peer) { Ok(()) } else { Err(unreachable()) },
                    () = tokio::time::sleep(HANDSHAKE_CHECK) => {}
                }
                if self.is_connected(&peer) {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(CONNECT_TIMEOUT, attempt).await.map_err(|_| unreachable())?
    }

    /// Goes back to peers that are gone, until the node stops.
    pub(crate) async fn keep_connected(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(PAUSE_FIRST);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let due: Vec<(PublicKey, String)> = {
                let now = Instant::now();
                let known = self.known();
                let due = known.iter().filter(|(peer, known)| known.next_attempt <= now && !self.is_connected(peer));
                due.map(|(peer, known)| (*peer, known.address.clone())).collect()
            };
            for (peer, address) in due {
                self.postpone(&peer);
                let peers = Arc::clone(&self);
                tokio::spawn(async move {
                    match peers.reach(peer, &address).await {
                        Ok(()) => peers.reset(&peer),
                        Err(error) => tracing::debug!(%peer, %error, "a peer is not back yet"),
                    }
                });
            }
        }
    }

    fn postpone(&self, peer: &PublicKey) {
        if let Some(known) = self.known().get_mut(peer) {
            known.next_attempt = Instant::now() + known.pause;
            known.pause = (known.pause * 2).min(self.pause_max);
        }
    }

    fn reset(&self, peer: &PublicKey) {
        if let Some(known) = self.known().get_mut(peer) {
            known.pause = PAUSE_FIRST;
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<PublicKey, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a peer's public key.
pub(crate) fn parse_peer(peer: &str) -> Result<PublicKey, RailError> {
    PublicKey::from_str(peer).map_err(|_| RailError::Refused("a peer's key has 66 hexadecimal digits".into()))
}

/// Takes connections until the node stops, so many at once that strangers cannot use up its file descriptors.
pub(crate) async fn listen(listener: TcpListener, manager: Arc<PeerManager>) {
    let room = Arc::new(Semaphore::new(INBOUND_MAX));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => match stream.into_std() {
                Ok(stream) => {
                    let connection = lightning_net_tokio::setup_inbound(Arc::clone(&manager), stream);
                    tokio::spawn(async move {
                        connection.await;
                        drop(permit);
                    });
                }
                Err(error) => tracing::debug!(%error, "a connection cannot be taken"),
            },
            Err(error) => {
                // Out of file descriptors, most likely: give others time to close theirs, and the log its peace.
                tracing::warn!(%error, "no connection can be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
