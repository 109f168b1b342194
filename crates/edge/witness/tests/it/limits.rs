//! Requests that are too long, too slow, or something else.

use std::time::{Duration, Instant};
use tallystick_log::{REQUEST_BYTES_MAX, REQUEST_HASHES_MAX};
use tallystick_witness::WitnessLimits;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{Log, Post, Server};

const PATIENCE: Duration = Duration::from_secs(30);

/// Sends bytes and reads all that comes until the server hangs up.
async fn exchange(server: &Server, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    // The server may have had enough before all is sent.
    let _ = socket.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.expect("the answer comes in time");
    String::from_utf8_lossy(&answer).into_owned()
}

fn request(line: &str, length: usize, body: &[u8]) -> Vec<u8> {
    let head = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn each_answer_has_its_status_and_type() {
    let (log, post) = (Log::new(9), Post::new(2));
    let server = Server::start(post.open(), "/w/1", WitnessLimits::default()).await;
    let post_to = |path: &str, body: &[u8]| request(&format!("POST {path}"), body.len(), body);
    let call = "/w/1/add-checkpoint";
    let answer = exchange(&server, &post_to(call, &log.body(0, 5))).await;
    assert_eq!(status(&answer), 200);
    assert!(answer.contains("\r\n\r\n\u{2014} w2.example ") && answer.ends_with('\n'), "{answer}");
    let answer = exchange(&server, &post_to(call, &log.body(0, 5))).await;
    assert_eq!(status(&answer), 409);
    assert!(answer.contains("content-type: text/x.tlog.size\r\n") && answer.ends_with("\r\n\r\n5\n"), "{answer}");
    let answer = exchange(&server, &post_to(call, &log.forked(2).body(5, 5))).await;
    assert_eq!(status(&answer), 409);
    assert!(answer.contains("\r\n\r\nwitness.two_histories: ") && !answer.contains("tlog.size"), "{answer}");
    assert_eq!(status(&exchange(&server, &post_to(call, b"old 5\n")).await), 400);
    assert_eq!(status(&exchange(&server, &post_to("/add-checkpoint", &log.body(5, 6))).await), 404);
    assert_eq!(status(&exchange(&server, &request(&format!("GET {call}"), 0, b"")).await), 405);
    let health = exchange(&server, &request("GET /health", 0, b"")).await;
    assert!(status(&health) == 200 && health.ends_with("ok\n"), "{health}");
    post.records.fail_after(0, 0);
    assert_eq!(status(&exchange(&server, &post_to(call, &log.body(5, 6))).await), 500);
    assert_eq!(status(&exchange(&server, &request("GET /health", 0, b"")).await), 500);
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let (log, post) = (Log::new(9), Post::new(2));
    let server = Server::start(post.open(), "", WitnessLimits::default()).await;
    let line = "POST /add-checkpoint";
    let long = vec![b'x'; REQUEST_BYTES_MAX + 1];
    assert_eq!(status(&exchange(&server, &request(line, long.len(), &long)).await), 413);
    // Without a length in the header nobody can know before.
    let chunk = format!("{:x}\r\n", long.len());
    let head = format!("{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n{chunk}");
    assert_eq!(status(&exchange(&server, &[head.as_bytes(), &long, b"\r\n0\r\n\r\n"].concat()).await), 413);
    assert_eq!(status(&exchange(&server, &request(line, long.len() - 1, &long[1..])).await), 400);
    let hash = "KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
    for (hashes, expected) in [(REQUEST_HASHES_MAX, 422), (REQUEST_HASHES_MAX + 1, 400)] {
        let body = String::from_utf8(log.body(0, 9)).unwrap().replacen(
            "old 0\n",
            &format!("old 0\n{}", hash.repeat(hashes)),
            1,
        );
        assert_eq!(status(&exchange(&server, &request(line, body.len(), body.as_bytes())).await), expected);
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let limits = WitnessLimits { request_timeout: Duration::from_millis(200), ..WitnessLimits::default() };
    let (log, post) = (Log::new(9), Post::new(2));
    let server = Server::start(post.open(), "", limits).await;
    let body = log.body(0, 5);
    let begun = Instant::now();
    let answer = exchange(&server, &request("POST /add-checkpoint", body.len(), &body[..body.len() - 1])).await;
    assert_eq!(status(&answer), 408, "{answer}");
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(post.head().size, 0);
}
