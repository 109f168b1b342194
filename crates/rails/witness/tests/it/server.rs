//! A server with one prepared answer, and what it needs to be one of a witness.

use std::{sync::Arc, time::Duration};
use tallystick_app::port::witness::{Witness as _, WitnessError};
use tallystick_log::*;
use tallystick_witness_client::{HttpWitness, HttpWitnessConfig};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    sync::Mutex,
    task::JoinHandle,
};

pub const ORIGIN: &str = "log.example/journal";

pub fn key(name: &str, kind: KeyKind, seed: u8) -> SigningKey {
    SigningKey::try_from_seed(KeyName::try_new(name).unwrap(), kind, &[seed; 32]).unwrap()
}

pub fn witness_key() -> SigningKey {
    key("w.example", KeyKind::Cosignature, 2)
}

/// A request that starts from 3 leaves.
pub fn request() -> AddCheckpoint {
    let checkpoint = Checkpoint::try_new(ORIGIN, 7, [7; 32]).unwrap();
    let signed = SignedCheckpoint::sign(checkpoint, &key(ORIGIN, KeyKind::Note, 1)).unwrap();
    AddCheckpoint::try_new(3, vec![[1; 32], [2; 32]], signed).unwrap()
}

pub fn cosignature(by: &SigningKey) -> String {
    format!("{}\n", by.cosign(request().checkpoint().unverified(), 1_700_000_000).unwrap())
}

pub fn http(status: u16, kind: &str, body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body.as_bytes()].concat()
}

/// Gives the same answer to each request on each connection, and keeps what came last. Without an answer it says nothing.
pub struct Server {
    pub port: u16,
    pub heard: Arc<Mutex<Vec<u8>>>,
    serving: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Server {
    pub async fn start(answer: Option<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&heard);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                converse(stream, answer.as_deref(), &keep).await;
            }
        });
        Self { port, heard, serving }
    }

    pub async fn asked(&self, timeout: Duration) -> Result<NoteSignature, WitnessError> {
        ask(self.port, timeout).await
    }
}

/// Asks whoever listens there.
pub async fn ask(port: u16, timeout: Duration) -> Result<NoteSignature, WitnessError> {
    let prefix = format!("http://127.0.0.1:{port}/w/1");
    let config = HttpWitnessConfig { timeout, ..HttpWitnessConfig::new(prefix, witness_key().verifier().clone()) };
    HttpWitness::try_new(config).unwrap().add_checkpoint(&request()).await
}

/// Answers one request.
pub async fn converse(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: Option<&[u8]>, keep: &Mutex<Vec<u8>>) {
    let mut heard = Vec::new();
    let end = request().to_string();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&heard).ends_with(&end) {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(count) => heard.extend_from_slice(&buffer[..count]),
        }
    }
    *keep.lock().await = heard;
    match answer {
        // The client hangs up when it has had enough.
        Some(answer) => drop(stream.write_all(answer).await),
        None => drop(stream.read(&mut buffer).await),
    }
    drop(stream.shutdown().await);
}
