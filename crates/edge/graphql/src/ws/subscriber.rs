//! Runs the subscriptions of one WebSocket, and keeps count of them.

use async_graphql::{Data, Executor, Request, Response, http::ClientMessage};
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use std::{
    any::TypeId,
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::Semaphore;

use crate::{
    document::{self, Transport},
    edge::Edge,
    error::{self, EdgeError},
};

const ID_BYTES_MAX: usize = 128;

/// Which subscriptions run on a WebSocket, and how many were refused.
pub(super) struct Desk {
    live: Mutex<BTreeSet<String>>,
    refused: AtomicUsize,
    refusals_max: usize,
}

impl Desk {
    /// Looks at a message before the GraphQL library does: it would put a subscription under an id in place of another,
    /// and keep refused ones too. The booking travels with the request.
    ///
    /// # Errors
    /// Those that end the connection.
    pub fn book(self: &Arc<Self>, message: ClientMessage) -> Result<ClientMessage, EdgeError> {
        let ClientMessage::Start { id, payload } = message else { return Ok(message) };
        if self.refused.load(Ordering::Relaxed) >= self.refusals_max {
            return Err(EdgeError::TooManyRefused { limit: self.refusals_max });
        }
        if id.len() > ID_BYTES_MAX {
            return Err(EdgeError::LongSubscriptionId { limit: ID_BYTES_MAX });
        }
        if !self.live().insert(id.clone()) {
            return Err(EdgeError::DuplicateSubscription);
        }
        let booking = Arc::new(Booking { desk: Arc::clone(self), id: id.clone() });
        Ok(ClientMessage::Start { id, payload: payload.data(booking) })
    }

    fn refuse(&self, error: &EdgeError) -> Response {
        self.refused.fetch_add(1, Ordering::Relaxed);
        Response::from_errors(vec![error.to_server_error()])
    }

    fn live(&self) -> MutexGuard<'_, BTreeSet<String>> {
        // A panic between two lines of set code leaves the set whole.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An id that is taken for as long as its subscription lives.
struct Booking {
    desk: Arc<Desk>,
    id: String,
}

impl Drop for Booking {
    fn drop(&mut self) {
        self.desk.live().remove(&self.id);
    }
}

/// Runs the subscriptions of one WebSocket.
#[derive(Clone)]
pub(super) struct Subscriber {
    edge: Arc<Edge>,
    desk: Arc<Desk>,
    room: Arc<Semaphore>,
}

impl Subscriber {
    pub fn new(edge: Arc<Edge>) -> Self {
        let desk =
            Desk { live: Mutex::default(), refused: AtomicUsize::new(0), refusals_max: edge.config.refusals_max };
        let room = Arc::new(Semaphore::new(edge.config.subscriptions_max));
        Self { edge, desk: Arc::new(desk), room }
    }

    pub fn desk(&self) -> Arc<Desk> {
        Arc::clone(&self.desk)
    }
}

impl Executor for Subscriber {
    async fn execute(&self, _request: Request) -> Response {
        self.desk.refuse(&EdgeError::OnlySubscriptions)
    }

    fn execute_stream(&self, mut request: Request, session: Option<Arc<Data>>) -> BoxStream<'static, Response> {
        let Some(session) = session else {
            return stream::iter([self.desk.refuse(&EdgeError::AuthMissing)]).boxed();
        };
        let limit = self.edge.config.subscriptions_max;
        let checked = match Arc::clone(&self.room).try_acquire_owned() {
            Ok(permit) => {
                let limits = self.edge.limits(Transport::Websocket);
                document::check(&mut request, Transport::Websocket, limits).map(|_| permit)
            }
            Err(_) => Err(EdgeError::TooManySubscriptions { limit }),
        };
        let permit = match checked {
            Ok(permit) => permit,
            Err(error) => return stream::iter([self.desk.refuse(&error)]).boxed(),
        };
        let booking = request.data.get(&TypeId::of::<Arc<Booking>>()).and_then(|any| any.downcast_ref());
        let held_as_long_as_the_stream: (_, Option<Arc<Booking>>) = (permit, booking.cloned());
        let (desk, complexity_max) = (self.desk(), self.edge.config.complexity_max);
        let mut is_first = true;
        let updates = self.edge.schema.execute_stream_with_session_data(request, session);
        updates
            .map(move |mut response| {
                let _ = &held_as_long_as_the_stream;
                // One that never began counts as refused, like the others.
                if std::mem::take(&mut is_first) && response.is_err() {
                    desk.refused.fetch_add(1, Ordering::Relaxed);
                }
                error::complete(&mut response.errors, complexity_max);
                response
            })
            .boxed()
    }
}
