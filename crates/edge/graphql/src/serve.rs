//! Connections: how many there may be, how slowly they may speak, and how they end.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How long nothing is accepted after the system refused to: it has too many files open, and needs a moment,
/// and the log its peace.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What connections may take.
#[derive(Clone, Copy, Debug)]
pub struct ServeLimits {
    /// Connections at once; WebSockets count until they are upgraded. More wait in the system's queue.
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
    let room = Arc::new(Semaphore::new(limits.connections_max));
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
            accepted = accept(&listener, &room) => accepted,
        };
        if let Some((stream, permit)) = accepted {
            connections.spawn(converse(builder.clone(), stream, router.clone(), stopping.clone(), permit));
        }
    }
    drop((listener, running));
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.shutdown_timeout, ended).await.is_err() {
        tracing::warn!("requests were still under way when the API stopped");
    }
}

/// The next connection, once there is room for it. Nothing if that one failed.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, permit)),
        Err(error) => {
            tracing::warn!("a connection cannot be accepted: {error}");
            sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// One connection to its end. The permit is free again when it was upgraded to a WebSocket.
async fn converse(
    builder: http1::Builder,
    stream: TcpStream,
    router: Router,
    mut stopping: watch::Receiver<()>,
    _permit: OwnedSemaphorePermit,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!("small messages of a connection may come late: {error}");
    }
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router)).with_upgrades();
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!("a connection broke: {error}");
    }
}
