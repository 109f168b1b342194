//! The GraphQL edge: every request signed with NIP-98.
//!
//! ```text
//! POST /graphql ─▶ rate ─▶ auth (who, this URL, now) ─▶ size ─▶ this body ─▶ quota ─▶ document (one command) ─▶ schema ─▶ App
//! GET  /graphql ─▶ WebSocket ─▶ auth in connection_init ─▶ quota ─▶ document (one subscription) ─▶ schema ─▶ updates
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | `http` | routes, from bytes to a checked request and back |
//! | `transfer` | evidence, up and down |
//! | `ws` | subscriptions over graphql-transport-ws |
//! | `auth`, `replay` | NIP-98: who signed what; each event once |
//! | `edge`, `quota` | who gets room when there is little |
//! | `rate`, `source` | how often one key and one address may ask, and where a request comes from |
//! | `tokens`, `document`, `introspection` | the size and kind of a query, before parser and executor |
//! | `schema` | what can be asked, and by whom |
//! | `error` | stable codes, sentences, HTTP status |
//! | `asked` | what signed requests that facts name ask for |
//! | `sign`, `client`, `evidence`, `posting`, `acceptance` | the client's half |
//!
//! # Invariants
//! * No body is read before a good signature, and nothing is parsed as GraphQL that was not signed for this URL, this body and this minute.
//! * A signed request does one thing: one mutation field, once. What it did is recorded with the request itself.
//! * Every error has a stable code. What broke inside is logged, and told in general words.
//! * A client that hangs up stops no command halfway.
//! * Nobody can lock out the parties of a task that holds money, nor the panel of a dispute: strangers together get half of each
//!   limited thing.
//! * Every input has a limit: bytes, brackets, tokens, levels, items, connections, time.
//! * Nothing here decides: whatever changes, changes on the app's one road.

#![forbid(unsafe_code)]

mod acceptance;
mod asked;
mod auth;
pub mod client;
mod config;
mod document;
mod edge;
mod error;
mod evidence;
mod http;
mod introspection;
mod panels;
mod posting;
mod quota;
mod rate;
mod replay;
mod schema;
pub mod sign;
mod source;
mod tokens;
mod transfer;
mod ws;

pub use acceptance::{Acceptance, BondOffer, RenewalOffer};
pub use asked::Requests;
pub use config::EdgeConfig;
pub use error::{EdgeError, codes};
pub use http::router;
pub use posting::Posting;
pub use rate::{Rate, RateLimits};
pub use schema::sdl;
/// How connections are served.
pub use tallystick_http::{ServeLimits, serve};
