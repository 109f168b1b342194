//! What a client says, as far as it may.

use async_graphql::http::ClientMessage;
use axum::extract::ws::{Message, WebSocket};
use futures::{
    Stream, StreamExt,
    stream::{self, SplitStream},
};
use serde::de::Error as _;
use std::sync::Arc;
use tokio::time::{Instant, timeout_at};

use super::{reason, subscriber::Desk};
use crate::config::EdgeConfig;

/// The client's messages. They end when it is gone, silent for too long, or late to say who it is. Any frame counts as
/// a sign of life. An error closes the connection.
pub(super) fn messages(
    incoming: SplitStream<WebSocket>,
    desk: Arc<Desk>,
    config: &EdgeConfig,
) -> impl Stream<Item = serde_json::Result<ClientMessage>> + Send + use<> {
    let idle = config.idle_timeout;
    let introduce_by = Some(Instant::now() + config.init_timeout);
    stream::unfold((incoming, introduce_by), move |(mut incoming, introduce_by)| {
        let desk = Arc::clone(&desk);
        async move {
            loop {
                let until = introduce_by.unwrap_or_else(|| Instant::now() + idle);
                let message: serde_json::Result<ClientMessage> = match timeout_at(until, incoming.next()).await {
                    Ok(Some(Ok(Message::Text(text)))) => serde_json::from_str(&text),
                    Ok(Some(Ok(Message::Binary(bytes)))) => serde_json::from_slice(&bytes),
                    Ok(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => continue,
                    _ => return None,
                };
                let introduced = matches!(message, Ok(ClientMessage::ConnectionInit { .. }));
                let message = message.map_or_else(
                    // What the parser says quotes the message, and may be too long for a close frame.
                    |_| Err(serde_json::Error::custom("this is no graphql-transport-ws message")),
                    |message| desk.book(message).map_err(|error| serde_json::Error::custom(reason(&error))),
                );
                return Some((message, (incoming, introduce_by.filter(|_| !introduced))));
            }
        }
    })
}
