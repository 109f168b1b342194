//! Connections: how many there may be, how slowly they may speak, and how they end.

use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{net::SocketAddr, pin::pin, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::lobby::{Guest, Lobby};

/// How long nothing is accepted after the system refused to: it has too many files open, and needs a moment, and the log
/// its peace.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// The other end of the connection that a request came over: a client, or a proxy. An extension of each request.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Connections at once; WebSockets count until they are upgraded. When one more comes, the one goes that has waited
    /// the longest since it came or was last answered. While a signed request is worked on its connection stays; if
    /// that is all of them, more wait.
    pub connections_max: usize,
    /// How long a connection may take to send a request's header, and to be idle before it.
    pub header_timeout: Duration,
    /// How long requests that are under way may take once the server is to stop.
    pub shutdown_timeout: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections_max: 512,
            header_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(10),
        }
    }
}

/// Serves HTTP/1.1 on a listener until `stop` is ready; then lets requests that are under way come to their end, for a
/// while. When this future is dropped, all connections are.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()>, limits: ServeLimits) {
    let lobby = Lobby::new(limits.connections_max);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout);
    // Dropped to tell all connections that it is time to end.
    let (running, stopping) = watch::channel(());
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            // One that has ended is forgotten.
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener) => accepted,
        };
        let Some(stream) = accepted else { continue };
        let guest = tokio::select! {
            () = &mut stop => break,
            guest = lobby.enter() => guest,
        };
        connections.spawn(converse(builder.clone(), stream, router.clone(), stopping.clone(), guest));
    }
    drop((listener, running));
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.shutdown_timeout, ended).await.is_err() {
        tracing::warn!("requests were still under way when the API stopped");
    }
}

/// The next connection. Nothing if that one failed.
async fn accept(listener: &TcpListener) -> Option<TcpStream> {
    match listener.accept().await {
        Ok((stream, _)) => Some(stream),
        Err(error) => {
            tracing::warn!("a connection cannot be accepted: {error}");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// One connection to its end. The guest leaves when it was upgraded to a WebSocket.
async fn converse(
    builder: http1::Builder,
    stream: TcpStream,
    router: Router,
    mut stopping: watch::Receiver<()>,
    guest: Guest,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("small messages of a connection may come late: {error}");
    }
    let dismissal = guest.dismissal();
    let peer = stream.peer_addr().ok().map(Peer);
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(guest.clone());
        if let Some(peer) = peer {
            request.extensions_mut().insert(peer);
        }
        router.call(request)
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = dismissal.notified() => {
            tracing::debug!("a connection gave way to another");
            return;
        }
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!("a connection broke: {error}");
    }
}
