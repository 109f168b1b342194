//! Connections that are slow, many, or in the way of a server that is to stop.

use axum::{Router, routing::get};
use serde_json::json;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tallystick_app::Clock;
use tallystick_graphql::{EdgeConfig, ServeLimits, router, serve, sign};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::timeout,
};

use crate::world::{PATIENCE, World, requester, stranger};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// What a request waits for before it is answered.
struct Gate {
    begun: Semaphore,
    answers: Semaphore,
}

impl Gate {
    /// So many requests are answered at once.
    fn new(answers: usize) -> Arc<Self> {
        Arc::new(Self { begun: Semaphore::new(0), answers: Semaphore::new(answers) })
    }

    async fn pass(&self) -> &'static str {
        self.begun.add_permits(1);
        self.answers.acquire().await.unwrap().forget();
        "done"
    }

    /// Waits until so many requests are under way that nobody waited for before.
    async fn begun(&self, requests: u32) {
        timeout(PATIENCE, self.begun.acquire_many(requests)).await.expect("it begins").unwrap().forget();
    }
}

/// A server that answers as its gate lets it.
async fn start(limits: ServeLimits, gate: Arc<Gate>) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(move || async move { gate.pass().await }));
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { stopped.await.unwrap_or(()) };
    (address, stop, tokio::spawn(serve(listener, router, stopped, limits)))
}

/// Waits until so many requests are answered on a connection.
async fn answered(socket: &mut TcpStream, requests: usize) {
    let mut told = Vec::new();
    while String::from_utf8_lossy(&told).matches("done").count() < requests {
        told.push(timeout(PATIENCE, socket.read_u8()).await.expect("it is answered").unwrap());
    }
}

/// Everything that comes until the connection is closed.
async fn rest(socket: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is an end as well.
    let _ = timeout(PATIENCE, socket.read_to_end(&mut bytes)).await.expect("the connection is closed in time");
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn slow_headers_and_idle_connections_are_closed() {
    let limits = ServeLimits { header_timeout: Duration::from_secs(2), ..ServeLimits::default() };
    let (address, _stop, _server) = start(limits, Gate::new(100)).await;
    let mut sockets = Vec::new();
    for sent in [b"".as_slice(), b"GET / HTT", b"GET / HTTP/1.1\r\nhost: x\r\n", REQUEST] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(sent).await.unwrap();
        sockets.push((sent, socket));
    }
    for (sent, mut socket) in sockets {
        let answer = rest(&mut socket).await;
        assert_eq!(answer.ends_with("done"), sent == REQUEST, "{answer}");
    }
}

#[tokio::test]
async fn the_longest_idle_connection_gives_way_to_one_more() {
    let limits = ServeLimits { connections_max: 2, header_timeout: PATIENCE * 2, ..ServeLimits::default() };
    let (address, _stop, _server) = start(limits, Gate::new(100)).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(REQUEST).await.unwrap();
    assert_eq!(first.read_u8().await.unwrap(), b'H');
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    assert_eq!(second.read_u8().await.unwrap(), b'H');
    let mut third = TcpStream::connect(address).await.unwrap();
    third.write_all(REQUEST).await.unwrap();
    assert_eq!(timeout(PATIENCE, third.read_u8()).await.unwrap().unwrap(), b'H');
    rest(&mut first).await;
    second.write_all(REQUEST).await.unwrap();
    answered(&mut second, 2).await;
    assert!(timeout(Duration::from_millis(100), rest(&mut second)).await.is_err(), "there is room for two");
}

/// An edge with room for four connections, that waits for a header for longer than any test does.
pub async fn small(world: &World, request_timeout: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/graphql", listener.local_addr().unwrap());
    let mut config = EdgeConfig::new([url.clone()]);
    config.request_timeout = request_timeout;
    let service = router(config, world.app.clone(), world.vault.clone(), Arc::clone(&world.node) as _);
    let limits = ServeLimits { connections_max: 4, header_timeout: PATIENCE * 2, ..ServeLimits::default() };
    tokio::spawn(serve(listener, service, std::future::pending(), limits));
    url
}

/// Whoever fills all connections keeps no party out: neither with silence, nor with good signatures over bodies that never
/// come whole.
#[tokio::test]
async fn connections_that_say_nothing_keep_nobody_out() {
    let world = World::start().await;
    let url = small(&world, PATIENCE * 2).await;
    let address = url.trim_start_matches("http://").trim_end_matches("/graphql");
    let signed = sign::authorization(&stranger(), &url, "POST", Some(b"{}"), world.clock.now()).unwrap();
    let slow = format!("POST /graphql HTTP/1.1\r\nhost: x\r\nauthorization: {signed}\r\ncontent-length: 2\r\n\r\n{{");
    for said in ["", "POST /graphql HTTP/1.1\r\nhost:", &slow] {
        let mut crowd = Vec::new();
        for _ in 0..12 {
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(said.as_bytes()).await.unwrap();
            crowd.push(socket);
        }
        let client = world.client_at(&url, requester());
        let asked = timeout(PATIENCE, client.query("{ node { height } }", json!({}))).await;
        asked.expect("it is answered long before those who say nothing are closed").unwrap();
    }
}

/// A connection stays while what was asked on it, signed, is done.
#[tokio::test]
async fn a_signed_request_under_way_does_not_give_way() {
    let world = World::start().await;
    let url = small(&world, Duration::from_secs(2)).await;
    let address = url.trim_start_matches("http://").trim_end_matches("/graphql");
    let id = world.create().await;
    world.accept(id).await;
    world.rail.set_available(false);
    let client = world.client_at(&url, requester());
    let query = format!("mutation {{ fundingInvoice(id: \"{id}\") {{ task {{ state }} }} }}");
    let asking = tokio::spawn(async move { client.query(&query, json!({})).await });
    world.until(id, "FUNDING").await;
    let mut crowd = Vec::new();
    for _ in 0..12 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(b"POST").await.unwrap();
        crowd.push(socket);
    }
    let error = timeout(PATIENCE, asking).await.unwrap().unwrap().unwrap_err();
    assert_eq!(error.code, "request.timeout", "it is answered, on its connection");
}

#[tokio::test]
async fn what_is_under_way_comes_to_its_end_when_the_server_stops() {
    let gate = Gate::new(2);
    let (address, stop, server) = start(ServeLimits::default(), Arc::clone(&gate)).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(REQUEST).await.unwrap();
    // It is under way once a third one, which came later, is answered.
    let mut later = TcpStream::connect(address).await.unwrap();
    later.write_all(REQUEST).await.unwrap();
    later.read_u8().await.unwrap();
    gate.begun(2).await;
    busy.write_all(REQUEST).await.unwrap();
    gate.begun(1).await;
    stop.send(()).unwrap();
    gate.answers.add_permits(1);
    assert!(rest(&mut busy).await.contains("done"));
    assert_eq!(rest(&mut idle).await, "");
    timeout(PATIENCE, server).await.expect("nobody is waited for any more").unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_request_that_takes_too_long_does_not_keep_the_server() {
    let limits = ServeLimits { shutdown_timeout: Duration::from_millis(100), ..ServeLimits::default() };
    let gate = Gate::new(0);
    let (address, stop, server) = start(limits, Arc::clone(&gate)).await;
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(REQUEST).await.unwrap();
    gate.begun(1).await;
    stop.send(()).unwrap();
    timeout(PATIENCE, server).await.expect("it is not waited for").unwrap();
    assert_eq!(rest(&mut busy).await, "");
}
