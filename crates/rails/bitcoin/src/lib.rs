//! Bitcoin Core's JSON-RPC, as far as the node needs it.
//!
//! [`RpcClient`] talks to a Bitcoin Core, or to anything that answers like one (the devnet does), over plain HTTP
//! with Basic authentication: the RPC port of a Bitcoin Core never leaves its machine or its private network.
//!
//! ```text
//! config    where, who, how long           types/  the answers, in the units of `bitcoin`
//! client    one request, its limits        methods one function per RPC method
//! error     what can go wrong, with codes
//! ```
//!
//! # Invariants
//!
//! * The answer is foreign bytes: its size and the time that it takes are limited, a block header must hash to what was
//!   asked for, and nothing in it can make the client panic.
//! * No credential is in an error, a log line or a `Debug` output.
//! * Only requests that change nothing are retried, a few times, and only when no answer came.

mod client;
mod config;
mod error;
mod methods;
pub mod types;

pub use client::RpcClient;
pub use config::{RpcAuth, RpcConfig};
pub use error::RpcError;
pub use methods::EstimateMode;
