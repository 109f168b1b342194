//! Looks at the API from where its users stand: through its own listener, and through whatever is before it.

use anyhow::{Context, Result};
use async_trait::async_trait;
use futures::future::join_all;
use nostr::key::Keys;
use serde_json::json;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use tallystick_app::port::entrance::Entrance;
use tallystick_core::Coded;
use tallystick_graphql::{
    EdgeError,
    client::{Client, ClientError, Options},
};

/// Longer than that nobody likes to wait.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// The least that can be asked.
const QUESTION: &str = "{ __typename }";

/// The addresses of a node's API, each tried as a stranger tries it: with a new connection, and a key that nobody knows.
pub struct Front {
    doors: Vec<Client>,
    is_closed: AtomicBool,
}

impl Front {
    /// Of an API at these addresses.
    ///
    /// # Errors
    /// If one is no URL, or there are no root certificates for `https`.
    pub fn new(urls: impl IntoIterator<Item = String>) -> Result<Self> {
        // What a configuration names is asked, with TLS or without.
        let options = Options { insecure: true, reconnect: true, ..Options::default() };
        let keys = Keys::generate();
        let doors = urls.into_iter().map(|url| {
            let client = Client::with_options(&url, keys.clone(), &options);
            client.with_context(|| format!("[api] {url} cannot be looked at"))
        });
        Ok(Self { doors: doors.collect::<Result<_>>()?, is_closed: AtomicBool::new(false) })
    }
}

#[async_trait]
impl Entrance for Front {
    async fn is_open(&self) -> bool {
        let tries = join_all(self.doors.iter().map(try_door)).await;
        let closed = tries.into_iter().find_map(Result::err);
        let was_closed = self.is_closed.swap(closed.is_some(), Ordering::AcqRel);
        match &closed {
            Some(error) if !was_closed => {
                tracing::warn!(
                    code = error.code,
                    "users do not reach this node: until they do, it counts as away: {error}"
                );
            }
            None if was_closed => tracing::info!("users reach this node again"),
            _ => {}
        }
        closed.is_none()
    }
}

/// Whether one is let in, or would be who has something at stake.
async fn try_door(door: &Client) -> Result<(), ClientError> {
    let answer = tokio::time::timeout(ANSWER_MAX, door.query(QUESTION, json!({}))).await;
    match answer.unwrap_or_else(|_| Err(door.silent(ANSWER_MAX))) {
        Err(error) if !is_for_strangers(&error) => Err(error),
        _ => Ok(()),
    }
}

/// A refusal that only meets who has no task here: strangers share half of what there is.
fn is_for_strangers(error: &ClientError) -> bool {
    let limits = [EdgeError::Busy, EdgeError::TooMany { limit: 0 }, EdgeError::TooOften { whom: "", retry_secs: 0 }];
    limits.iter().any(|limit| limit.code().0 == error.code)
}
