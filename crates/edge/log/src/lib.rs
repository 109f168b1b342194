//! The log as static files over HTTP (C2SP tlog-tiles), for everybody and every cache.
//!
//! | path below `/log/` | what it is | how long it holds |
//! | --- | --- | --- |
//! | `checkpoint` | the published checkpoint, a signed note with its cosignatures | changes |
//! | `tile/<L>/<N>[.p/<W>]` | hashes of the tree | for ever |
//! | `tile/entries/<N>[.p/<W>]` | entries: facts as everybody may see them | for ever |
//! | `vkey` | the log's key (C2SP signed-note), for convenience: whoever relies on it got it from elsewhere | changes |
//! | `proof/<SEQ>` | the proof that fact `SEQ` is under the published checkpoint (C2SP tlog-proof) | changes |
//!
//! Nothing is signed or asked for here, so nothing is counted by key: requests that read at once are limited together.
//!
//! # Invariants
//! * What is served under a path that holds for ever is the same bytes for ever. Erasing changes none.
//! * A path has one spelling, as it stands in the request: another, with percent signs or a query, is not found, so that
//!   nobody reads through a cache as often as there are spellings.

#![forbid(unsafe_code)]

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use std::sync::Arc;
use tallystick_app::{
    log::{LogReader, TreeError},
    port::journal::StoreError,
};
use tallystick_core::{Coded, canonical};
use tallystick_log::{LogPath, VerifierKey};
use tokio::sync::Semaphore;

/// Requests that read the store at once; more wait for a moment. The store has few readers, and whoever's money is held
/// needs them too.
const READS_MAX: usize = 2;
/// How long a request waits for its turn.
const WAIT_MAX: std::time::Duration = std::time::Duration::from_secs(5);
/// For what never changes.
const FOR_EVER: &str = "public, max-age=31536000, immutable";
/// For what does: a cache may keep it, and asks each time whether it is still the same.
const ASK_AGAIN: &str = "public, no-cache";
/// For the checkpoint, which is asked for the most: no older than the next one is likely to be.
const A_SECOND: &str = "public, max-age=1";

#[derive(Clone)]
struct Edge {
    log: LogReader,
    key: Arc<VerifierKey>,
    reads: Arc<Semaphore>,
}

/// The log below `/log/`, whose checkpoints this key signs.
pub fn router(log: LogReader, key: VerifierKey) -> Router {
    let edge = Edge { log, key: Arc::new(key), reads: Arc::new(Semaphore::new(READS_MAX)) };
    Router::new().route("/log/{*path}", get(file)).with_state(edge)
}

async fn file(State(edge): State<Edge>, uri: Uri, headers: HeaderMap) -> Response {
    let Some(asked) = Asked::read(&uri) else { return not_found() };
    if asked == Asked::Key {
        return File::text(format!("{}\n", edge.key.to_vkey()).into_bytes()).respond(&headers);
    }
    let Ok(Ok(_turn)) = tokio::time::timeout(WAIT_MAX, edge.reads.acquire()).await else {
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], "busy\n").into_response();
    };
    match find(&edge.log, asked).await {
        Ok(Some(file)) => file.respond(&headers),
        Ok(None) => not_found(),
        Err(error) => {
            tracing::error!(code = %error.code(), path = uri.path(), "the log cannot be served: {error}");
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "5")], "the log cannot be read\n").into_response()
        }
    }
}

/// What a path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Key,
    Proof(u64),
    File(LogPath),
}

impl Asked {
    /// Reads a path as it was sent. Nothing if it is none, or another spelling of one.
    fn read(uri: &Uri) -> Option<Self> {
        let path = uri.path().strip_prefix("/log/").filter(|_| uri.query().is_none())?;
        match path.strip_prefix("proof/") {
            Some(seq) => seq.parse().ok().filter(|number: &u64| number.to_string() == seq).map(Self::Proof),
            None if path == "vkey" => Some(Self::Key),
            None => LogPath::parse(path).ok().map(Self::File),
        }
    }
}

/// Something to be served.
struct File {
    bytes: Vec<u8>,
    content_type: &'static str,
    cache: &'static str,
}

impl File {
    fn text(bytes: Vec<u8>) -> Self {
        Self { bytes, content_type: "text/plain; charset=utf-8", cache: ASK_AGAIN }
    }

    fn binary(bytes: Vec<u8>) -> Self {
        Self { bytes, content_type: "application/octet-stream", cache: FOR_EVER }
    }

    /// The file; or only that it is the one that the client has (RFC 9110, 13.1.2). A cache that packs what it passes on
    /// marks the tag as weak.
    fn respond(self, asked: &HeaderMap) -> Response {
        let tag = format!("\"{}\"", canonical::sha256(&self.bytes));
        let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let known = known.flat_map(|value| value.split(',')).map(str::trim);
        let known = known.map(|value| value.strip_prefix("W/").unwrap_or(value)).any(|value| value == tag);
        let headers = [
            (header::CONTENT_TYPE, self.content_type),
            (header::CACHE_CONTROL, self.cache),
            (header::ETAG, &tag),
            // Public for whatever page wants to check it.
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        ];
        if known {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, self.bytes).into_response()
    }
}

/// What was asked for. Nothing if the tree has not come so far.
async fn find(log: &LogReader, asked: Asked) -> Result<Option<File>, TreeError> {
    Ok(match asked {
        Asked::Key => None,
        Asked::Proof(seq) => proof(log, seq).await?,
        Asked::File(LogPath::Checkpoint) => {
            log.checkpoint().await?.map(|note| File { cache: A_SECOND, ..File::text(note) })
        }
        Asked::File(LogPath::Tile(id)) => log.tile(id).await?.map(File::binary),
        Asked::File(LogPath::Entries(id)) => log.entries(id).await?.map(File::binary),
    })
}

async fn proof(log: &LogReader, seq: u64) -> Result<Option<File>, TreeError> {
    match log.prove(seq).await {
        Ok((_, bundle)) => Ok(Some(File::text(bundle.to_string().into_bytes()))),
        Err(TreeError::NotYet { .. }) => Ok(None),
        Err(TreeError::Store(StoreError::Limit(_))) => Ok(None),
        Err(error) => Err(error),
    }
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, [(header::CACHE_CONTROL, "no-store")], "not found\n").into_response()
}

#[cfg(test)]
mod tests;
