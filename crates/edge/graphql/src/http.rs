//! Requests over HTTP: from bytes to a checked GraphQL request and back.

use async_graphql::{Request, Response, ServerError, Variables, parser::types::OperationType};
use axum::{
    Extension, Json, Router,
    body::{Body, to_bytes},
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Response as HttpResponse},
    routing::get,
};
use serde::Deserialize;
use std::sync::{Arc, LazyLock};
use tallystick_app::{App, port::operator::NodeOperator, vault::Vault};
use tallystick_core::BlockHeight;
use tallystick_http::{Guest, Peer};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::{
    acceptance,
    config::EdgeConfig,
    document::{self, Transport},
    edge::Edge,
    error::{self, EdgeError},
    schema::{self, Services},
    source::Source,
    transfer, ws,
};

/// The schema does not change while the process runs.
static SDL: LazyLock<String> = LazyLock::new(schema::sdl);

/// The edge as a service: `POST /graphql` for signed queries and mutations, `GET /graphql` for WebSockets with
/// subscriptions, `PUT` and `GET` of `/evidence/<task>/<dispute>/<hash>`, `GET /schema.graphql`, and `GET /health`.
pub fn router(config: EdgeConfig, app: App, vault: Vault, operator: Arc<dyn NodeOperator>) -> Router {
    let cors = CorsLayer::new()
        .allow_origin(AllowOrigin::list(config.cors_origins.clone()))
        .allow_methods([Method::GET, Method::POST, Method::PUT])
        .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE]);
    let edge = Edge::new(config, Services { app, vault, operator });
    Router::new()
        .route("/graphql", get(upgrade).post(graphql))
        .route("/evidence/{task}/{dispute}/{hash}", get(transfer::get).put(transfer::put))
        .route("/health", get(health))
        .route("/schema.graphql", get(sdl))
        .fallback(no_such_page)
        .method_not_allowed_fallback(no_such_page)
        .layer(cors)
        .with_state(Arc::new(edge))
}

async fn health(State(edge): State<Arc<Edge>>) -> HttpResponse {
    let BlockHeight(height) = edge.app.height();
    let (status, word) = match height {
        0 => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
        // Whoever has begun something must still be let through.
        _ if !edge.app.is_sound() => (StatusCode::OK, "damaged"),
        _ if edge.app.stands_still() => (StatusCode::OK, "stands still"),
        _ if edge.app.is_away() => (StatusCode::OK, "away"),
        _ => (StatusCode::OK, "ok"),
    };
    (status, Json(serde_json::json!({ "status": word, "height": height }))).into_response()
}

async fn sdl() -> HttpResponse {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], SDL.as_str()).into_response()
}

async fn no_such_page() -> HttpResponse {
    EdgeError::NoSuchPage.into_response()
}

