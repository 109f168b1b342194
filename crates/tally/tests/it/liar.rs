//! A server between a node and its clients that breaks one promise.

use anyhow::{Context, Result, ensure};
use axum::{
    Router,
    body::{Bytes, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, header},
};
use std::sync::{Arc, Mutex};
use tallystick_log::*;
use tokio::{net::TcpListener, task::JoinHandle};

/// The log's name under the liar's own key.
const ORIGIN: &str = "liar.example/log";
const BODY_BYTES_MAX: usize = 1 << 20;
/// How much longer the other history is.
const FORK_MORE: u64 = 50;

const WHOLE: &str = "nobody panics with the lock";

/// What is lied about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    None,
    /// The second checkpoint is of another history, with its tiles, and signed.
    Forked,
    /// One byte of the last entry of a bundle.
    Entry,
    /// No bundle of entries is served.
    NoEntries,
    /// The first checkpoint stays for ever, whatever is acknowledged.
    NotLogged,
    /// The first checkpoint comes back after a larger one.
    Back,
    /// No tile is the right one.
    Tile,
    /// Tasks are shown with another title.
    Terms,
    /// A repeated request is said to have changed something.
    Changed,
    /// Proofs are no proofs.
    Proof,
}

#[derive(Default)]
struct Told {
    first: Option<Bytes>,
    /// The size of the tree of the other history, once it was told.
    fork: Option<u64>,
    went_on: bool,
}

struct Ear {
    node: String,
    lie: Mutex<Lie>,
    told: Mutex<Told>,
    key: SigningKey,
    http: reqwest::Client,
}

/// The server. It ends when this is dropped.
pub struct Liar {
    pub url: String,
    ear: Arc<Ear>,
    server: JoinHandle<()>,
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Liar {
    /// Serves what the node at this address serves, on this listener.
    pub fn start(node: &str, listener: TcpListener) -> Result<Self> {
        let url = format!("http://{}/graphql", listener.local_addr()?);
        let ear = Arc::new(Ear {
            node: node.strip_suffix("/graphql").context("a node's address")?.to_owned(),
            lie: Mutex::new(Lie::None),
            told: Mutex::default(),
            key: SigningKey::try_from_seed(KeyName::try_new(ORIGIN)?, KeyKind::Note, &[3; 32])?,
            http: reqwest::Client::new(),
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&ear));
        let server = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        Ok(Self { url, ear, server })
    }

    /// Tells this lie from now on.
    pub fn tell(&self, lie: Lie) {
        *self.ear.lie.lock().expect(WHOLE) = lie;
        *self.ear.told.lock().expect(WHOLE) = Told::default();
    }

    /// The key with which it signs a history of its own.
    pub fn key(&self) -> &VerifierKey {
        self.ear.key.verifier()
    }
}

async fn answer(State(ear): State<Arc<Ear>>, request: Request) -> (StatusCode, Bytes) {
    let failed = |error: anyhow::Error| (StatusCode::BAD_GATEWAY, Bytes::from(format!("{error:#}")));
    ear.answer(request).await.unwrap_or_else(failed)
}

impl Ear {
    async fn answer(&self, request: Request) -> Result<(StatusCode, Bytes)> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, BODY_BYTES_MAX).await?;
        let path = parts.uri.path();
        let (status, bytes) = self.forward(&parts.method, path, &parts.headers, body).await?;
        self.lie(path, status, bytes)
    }

    async fn forward(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), reqwest::Error> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.node)).body(body);
        for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
            if let Some(value) = headers.get(&name) {
                request = request.header(name, value);
            }
        }
        let answer = request.send().await?;
        Ok((answer.status(), answer.bytes().await?))
    }

    fn lie(&self, path: &str, status: StatusCode, bytes: Bytes) -> Result<(StatusCode, Bytes)> {
        let lie = *self.lie.lock().expect(WHOLE);
        let mut told = self.told.lock().expect(WHOLE);
        let file = path.strip_prefix("/log/").map(LogPath::parse);
        let bytes = match (lie, file) {
            (Lie::Forked, Some(Ok(LogPath::Checkpoint))) => self.fork(&mut told, &bytes)?,
            (Lie::Forked, Some(Ok(LogPath::Tile(id)))) if told.fork.is_some() => {
                return Ok((StatusCode::OK, fake_leaves(id.width().into()).into()));
            }
            (Lie::Entry, Some(Ok(LogPath::Entries(_)))) => changed(bytes),
            (Lie::NoEntries, Some(Ok(LogPath::Entries(_)))) => return Ok((StatusCode::NOT_FOUND, Bytes::new())),
            (Lie::Tile, Some(Ok(LogPath::Tile(_)))) => changed(bytes),
            (Lie::NotLogged, Some(Ok(LogPath::Checkpoint))) => told.first.get_or_insert(bytes).clone(),
            (Lie::Back, Some(Ok(LogPath::Checkpoint))) => back(&mut told, bytes),
            (Lie::Terms, None) => replaced(&bytes, r#""title":"Load"#, r#""title":"Lead"#),
            (Lie::Changed, None) => replaced(&bytes, r#""changed":false"#, r#""changed":true"#),
            (Lie::Proof, None) => replaced(&bytes, r#""bundle":"c2sp"#, r#""bundle":"C2SP"#),
            _ => bytes,
        };
        Ok((status, bytes))
    }

    /// The node's own first checkpoint, under the liar's key; then one of another history.
    fn fork(&self, told: &mut Told, note: &[u8]) -> Result<Bytes> {
        let own = SignedCheckpoint::parse(note)?;
        let (size, root) = match told.first {
            None => (own.unverified().size(), *own.unverified().root()),
            Some(_) => {
                let size = *told.fork.get_or_insert(own.unverified().size() + FORK_MORE);
                ensure!(size < u64::from(TILE_WIDTH), "one tile is enough");
                let leaves = fake_leaves(usize::try_from(size)?);
                (size, root_of_hashes(leaves.as_chunks::<HASH_BYTES>().0))
            }
        };
        let checkpoint = Checkpoint::try_new(ORIGIN, size, root)?;
        let signed = Bytes::from(SignedCheckpoint::sign(checkpoint, &self.key)?.to_string());
        told.first.get_or_insert(signed.clone());
        Ok(signed)
    }
}

/// The leaves of the other history.
fn fake_leaves(count: usize) -> Vec<u8> {
    (0..count).map(|at| leaf_hash(format!("another history {at}").as_bytes())).collect::<Vec<_>>().concat()
}

/// Forwards until there is something newer than the first; then the first.
fn back(told: &mut Told, note: Bytes) -> Bytes {
    let first = told.first.get_or_insert(note.clone()).clone();
    if told.went_on {
        return first;
    }
    told.went_on = first != note;
    note
}

fn changed(bytes: Bytes) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    bytes.into()
}

fn replaced(bytes: &Bytes, from: &str, to: &str) -> Bytes {
    String::from_utf8_lossy(bytes).replace(from, to).into()
}
