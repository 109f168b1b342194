//! Subscriptions over a WebSocket (graphql-transport-ws).
//!
//! ```text
//! upgrade ──▶ connection_init with the signed authorization ──▶ connection_ack ──▶ subscribe, next …, complete
//!                │ refused, late: closed                                            │ silent, not reading: closed
//! ```
//!
//! The signature is one over a GET request without a body: it says who reads. It covers no message, so only
//! subscriptions go over the WebSocket.

use async_graphql::{
    Data, Executor, Request, Response,
    http::{ClientMessage, WebSocket as GraphqlSocket, WebSocketProtocols, WsMessage},
};
use axum::{
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    response::{IntoResponse, Response as HttpResponse},
};
use futures::{
    SinkExt, Stream, StreamExt,
    stream::{self, BoxStream, SplitStream},
};
use serde::de::Error as _;
use std::{sync::Arc, time::Duration};
use tallystick_core::Coded;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    auth::Expected,
    document::{self, Transport},
    error::{self, EdgeError},
    http::Edge,
};

const PROTOCOL: &str = "graphql-transport-ws";
/// Close codes of the protocol.
const BAD_MESSAGE: u16 = 4400;
const FORBIDDEN: u16 = 4403;
const TOO_LATE: u16 = 4408;
/// What the GraphQL library closes with when a message or the authorization is refused.
const REFUSED_BY_LIBRARY: u16 = 1002;
/// A close frame holds 123 bytes of text (RFC 6455, section 5.5.1).
const REASON_BYTES_MAX: usize = 123;

/// Takes a WebSocket, if there is room for it.
pub(crate) fn accept(edge: Arc<Edge>, upgrade: WebSocketUpgrade) -> HttpResponse {
    let Ok(room) = Arc::clone(&edge.websockets).try_acquire_owned() else {
        return EdgeError::Busy.into_response();
    };
    let limit = edge.config.message_bytes_max;
    upgrade.protocols([PROTOCOL]).max_message_size(limit).max_frame_size(limit).on_upgrade(move |socket| async move {
        serve(edge, socket).await;
        drop(room);
    })
}

async fn serve(edge: Arc<Edge>, socket: WebSocket) {
    let (mut sink, incoming) = socket.split();
    let (init, idle) = (edge.config.init_timeout, edge.config.idle_timeout);
    let executor =
        Subscriber { edge: Arc::clone(&edge), room: Arc::new(Semaphore::new(edge.config.subscriptions_max)) };
    let outgoing =
        GraphqlSocket::from_message_stream(executor, messages(incoming, init, idle), WebSocketProtocols::GraphQLWS)
            .on_connection_init(
                move |payload| async move { authorise(&edge, &payload).map_err(|error| coded(&error)) },
            );
    tokio::pin!(outgoing);
    let mut pings = tokio::time::interval((idle / 3).max(Duration::from_millis(1)));
    loop {
        let message = tokio::select! {
            message = outgoing.next() => match message {
                Some(WsMessage::Text(text)) => Message::Text(text.into()),
                Some(WsMessage::Close(code, reason)) => close(code, &reason),
                None => close(TOO_LATE, "no word from you in time"),
            },
            _ = pings.tick() => Message::Ping(Vec::new().into()),
        };
        let last = matches!(message, Message::Close(_));
        // Who does not read is let go.
        let sent = timeout(idle, sink.send(message)).await.is_ok_and(|sent| sent.is_ok());
        if last || !sent {
            return;
        }
    }
}

/// The client's messages. They end when it is gone, silent for too long, or late to say who it is. Any frame counts as
/// a sign of life.
fn messages(
    incoming: SplitStream<WebSocket>,
    init: Duration,
    idle: Duration,
) -> impl Stream<Item = serde_json::Result<ClientMessage>> + Send {
    let introduce_by = Some(Instant::now() + init);
    stream::unfold((incoming, introduce_by), move |(mut incoming, introduce_by)| async move {
        loop {
            let until = introduce_by.unwrap_or_else(|| Instant::now() + idle);
            let message: serde_json::Result<ClientMessage> = match timeout_at(until, incoming.next()).await {
                Ok(Some(Ok(Message::Text(text)))) => serde_json::from_str(&text),
                Ok(Some(Ok(Message::Binary(bytes)))) => serde_json::from_slice(&bytes),
                Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                _ => return None,
            };
            let introduced = matches!(message, Ok(ClientMessage::ConnectionInit { .. }));
            // What the parser says quotes the message, and may be too long for a close frame.
            let message = message.map_err(|_| serde_json::Error::custom("this is no graphql-transport-ws message"));
            return Some((message, (incoming, introduce_by.filter(|_| !introduced))));
        }
    })
}

/// Who opens the WebSocket: the payload of `connection_init` carries what a header cannot in a browser.
fn authorise(edge: &Edge, payload: &serde_json::Value) -> Result<Data, EdgeError> {
    let header = payload.get("authorization").ok_or(EdgeError::AuthMissing)?;
    let header = header.as_str().ok_or(EdgeError::AuthMalformed("expected a string"))?;
    let expected = Expected { method: "GET", body: &[], payload: false };
    let signed = edge.authenticator.check(header, &expected, edge.app.clock().now())?;
    let mut data = Data::default();
    data.insert(edge.session(signed.author, None));
    Ok(data)
}

/// An error as the reason of a close frame: code and sentence.
fn coded(error: &EdgeError) -> async_graphql::Error {
    async_graphql::Error::new(format!("{}: {error}", error.code()))
}

fn close(code: u16, reason: &str) -> Message {
    let code = match code {
        REFUSED_BY_LIBRARY if reason.starts_with("auth.") || reason.starts_with("request.") => FORBIDDEN,
        REFUSED_BY_LIBRARY => BAD_MESSAGE,
        other => other,
    };
    let mut end = reason.len().min(REASON_BYTES_MAX);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    Message::Close(Some(CloseFrame { code, reason: reason[..end].into() }))
}

/// Runs the subscriptions of one WebSocket.
#[derive(Clone)]
struct Subscriber {
    edge: Arc<Edge>,
    room: Arc<Semaphore>,
}

impl Executor for Subscriber {
    async fn execute(&self, _request: Request) -> Response {
        refused(&EdgeError::OnlySubscriptions)
    }

    fn execute_stream(&self, mut request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        let limit = self.edge.config.subscriptions_max;
        let checked = match Arc::clone(&self.room).try_acquire_owned() {
            Ok(permit) => {
                document::check(&mut request, Transport::Websocket, self.edge.limits()).map(|()| (permit, session))
            }
            Err(_) => Err(EdgeError::TooManySubscriptions { limit }),
        };
        match checked {
            Ok((permit, Some(session))) => {
                let updates = self.edge.schema.execute_stream_with_session_data(request, session);
                updates
                    .map(move |mut response| {
                        let _held_as_long_as_the_stream = &permit;
                        error::complete(&mut response.errors);
                        response
                    })
                    .boxed()
            }
            Ok((_, None)) => stream::iter([refused(&EdgeError::AuthMissing)]).boxed(),
            Err(error) => stream::iter([refused(&error)]).boxed(),
        }
    }
}

fn refused(error: &EdgeError) -> Response {
    Response::from_errors(vec![error.to_server_error()])
}
