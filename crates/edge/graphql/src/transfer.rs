//! Evidence, up and down.
//!
//! ```text
//! PUT /evidence/<task>/<dispute>/<hash> ─▶ auth (who, this URL, this hash) ─▶ length ─▶ may file it? ─▶ seat ─▶ body ─▶ vault
//! GET /evidence/<task>/<dispute>/<hash> ─▶ auth (who, this URL) ─▶ seat ─▶ may read it? ─▶ its bytes
//! ```
//!
//! The signature over an upload names its hash, which is also its name: nobody's body is read that could not be kept.

use axum::{
    Extension, Json,
    body::{Body, to_bytes},
    extract::{Path, State, rejection::PathRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde::Deserialize;
use std::{convert::Infallible, sync::Arc};
use tallystick_app::{port::evidence::Matter, vault::VaultError};
use tallystick_civics::dispute::{Dispute, EVIDENCE_BYTES_MAX};
use tallystick_core::{Digest32, Id};
use tallystick_escrow::Task;
use tallystick_http::{Guest, Peer};

use crate::{
    auth::Signed,
    edge::Edge,
    error::{EdgeError, Failure},
    http::{authorization, source},
    quota::Standing,
    source::Source,
};

/// Bytes of a download that are handed on at once.
const CHUNK_BYTES: usize = 64 << 10;

/// The name of a piece, as it stands in its address.
#[derive(Deserialize)]
pub(crate) struct Name {
    task: String,
    dispute: String,
    hash: String,
}

/// The same, read.
struct Place {
    path: String,
    matter: Matter,
    hash: Digest32,
}

impl Name {
    /// Nothing if it is not written as the node writes it: one piece has one address.
    fn read(self) -> Option<Place> {
        let Self { task, dispute, hash } = self;
        let (of, about) = (task.parse::<Id<Task>>().ok()?, dispute.parse::<Id<Dispute>>().ok()?);
        let read = hash.parse::<Digest32>().ok()?;
        let path = format!("/evidence/{of}/{about}/{read}");
        let same = path == format!("/evidence/{task}/{dispute}/{hash}");
        same.then_some(Place { path, matter: Matter { task: of, dispute: about }, hash: read })
    }
}

/// Why there is no transfer.
enum Refusal {
    Edge(EdgeError),
    Vault(VaultError),
}

impl From<EdgeError> for Refusal {
    fn from(error: EdgeError) -> Self {
        Self::Edge(error)
    }
}

impl From<VaultError> for Refusal {
    fn from(error: VaultError) -> Self {
        Self::Vault(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let error = match self {
            Self::Edge(error) => return error.into_response(),
            Self::Vault(error) => error,
        };
        let status = status(&error);
        let body = serde_json::json!({ "errors": [Failure::from(error).to_server_error()] });
        (status, Json(body)).into_response()
    }
}

fn status(error: &VaultError) -> StatusCode {
    match error {
        VaultError::NoDispute | VaultError::NoPiece { .. } => StatusCode::NOT_FOUND,
        VaultError::NotReader { .. } => StatusCode::FORBIDDEN,
        VaultError::OtherBytes { .. } => StatusCode::BAD_REQUEST,
        VaultError::App(_) => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::CONFLICT,
    }
}

/// Takes a piece.
pub(crate) async fn put(
    State(edge): State<Arc<Edge>>,
    name: Result<Path<Name>, PathRejection>,
    (guest, peer): (Option<Extension<Guest>>, Option<Extension<Peer>>),
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(place) = name.ok().and_then(|Path(name)| name.read()) else { return no_such_page() };
    let (guest, source) = (guest.map(|Extension(guest)| guest), source(&edge, peer, &headers));
    match tokio::time::timeout(
        edge.config.transfer_timeout,
        take(&edge, place, (guest.as_ref(), source), &headers, body),
    )
    .await
    {
        Ok(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => EdgeError::Timeout.into_response(),
    }
}

async fn take(
    edge: &Arc<Edge>,
    place: Place,
    (guest, source): (Option<&Guest>, Source),
    headers: &HeaderMap,
    body: Body,
) -> Result<(), Refusal> {
    let Place { path, matter, hash } = place;
    edge.rates.request_from(source)?;
    let signed = edge.authenticator.check_at(&path, authorization(headers)?, "PUT", edge.app.clock().now())?;
    edge.rates.request_by(signed.author, source)?;
    signed.has_payload(hash)?;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let length = length.ok_or(EdgeError::LengthRequired)?;
    let limit = usize::try_from(EVIDENCE_BYTES_MAX).unwrap_or(usize::MAX);
    let bytes = usize::try_from(length).ok().filter(|bytes| *bytes <= limit).ok_or(EdgeError::TooLarge { limit })?;
    admit(edge, &signed).await?;
    let author = signed.author;
    edge.vault.admit(author, matter, hash, length).await?;
    // Who may file evidence is a party of a task that holds money.
    let seat = edge.transfers.take(author, Standing::Known)?;
    let _kept = guest.and_then(Guest::keep);
    let content = to_bytes(body, bytes).await.map_err(|_| EdgeError::TooLarge { limit: bytes })?;
    let vault = edge.vault.clone();
    // On its own: a client that hangs up, or waits no longer, must not stop it halfway.
    let kept = tokio::spawn(async move {
        let kept = vault.upload(author, matter, hash, content.into()).await;
        drop(seat);
        kept
    });
    let kept = kept.await.map_err(|error| {
        tracing::error!("an upload broke off: {error}");
        EdgeError::Internal
    })?;
    Ok(kept?)
}

/// Gives a piece.
pub(crate) async fn get(
    State(edge): State<Arc<Edge>>,
    name: Result<Path<Name>, PathRejection>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Response {
    let Some(place) = name.ok().and_then(|Path(name)| name.read()) else { return no_such_page() };
    let source = source(&edge, peer, &headers);
    match tokio::time::timeout(edge.config.request_timeout, give(&edge, place, source, &headers)).await {
        Ok(Ok(response)) => response,
        Ok(Err(refusal)) => refusal.into_response(),
        Err(_) => EdgeError::Timeout.into_response(),
    }
}

async fn give(edge: &Arc<Edge>, place: Place, source: Source, headers: &HeaderMap) -> Result<Response, Refusal> {
    let Place { path, matter, hash } = place;
    edge.rates.request_from(source)?;
    let signed = edge.authenticator.check_at(&path, authorization(headers)?, "GET", edge.app.clock().now())?;
    edge.rates.request_by(signed.author, source)?;
    signed.without_body()?;
    admit(edge, &signed).await?;
    let seat = edge.admit(signed.author, |standing| edge.transfers.take(signed.author, standing)).await?;
    let content = Bytes::from(edge.vault.fetch(signed.author, matter, hash).await?);
    let length = content.len();
    let deadline = tokio::time::Instant::now() + edge.config.transfer_timeout;
    // The seat is taken until the last byte is handed on, or the time for it is over.
    let chunks = futures::stream::unfold((content, seat), move |(mut left, seat)| async move {
        let over = left.is_empty() || tokio::time::Instant::now() > deadline;
        (!over).then(|| {
            let chunk = left.split_to(left.len().min(CHUNK_BYTES));
            (Ok::<_, Infallible>(chunk), (left, seat))
        })
    });
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// A transfer is signed once like a read: it changes nothing that doing it again would change.
async fn admit(edge: &Edge, signed: &Signed) -> Result<(), EdgeError> {
    let (ticket, now) = (signed.ticket(), edge.app.clock().now());
    edge.admit(signed.author, |standing| edge.authenticator.admit_read(ticket, standing, now)).await
}

fn no_such_page() -> Response {
    EdgeError::NoSuchPage.into_response()
}
