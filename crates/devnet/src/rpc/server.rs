//! HTTP on loopback: login, limits, one request after the other.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;
use tallystick_bitcoin::{RpcAuth, RpcConfig};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::debug;

use super::{Node, protocol, table};
use crate::chain::Chain;

/// The longest request: a block in hex and some room.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How long open requests may take when the server stops.
const STOP_WAIT_MAX: Duration = Duration::from_secs(5);

/// The server could not start.
#[derive(Debug, thiserror::Error)]
#[error("the devnet's RPC port cannot be opened: {0}")]
pub struct ServerError(#[from] std::io::Error);

/// A chain behind Bitcoin Core's JSON-RPC on 127.0.0.1. It stops when this is dropped.
#[derive(Debug)]
pub struct ChainServer {
    address: SocketAddr,
    auth: RpcAuth,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

struct Shared {
    node: Mutex<Node>,
    /// The value of the header that lets in.
    login: String,
    stop: watch::Sender<bool>,
}

impl ChainServer {
    /// Starts with a chain on a free port, and lets in who knows `user` and `password`.
    ///
    /// # Errors
    /// [`ServerError`] when no port can be opened.
    pub async fn start(mut chain: Chain, user: &str, password: &str) -> Result<Self, ServerError> {
        let started = unix_time();
        chain.set_time(started);
        let (stop, stopped) = watch::channel(false);
        let shared = Arc::new(Shared {
            node: Mutex::new(Node { chain, started, stopping: false }),
            login: format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))),
            stop: stop.clone(),
        });
        let app = Router::new()
            .fallback(wrong_method)
            .route("/", post(handle))
            .method_not_allowed_fallback(wrong_method)
            .with_state(shared);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(serve(listener, app, stopped));
        let auth = RpcAuth::UserPass { user: user.to_owned(), password: password.to_owned() };
        Ok(Self { address, auth, stop, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How a client reaches it.
    #[must_use]
    pub fn rpc_config(&self) -> RpcConfig {
        RpcConfig::new(format!("http://{}", self.address), self.auth.clone())
    }

    /// Stops it, and waits until its port is free.
    pub async fn stop(mut self) {
        // Only fails when the server has stopped by itself.
        let _ = self.stop.send(true);
        let _ = (&mut self.task).await;
    }
}

impl Drop for ChainServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, app: Router, mut stopped: watch::Receiver<bool>) {
    let mut told = stopped.clone();
    let shutdown = async move {
        // An error means that nobody is left who could tell, which is the same.
        let _ = told.wait_for(|stop| *stop).await;
    };
    let server = axum::serve(listener, app).with_graceful_shutdown(shutdown).into_future();
    // Kept-alive connections would hold the port for ever.
    let late = async {
        let _ = stopped.wait_for(|stop| *stop).await;
        tokio::time::sleep(STOP_WAIT_MAX).await;
    };
    tokio::select! {
        outcome = server => {
            if let Err(error) = outcome {
                debug!(%error, "the devnet's RPC server failed");
            }
        }
        () = late => debug!("the devnet's RPC server left open connections behind"),
    }
}

async fn wrong_method() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, "JSONRPC server handles only POST requests").into_response()
}

async fn handle(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Body) -> Response {
    let given = headers.get(header::AUTHORIZATION).map_or(&[][..], header::HeaderValue::as_bytes);
    if !bool::from(given.ct_eq(shared.login.as_bytes())) {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"jsonrpc\"")]).into_response();
    }
    // Not before the login: a stranger takes no memory.
    let Ok(body) = to_bytes(body, REQUEST_BYTES_MAX).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    // Script checks and proof of work are not for the threads that serve the network.
    let answered = tokio::task::spawn_blocking(move || shared.answer(&body)).await;
    match answered {
        Ok((status, Some(text))) => (status, [(header::CONTENT_TYPE, "application/json")], text).into_response(),
        Ok((status, None)) => status.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Shared {
    fn answer(&self, body: &[u8]) -> (StatusCode, Option<String>) {
        // A panic in one request may not take the others down; the chain changes only in steps that are whole.
        let mut node = self.node.lock().unwrap_or_else(PoisonError::into_inner);
        node.chain.set_time(unix_time());
        let (status, answer) = protocol::answer(body, |method, params| table::execute(&mut node, method, params));
        if node.stopping {
            // Only fails when the server is gone already.
            let _ = self.stop.send(true);
        }
        (status, answer.map(|answer| format!("{answer}\n")))
    }
}

fn unix_time() -> u64 {
    // A clock before 1970 is as good as one at 1970 here.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
