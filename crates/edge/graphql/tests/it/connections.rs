//! Connections that are slow, many, or in the way of a server that is to stop.

use axum::{Router, routing::get};
use std::{net::SocketAddr, time::Duration};
use tallystick_graphql::{ServeLimits, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::world::PATIENCE;

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

/// A server whose answer takes as long as it is told.
async fn start(limits: ServeLimits, takes: Duration) -> (SocketAddr, oneshot::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route(
        "/",
        get(move || async move {
            tokio::time::sleep(takes).await;
            "done"
        }),
    );
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { stopped.await.unwrap_or(()) };
    (address, stop, tokio::spawn(serve(listener, router, stopped, limits)))
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
    let limits = ServeLimits { header_timeout: Duration::from_millis(200), ..ServeLimits::default() };
    let (address, _stop, _server) = start(limits, Duration::ZERO).await;
    for sent in [b"".as_slice(), b"GET / HTT", b"GET / HTTP/1.1\r\nhost: x\r\n", REQUEST] {
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(sent).await.unwrap();
        let answer = rest(&mut socket).await;
        assert_eq!(answer.ends_with("done"), sent == REQUEST, "{answer}");
    }
}

#[tokio::test]
async fn more_connections_than_there_is_room_for_wait() {
    let limits = ServeLimits { connections_max: 1, ..ServeLimits::default() };
    let (address, _stop, _server) = start(limits, Duration::ZERO).await;
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(REQUEST).await.unwrap();
    assert_eq!(first.read_u8().await.unwrap(), b'H');
    let mut second = TcpStream::connect(address).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    assert!(timeout(Duration::from_millis(200), second.read_u8()).await.is_err(), "there is room for one");
    drop(first);
    assert_eq!(timeout(PATIENCE, second.read_u8()).await.unwrap().unwrap(), b'H');
}

#[tokio::test]
async fn what_is_under_way_comes_to_its_end_when_the_server_stops() {
    let (address, stop, server) = start(ServeLimits::default(), Duration::from_millis(300)).await;
    let mut idle = TcpStream::connect(address).await.unwrap();
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(REQUEST).await.unwrap();
    // It is under way once a third one, which came later, is answered.
    let mut later = TcpStream::connect(address).await.unwrap();
    later.write_all(REQUEST).await.unwrap();
    later.read_u8().await.unwrap();
    busy.write_all(REQUEST).await.unwrap();
    stop.send(()).unwrap();
    assert!(rest(&mut busy).await.contains("done"));
    assert_eq!(rest(&mut idle).await, "");
    timeout(PATIENCE, server).await.expect("nobody is waited for any more").unwrap();
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_request_that_takes_too_long_does_not_keep_the_server() {
    let limits = ServeLimits { shutdown_timeout: Duration::from_millis(100), ..ServeLimits::default() };
    let (address, stop, server) = start(limits, Duration::from_secs(3_600)).await;
    let mut busy = TcpStream::connect(address).await.unwrap();
    busy.write_all(REQUEST).await.unwrap();
    stop.send(()).unwrap();
    timeout(PATIENCE, server).await.expect("it is not waited for").unwrap();
    assert_eq!(rest(&mut busy).await, "");
}
