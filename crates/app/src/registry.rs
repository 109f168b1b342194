//! The registry of arbitrators: a public stream for each, on the same road; and the list that panels are drawn from.

use tallystick_civics::{
    dispute::Dispute,
    registry::{Command, Did, Event, NodeCommand, OperatorCommand, Registry, Rejection, Roll, State},
};
use tallystick_core::{
    Authority, Body, Ctx, Decider, Decision, Fact, Id, NodeWord, NostrKey, SignedRequest, canonical,
};

use crate::{
    app::App,
    error::AppError,
    port::{
        journal::{Append, AppendError, NewFact, StoreError},
        limits::PAGE_MAX,
    },
};

/// What the names of arbitrators' streams begin with.
pub const ARBITRATORS: &str = "arbitrator/";
/// How often a command is decided anew because something else came first.
const CONFLICTS_MAX: u32 = 64;

/// What stands behind a command.
enum Behind<'a> {
    Request(&'a SignedRequest),
    Node(NodeCommand),
}

impl App {
    /// A signed request's command to the registry: an arbitrator's about itself, or an operator's, which the edge has
    /// checked to be one. The request is remembered, and refused the second time. Answers whether something changed, and
    /// the arbitrator now.
    ///
    /// # Errors
    /// [`AppError`]; nothing changed then. [`AppError::Fault`] for the node's own commands.
    pub async fn ask_registry(&self, command: Command, request: SignedRequest) -> Result<(bool, State), AppError> {
        let arbitrator = match &command {
            Command::User(_) => request.author,
            Command::Operator(OperatorCommand::Admit { arbitrator, .. } | OperatorCommand::Suspend { arbitrator }) => {
                *arbitrator
            }
            Command::Node(_) => return Err(AppError::Fault),
        };
        let ctx = self.ctx(request.author)?;
        self.remember(&request, ctx.now).await?;
        self.change_registry(arbitrator, command, Behind::Request(&request), ctx, None).await
    }

    /// Tells the registry what an arbitrator did in a dispute; with that the effect comes to its end.
    pub(crate) async fn note_service(
        &self,
        arbitrator: NostrKey,
        (dispute, did): (Id<Dispute>, Did),
        effect: &str,
    ) -> Result<(), AppError> {
        let command = NodeCommand::RecordService { dispute, did };
        let ctx = self.ctx(self.key())?;
        let noted =
            self.change_registry(arbitrator, Command::Node(command), Behind::Node(command), ctx, Some(effect)).await;
        match noted {
            Ok((true, _)) => Ok(()),
            // Told before; or of somebody whom nobody could have drawn.
            Ok((false, _)) | Err(AppError::Registry(Rejection::NotFound)) => {
                Ok(self.0.parts.journal.finish_effect(effect).await?)
            }
            Err(error) => Err(error),
        }
    }

    async fn change_registry(
        &self,
        arbitrator: NostrKey,
        command: Command,
        behind: Behind<'_>,
        ctx: Ctx,
        finishes: Option<&str>,
    ) -> Result<(bool, State), AppError> {
        let stream = stream_of(arbitrator);
        for _ in 0..CONFLICTS_MAX {
            let facts = self.0.parts.journal.stream(&stream, 0).await?;
            let (state, version) = replay(&facts)?;
            let events = match Registry::decide(&state, command.clone(), &ctx)? {
                Decision::Accept { events, .. } => events,
                Decision::AlreadyApplied => return Ok((false, state)),
            };
            let authority = match &behind {
                Behind::Request(request) => Authority::Request((*request).clone()),
                Behind::Node(command) => self.0.parts.key.authorise(&NodeWord {
                    stream: &stream,
                    expected_version: version,
                    recorded_at: ctx.now,
                    height: ctx.height,
                    command: &canonical::encode(command),
                }),
            };
            let append = Append {
                stream: stream.clone(),
                expected_version: version,
                facts: events.iter().map(new_fact).collect(),
                authority,
                recorded_at: ctx.now,
                height: ctx.height,
                effects: Vec::new(),
                finishes: finishes.map(str::to_owned).into_iter().collect(),
                reservations: Vec::new(),
                row: None,
                erases: None,
            };
            match self.0.parts.journal.append(append).await {
                Ok(_) => return Ok((true, events.iter().fold(state, Registry::evolve))),
                Err(AppendError::Conflict { .. }) => {}
                Err(AppendError::Store(error)) => return Err(error.into()),
                Err(_) => return Err(AppError::Fault),
            }
        }
        Err(AppError::Busy)
    }

    /// The registry as of a fact of the journal, or as it is now.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub async fn roll(&self, as_of: Option<u64>) -> Result<Roll, AppError> {
        let (mut roll, mut after) = (Roll::default(), 0);
        loop {
            let page = self.0.parts.journal.facts_below(ARBITRATORS, after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(roll) };
            after = last.seq;
            for fact in &page {
                if as_of.is_some_and(|seq| fact.seq > seq) {
                    return Ok(roll);
                }
                note(&mut roll, fact)?;
            }
        }
    }
}

/// Notes a fact of an arbitrator's stream.
pub(crate) fn note(roll: &mut Roll, fact: &Fact) -> Result<(), StoreError> {
    roll.note((fact.seq, fact.recorded_at), arbitrator_of(&fact.stream)?, &event_of(fact)?);
    Ok(())
}

/// The whole registry is public: anybody can make the list of candidates again.
fn new_fact(event: &Event) -> NewFact {
    NewFact { kind: event.kind(), body: Body::Public(canonical::encode(event)) }
}

/// An arbitrator as its facts make it, and its stream's version.
pub(crate) fn replay(facts: &[Fact]) -> Result<(State, u64), StoreError> {
    facts
        .iter()
        .try_fold((State::Absent, 0), |(state, _), fact| Ok((Registry::evolve(state, &event_of(fact)?), fact.version)))
}

/// The event that a fact holds.
pub(crate) fn event_of(fact: &Fact) -> Result<Event, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt(format!("fact {}: {why}", fact.seq));
    let content = fact.body.content().ok_or_else(|| corrupt("the registry is public".into()))?;
    canonical::decode("registry event", content).map_err(|error| corrupt(error.to_string()))
}

fn stream_of(arbitrator: NostrKey) -> String {
    format!("{ARBITRATORS}{arbitrator}")
}

/// Whether a stream is an arbitrator's.
pub(crate) fn is_arbitrator(stream: &str) -> bool {
    stream.starts_with(ARBITRATORS)
}

/// Whose stream it is.
pub(crate) fn arbitrator_of(stream: &str) -> Result<NostrKey, StoreError> {
    let key = stream.strip_prefix(ARBITRATORS).and_then(|key| key.parse().ok());
    key.ok_or_else(|| StoreError::Corrupt(format!("{stream} is no arbitrator's stream")))
}
