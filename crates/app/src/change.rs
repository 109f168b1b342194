//! A decision as the transaction that the journal takes, and back.

use tallystick_core::{Authority, Body, Ctx, Fact, Id, PaymentHash, canonical};
use tallystick_escrow::{Effect, Event, Rejection, State, Task, TaskView};

use crate::{
    error::AppError,
    port::{
        journal::{Append, NewEffect, NewFact, Reservation, StoreError},
        tasks::TaskRow,
    },
};

/// The format of the read model's rows. Whoever changes what a row holds, or [`TaskView`], counts it up: the rows are
/// then made again at the next start.
pub const ROWS_FORMAT: u32 = 6;
/// Payment hashes are reserved in this space: one hash belongs to one task for ever.
pub(crate) const HASH_SPACE: &str = "payment_hash";

/// What the names of tasks' streams begin with.
const TASKS: &str = "escrow/";

/// What a decision changes.
pub(crate) struct Change<'a> {
    pub id: Id<Task>,
    /// The version that the decision was made on.
    pub version: u64,
    pub events: &'a [Event],
    pub effects: &'a [Effect],
    pub after: &'a State,
}

impl Change<'_> {
    pub(crate) fn to_append(
        &self,
        authority: Authority,
        finishes: Option<String>,
        ctx: &Ctx,
    ) -> Result<Append, AppError> {
        Ok(Append {
            stream: stream_of(self.id),
            expected_version: self.version,
            facts: self.events.iter().map(new_fact).collect::<Result<_, _>>()?,
            authority,
            recorded_at: ctx.now,
            height: ctx.height,
            effects: self.effects.iter().map(new_effect).collect(),
            finishes: finishes.into_iter().collect(),
            reservations: self.events.iter().flat_map(hashes).map(reservation).collect(),
            row: Some(row(self.id, self.version_after(), self.after)?),
            erases: None,
        })
    }

    fn version_after(&self) -> u64 {
        self.events.iter().fold(self.version, |version, _| version.saturating_add(1))
    }
}

/// A present task as its row of the read model: state, wake-up and view, at a version.
pub(crate) fn row(id: Id<Task>, version: u64, state: &State) -> Result<TaskRow, AppError> {
    let State::Present(task) = state else { return Err(Rejection::NotFound.into()) };
    let wake = state.wake();
    // A draw needs a block's hash, which no wake-up brings; it is looked for at the same places.
    let draws = state.draws_due().into_iter().map(|draw| draw.from);
    Ok(TaskRow {
        id,
        version,
        state: task.state_name().into(),
        requester: task.requester,
        worker: task.phase.job().map(|job| job.worker),
        wake_at: wake.at,
        wake_height: draws.chain(wake.height).min(),
        view: serde_json::to_string(&TaskView::from(task.as_ref()))
            .map_err(|error| StoreError::Corrupt(error.to_string()))?,
    })
}

/// The event that a fact holds.
///
/// # Errors
/// [`AppError::Erased`] if its body was; [`AppError::Store`] if it is none of ours.
pub(crate) fn event_of(fact: &Fact) -> Result<Event, AppError> {
    let content = fact.body.content().ok_or(AppError::Erased)?;
    canonical::decode("escrow event", content)
        .map_err(|error| StoreError::Corrupt(format!("fact {}: {error}", fact.seq)).into())
}

/// What parties agree on is theirs: every body is private.
fn new_fact(event: &Event) -> Result<NewFact, AppError> {
    Ok(NewFact { kind: event.kind(), body: private(canonical::encode(event))? })
}

/// A private body, with a salt of its own.
pub(crate) fn private(content: Vec<u8>) -> Result<Body, AppError> {
    let mut salt = [0; 32];
    getrandom::fill(&mut salt).map_err(|error| {
        tracing::error!("the system has no randomness: {error}");
        AppError::Fault
    })?;
    Ok(Body::private(salt, content))
}

fn new_effect(effect: &Effect) -> NewEffect {
    NewEffect { key: effect.key(), body: canonical::encode(effect), due: effect.not_before() }
}

/// The payment hashes that an event takes for its task.
pub(crate) fn hashes(event: &Event) -> impl Iterator<Item = PaymentHash> {
    let invoices = match event {
        Event::TaskAccepted { invoices, .. } | Event::RenewalOffered { invoices, .. } => invoices.as_slice(),
        Event::RewardBegun { invoice, .. } | Event::BondOffered { invoice } => std::slice::from_ref(invoice),
        _ => &[],
    };
    invoices.iter().map(|invoice| invoice.hash)
}

fn reservation(hash: PaymentHash) -> Reservation {
    Reservation { space: HASH_SPACE, name: hash.0.to_vec() }
}

/// The stream of a task.
pub(crate) fn stream_of(id: Id<Task>) -> String {
    format!("{TASKS}{id}")
}

/// Whether a stream is a task's.
pub(crate) fn is_task(stream: &str) -> bool {
    stream.starts_with(TASKS)
}

/// The task of a stream.
pub(crate) fn task_of(stream: &str) -> Result<Id<Task>, StoreError> {
    let id = stream.strip_prefix(TASKS).and_then(|id| id.parse().ok());
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
