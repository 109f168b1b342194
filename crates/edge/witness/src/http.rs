//! The call `add-checkpoint` over HTTP.

use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tallystick_http::Guest;
use tallystick_log::{NoteSignature, REQUEST_BYTES_MAX};
use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use crate::{Refusal, Witness};

/// What requests may take.
#[derive(Clone, Copy, Debug)]
pub struct WitnessLimits {
    /// How long a request may take, its arrival included. A record that is being written is written to its end.
    pub request_timeout: Duration,
    /// Requests at once that wait for their log or for the disk; more wait before that.
    pub cosigning_max: usize,
    /// Those of them about one log. Anyone can ask about a log whose checkpoints are public: however many do, the others
    /// have room.
    pub cosigning_one_max: usize,
}

impl Default for WitnessLimits {
    fn default() -> Self {
        Self { request_timeout: Duration::from_secs(10), cosigning_max: 32, cosigning_one_max: 4 }
    }
}

struct Edge {
    witness: Arc<Witness>,
    limits: WitnessLimits,
    cosigning: Arc<Semaphore>,
    /// The same for each log.
    each: BTreeMap<String, Arc<Semaphore>>,
}

/// The witness as a service: `POST <path>/add-checkpoint`, where `path` is that of the submission prefix, empty or
/// beginning with a slash; and `GET /health`.
pub fn router(witness: Arc<Witness>, path: &str, limits: WitnessLimits) -> Router {
    let cosigning = Arc::new(Semaphore::new(limits.cosigning_max));
    let one = |origin: &str| (origin.to_owned(), Arc::new(Semaphore::new(limits.cosigning_one_max)));
    let each = witness.origins().map(one).collect();
    Router::new()
        .route(&format!("{}/add-checkpoint", path.trim_end_matches('/')), post(add_checkpoint))
        .route("/health", get(health))
        .with_state(Arc::new(Edge { witness, limits, cosigning, each }))
}

async fn health(State(edge): State<Arc<Edge>>) -> Response {
    if edge.witness.has_failed() { Refusal::Stopped.into_response() } else { "ok\n".into_response() }
}

async fn add_checkpoint(State(edge): State<Arc<Edge>>, guest: Option<Extension<Guest>>, body: Body) -> Response {
    let guest = guest.map(|Extension(guest)| guest);
    match timeout(edge.limits.request_timeout, answer(&edge, guest.as_ref(), body)).await {
        Ok(Ok(line)) => {
            (StatusCode::OK, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], format!("{line}\n")).into_response()
        }
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => Refusal::Timeout.into_response(),
    }
}

async fn answer(edge: &Edge, guest: Option<&Guest>, body: Body) -> Result<NoteSignature, Refusal> {
    let body = to_bytes(body, REQUEST_BYTES_MAX).await.map_err(|_| Refusal::TooLarge)?;
    let admitted = edge.witness.admit(&body)?;
    let one = edge.each.get(admitted.origin()).ok_or(Refusal::UnknownLog)?;
    let turn = Arc::clone(one).acquire_owned().await.map_err(|_| Refusal::Stopped)?;
    // Not before: whoever has nothing that a log signed, or one of many with the same, gives way.
    let _kept = guest.and_then(Guest::keep);
    let permit = Arc::clone(&edge.cosigning).acquire_owned().await.map_err(|_| Refusal::Stopped)?;
    let witness = Arc::clone(&edge.witness);
    // On its own: a client that hangs up, or waits no longer, must not stop a write halfway.
    let cosigning = spawn_blocking(move || {
        let _permits = (turn, permit);
        witness.cosign(&admitted)
    });
    cosigning.await.unwrap_or(Err(Refusal::Stopped))
}
