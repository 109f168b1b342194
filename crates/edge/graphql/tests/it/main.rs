//! The edge over real HTTP: a server on the loopback, the app over an in-memory journal and a simulated network.
#![allow(clippy::unwrap_used)] // In helpers as in tests: what fails, fails the test.

mod again;
mod asked;
mod auth;
mod bonds;
mod connections;
mod disputes;
mod documents;
mod evidence;
mod matrix;
mod milestones;
mod operator;
mod pages;
mod rates;
mod refusals;
mod roles;
mod schema;
mod standing;
mod story;
mod subscriptions;
mod tls;
mod world;
