//! Asks a witness to cosign a checkpoint: the client of C2SP tlog-witness.
//!
//! [`HttpWitness`] implements the app's port, [`Witness`](tallystick_app::port::witness::Witness).
//!
//! ```text
//! config    where, whose key, how long      tls      the connection below
//! client    one request, its limits         answer   what a status and a body mean
//! ```
//!
//! # Invariants
//! * The answer is foreign bytes: its size and the time that it takes are limited.
//! * A cosignature that is answered was verified against the witness's key, over the checkpoint that was sent.
//! * TLS, unless the witness is on this machine or the configuration says otherwise. No redirect is followed, no proxy
//!   used.
//! * Nothing is tried again here: whoever asks knows when that makes sense.

#![forbid(unsafe_code)]

mod answer;
mod client;
mod config;
mod tls;

pub use client::HttpWitness;
pub use config::{ConfigError, HttpWitnessConfig};
