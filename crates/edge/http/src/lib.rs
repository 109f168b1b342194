//! Serving HTTP/1.1, for all edges alike.
//!
//! | module | what it does |
//! | --- | --- |
//! | `serve` | connections: how many, how slow, how they end |
//! | `lobby` | who gives way when there is no room |
//!
//! # Invariants
//! * Connections have a limit. One that has said nothing worth keeping it for gives way to a newer one.
//! * A request's header has a time limit; bodies are the router's business.

#![forbid(unsafe_code)]

mod lobby;
mod serve;

pub use lobby::{Guest, Kept, Lobby};
pub use serve::{Peer, ServeLimits, serve};
