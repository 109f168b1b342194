//! What an operator may set.

use axum::http::HeaderValue;
use std::{collections::BTreeSet, time::Duration};
use tallystick_core::NostrKey;

/// Addresses, operators and limits of the edge.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// The absolute URLs of `/graphql` that a signed request may name (NIP-98, tag `u`), compared byte by byte.
    pub public_urls: Vec<String>,
    /// Who may see and use the Lightning node itself.
    pub operators: BTreeSet<NostrKey>,
    /// Web origins whose pages may call the edge; none by default.
    pub cors_origins: Vec<HeaderValue>,
    /// Bytes of a request's body.
    pub body_bytes_max: usize,
    /// Levels of fields in a query.
    pub depth_max: usize,
    /// Fields of a query, those of a list counted for each of its items.
    pub complexity_max: usize,
    /// Requests worked on at once.
    pub requests_max: usize,
    /// How long a request may take, its arrival included.
    pub request_timeout: Duration,
    /// How far a signature's time may be from the node's own, both ways.
    pub clock_skew: tallystick_core::Duration,
    /// Signed requests remembered against replay. When there are more, new ones are refused for a moment.
    pub replay_memory_max: usize,
    /// WebSockets open at once.
    pub websockets_max: usize,
    /// Subscriptions on one WebSocket at once.
    pub subscriptions_max: usize,
    /// Bytes of a message from a WebSocket.
    pub message_bytes_max: usize,
    /// How long a WebSocket may take to say who it is.
    pub init_timeout: Duration,
    /// How long a WebSocket may be silent, or not read. It is pinged three times in that span.
    pub idle_timeout: Duration,
}

impl EdgeConfig {
    /// Sane limits, no operators, for an edge that is reached under these URLs.
    pub fn new(public_urls: impl IntoIterator<Item = String>) -> Self {
        Self {
            public_urls: public_urls.into_iter().collect(),
            operators: BTreeSet::new(),
            cors_origins: Vec::new(),
            body_bytes_max: 256 * 1024,
            depth_max: 15,
            complexity_max: 5_000,
            requests_max: 512,
            request_timeout: Duration::from_secs(30),
            clock_skew: tallystick_core::Duration::from_secs(60),
            replay_memory_max: 200_000,
            websockets_max: 1_024,
            subscriptions_max: 16,
            message_bytes_max: 16 * 1024,
            init_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
        }
    }
}
