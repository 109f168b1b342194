//! A decision as the transaction that the journal takes, and back.

use tallystick_core::{Authority, Id, PaymentHash, Timestamp, canonical};
use tallystick_escrow::{Effect, Event, Rejection, State, Task, TaskView};

use crate::{
    error::AppError,
    port::{
        journal::{Append, NewEffect, NewFact, Reservation, StoreError},
        tasks::TaskRow,
    },
};

/// Payment hashes are reserved in this space: one hash belongs to one task for ever.
pub(crate) const HASH_SPACE: &str = "payment_hash";

/// What a decision changes.
pub(crate) struct Change<'a> {
    pub id: Id<Task>,
    /// The version that the decision was made on.
    pub version: u64,
    pub events: &'a [Event],
    pub effects: &'a [Effect],
    pub after: &'a State,
    pub view: &'a TaskView,
}

impl Change<'_> {
    pub(crate) fn to_append(
        &self,
        authority: Authority,
        finishes: Option<String>,
        now: Timestamp,
    ) -> Result<Append, AppError> {
        Ok(Append {
            stream: stream_of(self.id),
            expected_version: self.version,
            facts: self.events.iter().map(new_fact).collect(),
            authority,
            recorded_at: now,
            effects: self.effects.iter().map(new_effect).collect(),
            finishes: finishes.into_iter().collect(),
            reservations: self.events.iter().flat_map(hashes).map(reservation).collect(),
            row: self.row()?,
        })
    }

    fn row(&self) -> Result<TaskRow, AppError> {
        let State::Present(task) = self.after else { return Err(Rejection::NotFound.into()) };
        let wake = self.after.wake();
        Ok(TaskRow {
            id: self.id,
            version: (self.events.iter()).fold(self.version, |version, _| version.saturating_add(1)),
            state: task.phase.name(),
            requester: task.requester,
            worker: task.phase.job().map(|job| job.worker),
            wake_at: wake.at,
            wake_height: wake.height,
            view: serde_json::to_string(self.view).map_err(|error| StoreError::Corrupt(error.to_string()))?,
        })
    }
}

fn new_fact(event: &Event) -> NewFact {
    NewFact { kind: event.kind(), body: canonical::encode(event) }
}

fn new_effect(effect: &Effect) -> NewEffect {
    NewEffect { key: effect.key(), body: canonical::encode(effect), due: effect.not_before() }
}

fn hashes(event: &Event) -> impl Iterator<Item = PaymentHash> {
    let invoices = match event {
        Event::TaskAccepted { invoices, .. } => invoices.as_slice(),
        _ => &[],
    };
    invoices.iter().map(|invoice| invoice.hash)
}

fn reservation(hash: PaymentHash) -> Reservation {
    Reservation { space: HASH_SPACE, name: hash.0.to_vec() }
}

/// The stream of a task.
pub(crate) fn stream_of(id: Id<Task>) -> String {
    format!("escrow/{id}")
}

/// The task of a stream.
pub(crate) fn task_of(stream: &str) -> Result<Id<Task>, StoreError> {
    let id = stream.strip_prefix("escrow/").and_then(|id| id.parse().ok());
    id.ok_or_else(|| StoreError::Corrupt(format!("{stream} is no task's stream")))
}

/// A present task as queries show it.
pub(crate) fn view_of(state: &State) -> Result<TaskView, AppError> {
    match state {
        State::Present(task) => Ok(TaskView::from(task.as_ref())),
        State::Absent => Err(Rejection::NotFound.into()),
    }
}

/// A row of the read model.
pub(crate) fn read_view(json: &str) -> Result<TaskView, StoreError> {
    serde_json::from_str(json).map_err(|error| StoreError::Corrupt(format!("a task's view: {error}")))
}
