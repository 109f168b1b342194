//! Subscriptions over a WebSocket (graphql-transport-ws).
//!
//! ```text
//! upgrade ──▶ connection_init with the signed authorization ──▶ connection_ack ──▶ subscribe, next …, complete
//!                │ refused, late: closed                                            │ silent, not reading: closed
//! ```
//!
//! The signature is one over a GET request without a body: it says who reads. It covers no message, so only
//! subscriptions go over the WebSocket.

mod incoming;
mod subscriber;

use async_graphql::{
    Data,
    http::{WebSocket as GraphqlSocket, WebSocketProtocols, WsMessage},
};
use axum::{
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket},
    },
    response::{IntoResponse, Response as HttpResponse},
};
use futures::{SinkExt, StreamExt};
use std::{sync::Arc, time::Duration};
use tallystick_core::Coded;
use tallystick_http::Guest;
use tokio::time::timeout;

use crate::{edge::Edge, error::EdgeError, source::Source};
use subscriber::Subscriber;

const PROTOCOL: &str = "graphql-transport-ws";
/// Close codes of the protocol.
const BAD_MESSAGE: u16 = 4400;
const FORBIDDEN: u16 = 4403;
const TOO_LATE: u16 = 4408;
const DUPLICATE: u16 = 4409;
/// What the GraphQL library closes with when a message or the authorization is refused.
const REFUSED_BY_LIBRARY: u16 = 1002;
/// A close frame holds 123 bytes of text (RFC 6455, section 5.5.1).
const REASON_BYTES_MAX: usize = 123;

/// Takes a WebSocket. When there is no room for one more that has not said yet who it is, the oldest of them goes.
pub(crate) fn accept(edge: Arc<Edge>, upgrade: WebSocketUpgrade, source: Source) -> HttpResponse {
    let Some(unnamed) = edge.unnamed.try_enter() else { return EdgeError::Busy.into_response() };
    let limit = edge.config.message_bytes_max;
    upgrade
        .protocols([PROTOCOL])
        .max_message_size(limit)
        .max_frame_size(limit)
        .on_upgrade(move |socket| serve(edge, socket, (unnamed, source)))
}

async fn serve(edge: Arc<Edge>, socket: WebSocket, (unnamed, source): (Guest, Source)) {
    let (mut sink, incoming) = socket.split();
    let idle = edge.config.idle_timeout;
    let subscriber = Subscriber::new(Arc::clone(&edge));
    let dismissal = unnamed.dismissal();
    let messages = incoming::messages(incoming, subscriber.desk(), &edge.config);
    let outgoing = GraphqlSocket::from_message_stream(subscriber, messages, WebSocketProtocols::GraphQLWS)
        .on_connection_init(move |payload| async move {
            authorise(&edge, &payload, (unnamed, source))
                .await
                .map_err(|error| async_graphql::Error::new(reason(&error)))
        });
    tokio::pin!(outgoing);
    let mut pings = tokio::time::interval((idle / 3).max(Duration::from_millis(1)));
    loop {
        let message = tokio::select! {
            message = outgoing.next() => match message {
                Some(WsMessage::Text(text)) => Message::Text(text.into()),
                Some(WsMessage::Close(code, reason)) => close(code, &reason),
                None => close(TOO_LATE, "no word from you in time"),
            },
            () = dismissal.notified() => close(REFUSED_BY_LIBRARY, &reason(&EdgeError::Busy)),
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

/// Who opens the WebSocket: the payload of `connection_init` carries what a header cannot in a browser. From then on it
/// takes its key's room, and no longer that of those who have not said who they are.
async fn authorise(
    edge: &Edge,
    payload: &serde_json::Value,
    (unnamed, source): (Guest, Source),
) -> Result<Data, EdgeError> {
    let header = payload.get("authorization").ok_or(EdgeError::AuthMissing)?;
    let header = header.as_str().ok_or(EdgeError::AuthMalformed("expected a string"))?;
    let now = edge.app.clock().now();
    let signed = edge.authenticator.check(header, "GET", now)?;
    signed.without_body()?;
    let (author, ticket) = (signed.author, signed.ticket());
    edge.rates.request_by(author, source)?;
    edge.admit(author, |standing| edge.authenticator.admit_read(ticket, standing, now)).await?;
    let seat = edge.admit(author, |standing| edge.websockets.take(author, standing)).await?;
    drop(unnamed);
    let mut data = Data::default();
    data.insert(edge.session(author, None));
    // The library keeps the data as long as the connection.
    data.insert(seat);
    Ok(data)
}

/// An error as the reason of a close frame: code and sentence.
fn reason(error: &EdgeError) -> String {
    format!("{}: {error}", error.code())
}

fn close(code: u16, reason: &str) -> Message {
    let code = match code {
        REFUSED_BY_LIBRARY if reason.starts_with(EdgeError::DuplicateSubscription.code().0) => DUPLICATE,
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