async fn upgrade(
    State(edge): State<Arc<Edge>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> HttpResponse {
    let source = source(&edge, peer, &headers);
    match (edge.rates.request_from(source), upgrade) {
        (Err(error), _) => error.into_response(),
        (Ok(()), Ok(upgrade)) => ws::accept(edge, upgrade, source),
        (Ok(()), Err(_)) => EdgeError::NeedsWebsocket.into_response(),
    }
}

pub(crate) fn source(edge: &Edge, peer: Option<Extension<Peer>>, headers: &HeaderMap) -> Source {
    let address = peer.map(|Extension(Peer(address))| address.ip());
    Source::read(address, headers, &edge.config.trusted_proxies)
}

async fn graphql(
    State(edge): State<Arc<Edge>>,
    guest: Option<Extension<Guest>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    body: Body,
) -> HttpResponse {
    let guest = guest.map(|Extension(guest)| guest);
    let source = source(&edge, peer, &headers);
    let answer = answer(&edge, (guest.as_ref(), source), &headers, body);
    match tokio::time::timeout(edge.config.request_timeout, answer).await {
        Ok(Ok(response)) => to_http(response),
        Ok(Err(error)) => error.into_response(),
        Err(_) => EdgeError::Timeout.into_response(),
    }
}

async fn answer(
    edge: &Arc<Edge>,
    (guest, source): (Option<&Guest>, Source),
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, EdgeError> {
    edge.rates.request_from(source)?;
    let signed = edge.authenticator.check(authorization(headers)?, "POST", edge.app.clock().now())?;
    edge.rates.request_by(signed.author, source)?;
    // Not before: who does not sign takes no memory. And not after the seat: who sends slowly takes no room from others.
    let limit = edge.config.acceptance_bytes_max;
    let body = to_bytes(body, limit).await.map_err(|_| EdgeError::TooLarge { limit })?;
    let (ticket, at) = (signed.ticket(), signed.at);
    let signed = signed.with_body(&body)?;
    let seat = edge.admit(signed.author, |standing| edge.requests.take(signed.author, standing)).await?;
    // Not before: seats are counted by key, so that no crowd of strangers can have all connections kept.
    let _kept = guest.and_then(Guest::keep);
    let mut request = read(&body)?;
    let kind = document::check(&mut request, Transport::Post, edge.limits(Transport::Post))?;
    if kind == OperationType::Mutation && acceptance::has_invoices(&mut request) {
        edge.rates.invoices(signed.author, source)?;
    }
    let limit = edge.config.body_bytes_max;
    if body.len() > limit && !acceptance::is_acceptance(&mut request) {
        return Err(EdgeError::TooLarge { limit });
    }
    // A mutation is remembered by the journal, in the app, so that no crowd of readers can keep it out.
    if kind == OperationType::Query {
        let now = edge.app.clock().now();
        edge.admit(ticket.author, |standing| edge.authenticator.admit_read(ticket, standing, now)).await?;
    }
    let request = request.data(edge.session(signed.author, Some(schema::Request { signed, at })));
    let schema = edge.schema.clone();
    // On its own: a client that hangs up, or waits no longer, must not stop a command halfway.
    let running = tokio::spawn(async move {
        let response = schema.execute(request).await;
        drop(seat);
        response
    });
    let mut response = running.await.map_err(|error| {
        tracing::error!("a request broke off: {error}");
        EdgeError::Internal
    })?;
    error::complete(&mut response.errors, edge.config.complexity_max);
    Ok(response)
}

/// The one `Authorization` header.
pub(crate) fn authorization(headers: &HeaderMap) -> Result<&str, EdgeError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(EdgeError::AuthMissing)?;
    if values.next().is_some() {
        return Err(EdgeError::AuthMalformed("there may be one `Authorization` header"));
    }
    value.to_str().map_err(|_| EdgeError::AuthMalformed("this is no base64"))
}

/// A GraphQL request as clients send it (GraphQL over HTTP). Extensions may be there, and empty: a command's body is
/// kept for good, so that nothing is taken that nobody reads.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct PostBody {
    query: String,
    operation_name: Option<String>,
    variables: Option<serde_json::Map<String, serde_json::Value>>,
    extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

/// The GraphQL request in a body.
pub(crate) fn read(body: &[u8]) -> Result<Request, EdgeError> {
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Err(EdgeError::Batch);
    }
    let body: PostBody = serde_json::from_slice(body).map_err(|error| EdgeError::BadJson(error.to_string()))?;
    if body.extensions.is_some_and(|extensions| !extensions.is_empty()) {
        return Err(EdgeError::Extensions);
    }
    let mut request = Request::new(body.query);
    request.operation_name = body.operation_name;
    if let Some(variables) = body.variables {
        request.variables = Variables::from_json(serde_json::Value::Object(variables));
    }
    Ok(request)
}

/// Errors that kept the query from running are the client's: status 400. What ran is 200, errors of fields included.
fn to_http(response: Response) -> HttpResponse {
    let refused = |error: &ServerError| {
        let code = error.extensions.as_ref().and_then(|values| values.get("code"));
        matches!(code, Some(async_graphql::Value::String(code)) if code.starts_with("graphql."))
    };
    let ran = response.data != async_graphql::Value::Null || !response.errors.iter().any(refused);
    let status = if ran { StatusCode::OK } else { StatusCode::BAD_REQUEST };
    (status, Json(response)).into_response()
}

impl IntoResponse for EdgeError {
    fn into_response(self) -> HttpResponse {
        let body = serde_json::json!({ "errors": [self.to_server_error()] });
        let retry_after = self.retry_after().map(|secs| [(header::RETRY_AFTER, secs.to_string())]);
        (self.status(), retry_after, Json(body)).into_response()
    }
}
