//! The edge over real HTTP: a server on the loopback, the app over an in-memory journal and a simulated network.

mod auth;
mod operator;
mod pages;
mod refusals;
mod schema;
mod story;
mod subscriptions;
mod world;
