//! The GraphQL edge: every request signed with NIP-98.
//!
//! ```text
//! POST /graphql ─▶ size ─▶ auth (who, this URL, this body, now, once) ─▶ document (size, one command) ─▶ schema ─▶ App
//! GET  /graphql ─▶ WebSocket ─▶ auth in connection_init ─▶ document (one subscription) ─▶ schema ─▶ App's updates
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | `http` | routes, from bytes to a checked request and back |
//! | `ws` | subscriptions over graphql-transport-ws |
//! | `auth`, `replay` | NIP-98: who signed what; each event once |
//! | `tokens`, `document` | the size and kind of a query, before parser and executor |
//! | `schema` | what can be asked, and by whom |
//! | `error` | stable codes, sentences, HTTP status |
//! | `sign`, `client` | the client's half |
//!
//! # Invariants
//! * Nothing is parsed as GraphQL that was not signed for this URL, this body and this minute.
//! * A signed request does one thing: one mutation field, once. What it did is recorded with the request itself.
//! * Every error has a stable code. What broke inside is logged, and told in general words.
//! * A client that hangs up stops no command halfway.
//! * Every input has a limit: bytes, brackets, tokens, levels, items, connections, time.
//! * Nothing here decides: whatever changes, changes on the app's one road.

#![forbid(unsafe_code)]

mod auth;
pub mod client;
mod config;
mod document;
mod error;
mod http;
mod replay;
mod schema;
pub mod sign;
mod tokens;
mod ws;

pub use config::EdgeConfig;
pub use error::{EdgeError, codes};
pub use http::router;
pub use schema::sdl;
