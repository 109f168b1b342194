//! The requester's half of a task: the signed request that posted it.

use async_graphql::InputType;
use tallystick_core::{Digest32, Id, NostrKey, Timestamp};
use tallystick_escrow::{Task, Terms};

use crate::{error::EdgeError, evidence::Evidence, schema::CreateTaskInput};

/// The mutation with which a requester posts a task.
const FIELD: &str = "createTask";

/// What a requester signed: that they post this task on these terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// Who signed.
    pub requester: NostrKey,
    /// The task.
    pub task: Id<Task>,
    /// Its terms.
    pub terms: Terms,
}

impl Posting {
    /// Reads a requester's signed request (NIP-98): the Nostr event as JSON, and the body that it commits to. When and
    /// for which address it was signed is not looked at.
    ///
    /// # Errors
    /// [`EdgeError`] if the event is not signed, not over this body, or the body does not post a task, and nothing else.
    pub fn try_new(event: &str, body: &str) -> Result<Self, EdgeError> {
        let mut evidence = Evidence::try_new(event, body)?;
        let value = evidence.arguments(FIELD).and_then(|arguments| arguments.get("input"));
        let input = CreateTaskInput::parse(Some(value.ok_or_else(other)?)).map_err(|_| other())?;
        let at = Timestamp::from_secs(evidence.event.created_at.as_secs());
        let task = input.id.map_or_else(|| id_of(Digest32(evidence.event.id.to_bytes()), at), |id| id.0);
        Ok(Self { requester: evidence.author, task, terms: input.into_terms() })
    }
}

/// The id of a task whose request names none, made of that signed request: sent again, it names the same task.
pub(crate) fn id_of(event: Digest32, at: Timestamp) -> Id<Task> {
    let mut random = [0; 10];
    random.copy_from_slice(&event.0[..10]);
    Id::from_parts(at.as_millis(), random)
}

fn other() -> EdgeError {
    EdgeError::Invalid("this request does not post a task".into())
}
