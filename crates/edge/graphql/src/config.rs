//! What an operator may set.

use axum::http::HeaderValue;
use ipnet::IpNet;
use std::time::Duration;

use crate::rate::RateLimits;

/// Addresses and limits of the edge.
#[derive(Clone, Debug)]
pub struct EdgeConfig {
    /// The absolute URLs of `/graphql` that a signed request may name (NIP-98, tag `u`), compared byte by byte.
    pub public_urls: Vec<String>,
    /// Web origins whose pages may call the edge; none by default.
    pub cors_origins: Vec<HeaderValue>,
    /// Bytes of a request's body. A command's is kept in the journal for good.
    pub body_bytes_max: usize,
    /// Bytes of the body of a request that takes a task: the largest that makes sense has eight tranches, with an invoice
    /// of 4,296 bytes each.
    pub acceptance_bytes_max: usize,
    /// Levels of fields in a query.
    pub depth_max: usize,
    /// Selections of a query, each counted as often as it is spread.
    pub selections_max: usize,
    /// Fields of a query, those of a list counted for each of its items.
    pub complexity_max: usize,
    /// Requests worked on at once; strangers get half.
    pub requests_max: usize,
    /// Requests of one key at once that are always worked on, if there is room.
    pub requests_per_key_max: usize,
    /// How often one key, and one address, may ask.
    pub rates: RateLimits,
    /// Proxies whose `X-Forwarded-For` tells where a request comes from.
    pub trusted_proxies: Vec<IpNet>,
    /// How long a request may take, its arrival included.
    pub request_timeout: Duration,
    /// Uploads and downloads of evidence at once: each may hold as many bytes in memory as a piece has.
    pub transfers_max: usize,
    /// The same of one key.
    pub transfers_per_key_max: usize,
    /// How long one may take.
    pub transfer_timeout: Duration,
    /// How old a signature may be.
    pub signature_age_max: tallystick_core::Duration,
    /// How far a signature's time may be ahead of the node's own.
    pub signature_ahead_max: tallystick_core::Duration,
    /// Signed reads remembered against replay; strangers get half. When there are more, new ones are refused for a
    /// moment.
    pub replay_memory_max: usize,
    /// Signed reads of one key that are always remembered, if there is room.
    pub replay_memory_per_key_max: usize,
    /// WebSockets open at once that have said who they are; strangers get half.
    pub websockets_max: usize,
    /// WebSockets of one key at once.
    pub websockets_per_key_max: usize,
    /// WebSockets open at once that have not said yet who they are. When one more comes, the oldest goes.
    pub websockets_unnamed_max: usize,
    /// Subscriptions on one WebSocket at once.
    pub subscriptions_max: usize,
    /// Subscriptions of one WebSocket that may be refused before it is closed.
    pub refusals_max: usize,
    /// Selections of a subscription, which runs for every change.
    pub subscription_selections_max: usize,
    /// Bytes of a message from a WebSocket.
    pub message_bytes_max: usize,
    /// How long a WebSocket may take to say who it is.
    pub init_timeout: Duration,
    /// How long a WebSocket may be silent, or not read. It is pinged three times in that span.
    pub idle_timeout: Duration,
}

impl EdgeConfig {
    /// Sane limits, for an edge that is reached under these URLs.
    pub fn new(public_urls: impl IntoIterator<Item = String>) -> Self {
        Self {
            public_urls: public_urls.into_iter().collect(),
            cors_origins: Vec::new(),
            body_bytes_max: 8 * 1024,
            acceptance_bytes_max: 64 * 1024,
            depth_max: 15,
            selections_max: 5_000,
            // A page of a hundred tasks as our client shows them, disputes and bonds included.
            complexity_max: 22_000,
            requests_max: 512,
            requests_per_key_max: 32,
            rates: RateLimits::default(),
            trusted_proxies: Vec::new(),
            request_timeout: Duration::from_secs(30),
            transfers_max: 8,
            transfers_per_key_max: 2,
            transfer_timeout: Duration::from_secs(300),
            signature_age_max: tallystick_core::Duration::from_secs(60),
            signature_ahead_max: tallystick_core::Duration::from_secs(10),
            replay_memory_max: 200_000,
            replay_memory_per_key_max: 256,
            websockets_max: 1_024,
            websockets_per_key_max: 16,
            websockets_unnamed_max: 256,
            subscriptions_max: 16,
            refusals_max: 32,
            subscription_selections_max: 200,
            message_bytes_max: 16 * 1024,
            init_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
        }
    }
}
