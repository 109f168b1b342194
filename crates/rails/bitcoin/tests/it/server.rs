//! A server with prepared answers.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tallystick_bitcoin::{RpcAuth, RpcClient, RpcConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What to do with a connection.
pub enum Answer {
    /// A status line's number and a body. `$ID` in the body becomes the id of the request.
    Http(u16, String),
    /// Hang up after the request.
    HangUp,
    /// Never say anything.
    Silence,
    /// So many bytes of nothing.
    Flood(usize),
}

impl Answer {
    /// A good result.
    pub fn result(json: &str) -> Self {
        Self::Http(200, format!("{{\"jsonrpc\":\"2.0\",\"result\":{json},\"id\":$ID}}"))
    }
}

/// What was asked so far, headers and body.
pub type Requests = Arc<Mutex<Vec<String>>>;

/// Serves the answers in order, one for each connection, and returns its address.
pub async fn serve(answers: Vec<Answer>) -> (String, Requests) {
    let (listener, url, requests) = listen().await;
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let request = reply(&mut stream, answer, "close").await;
            seen.lock().expect("no panic holds it").push(request);
        }
    });
    (url, requests)
}

/// Serves the answers in order on the first connection, and takes no other.
pub async fn serve_on_one_connection(answers: Vec<Answer>) -> (String, Requests) {
    let (listener, url, requests) = listen().await;
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        let Ok((mut stream, _)) = listener.accept().await else { return };
        drop(listener);
        for answer in answers {
            let request = reply(&mut stream, answer, "keep-alive").await;
            seen.lock().expect("no panic holds it").push(request);
        }
    });
    (url, requests)
}

async fn listen() -> (TcpListener, String, Requests) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    (listener, url, Requests::default())
}

/// A client of prepared answers, and what it asked.
pub async fn client(answers: Vec<Answer>) -> (RpcClient, Requests) {
    client_with_timeout(answers, Duration::from_secs(20)).await
}

/// The same with a limit for one request.
pub async fn client_with_timeout(answers: Vec<Answer>, timeout: Duration) -> (RpcClient, Requests) {
    let (url, requests) = serve(answers).await;
    let auth = RpcAuth::UserPass { user: "user".to_owned(), password: "pass".to_owned() };
    let config = RpcConfig { url, auth, timeout };
    (RpcClient::try_new(config).expect("a usable configuration"), requests)
}

async fn reply(stream: &mut TcpStream, answer: Answer, connection: &str) -> String {
    let request = read_request(stream).await;
    let (status, body) = match answer {
        Answer::HangUp => return request,
        Answer::Silence => {
            // Until the client gives up.
            let _ = stream.read(&mut [0; 1]).await;
            return request;
        }
        Answer::Http(status, body) => (status, body),
        Answer::Flood(bytes) => {
            // Without a length in the header nobody can know before. The client hangs up when it has had enough.
            let _ = stream.write_all(b"HTTP/1.1 200 X\r\nConnection: close\r\n\r\n").await;
            let _ = stream.write_all(&vec![b' '; bytes]).await;
            return request;
        }
    };
    let id = request.split("\"id\":").nth(1).map_or("null", |rest| rest.split([',', '}']).next().unwrap_or("null"));
    let body = body.replace("$ID", id);
    let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n", body.len());
    // The client may hang up when it has had enough.
    let _ = stream.write_all(format!("{head}{body}").as_bytes()).await;
    request
}

/// Reads headers and as much body as they announce.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0usize) {
                return text;
            }
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return text,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}
