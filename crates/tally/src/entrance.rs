//! Looks at the API from where its users stand: through its own listener, and through whatever is before it.

use async_trait::async_trait;
use futures::future::join_all;
use nostr::key::Keys;
use serde_json::json;
use std::time::Duration;
use tallystick_app::port::entrance::Entrance;
use tallystick_core::Coded;
use tallystick_graphql::{
    EdgeError,
    client::{Client, ClientError, Options},
};
use tokio::{sync::Mutex, time::Instant};

/// Longer than that nobody likes to wait.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// For how long a look counts: as long as it is to the next one, so that many tasks that are woken at once are one look.
const LOOK: Duration = Duration::from_secs(4);
/// How often a door is tried that does not open: one lost packet is no absence.
const TRIES: usize = 2;
/// It reads the read model: a process that has lost its database lets nobody in.
const QUESTION: &str = "{ tasks(first: 1) { edges { node { id } } } }";

/// The addresses of a node's API, each tried as a stranger tries it: with a new connection, and a key that nobody knows.
pub struct Front {
    doors: Vec<Result<Client, ClientError>>,
    last: Mutex<Option<(Instant, bool)>>,
}

impl Front {
    /// Of an API at these addresses. One that cannot be asked, for want of root certificates perhaps, counts as closed.
    pub fn new(urls: impl IntoIterator<Item = String>) -> Self {
        // What a configuration names is asked, with TLS or without.
        let options = Options { insecure: true, reconnect: true, ..Options::default() };
        let keys = Keys::generate();
        let doors = urls.into_iter().map(|url| Client::with_options(url, keys.clone(), &options));
        Self { doors: doors.collect(), last: Mutex::default() }
    }
}

#[async_trait]
impl Entrance for Front {
    async fn is_open(&self) -> bool {
        let mut last = self.last.lock().await;
        if let Some((_, is_open)) = last.filter(|(at, _)| at.elapsed() < LOOK) {
            return is_open;
        }
        let closed = join_all(self.doors.iter().map(try_door)).await.into_iter().find_map(Result::err);
        let was_open = last.is_none_or(|(_, is_open)| is_open);
        match &closed {
            Some(error) if was_open => {
                let code = &error.code;
                tracing::warn!(code, "users do not reach this node: until they do, it counts as away: {error}");
            }
            None if !was_open => tracing::info!("users reach this node again"),
            _ => {}
        }
        *last = Some((Instant::now(), closed.is_none()));
        closed.is_none()
    }
}

/// Whether one is let in, or would be who has something at stake.
async fn try_door(door: &Result<Client, ClientError>) -> Result<(), ClientError> {
    let door = door.as_ref().map_err(Clone::clone)?;
    let mut answer = Ok(());
    for _ in 0..TRIES {
        answer = match tokio::time::timeout(ANSWER_MAX, door.query(QUESTION, json!({}))).await {
            Ok(Err(error)) if !is_for_strangers(&error) => Err(error),
            Ok(_) => return Ok(()),
            Err(_) => Err(door.silent(ANSWER_MAX)),
        };
    }
    answer
}

/// A refusal that only meets who has no task here: strangers share half of what there is.
fn is_for_strangers(error: &ClientError) -> bool {
    let limits = [EdgeError::Busy, EdgeError::TooMany { limit: 0 }, EdgeError::TooOften { whom: "", retry_secs: 0 }];
    limits.iter().any(|limit| limit.code().0 == error.code)
}
