//! The node's roles on the one road: who may do what with the node itself, by the facts of the stream [`STREAM`].
//!
//! Nothing is known but what the journal says now: a role that another replica withdrew a moment ago is gone here as well, and
//! a code that counted there counts here no more.

mod authenticator;
pub(crate) mod cause;

use std::{collections::BTreeSet, sync::Arc};
use tallystick_civics::roles::{
    Action, AdminCommand, Checked, Command, Event, Factor, NodeCommand, Operation, Rejection, Roles, State,
};
use tallystick_core::{
    Authority, Body, Ctx, Decider, Decision, Fact, NodeWord, NostrKey, SignedRequest, Timestamp, canonical,
};

pub use authenticator::Authenticator;

use crate::{
    app::App,
    change::private,
    error::AppError,
    port::{
        journal::{Append, AppendError, NewFact, StoreError},
        request::{AdminAsked, Code, FactorSaid},
    },
};

/// The stream of the node's roles.
pub const STREAM: &str = "roles";
/// How often it is decided anew because something else came first.
const CONFLICTS_MAX: u32 = 64;

/// The event that a fact of the stream holds.
///
/// # Errors
/// [`StoreError::Corrupt`] if it holds none.
pub(crate) fn event_of(fact: &Fact) -> Result<Event, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt(format!("fact {}: {why}", fact.seq));
    let content = fact.body.content().ok_or_else(|| corrupt("its body is gone".into()))?;
    canonical::decode("event of the roles", content).map_err(|error| corrupt(error.to_string()))
}

/// What a decision is to stand on.
enum Voice {
    Admin(AdminAsked, SignedRequest),
    Node(NodeCommand),
}

impl App {
    /// The roles as the journal holds them now.
    ///
    /// # Errors
    /// [`AppError::Store`].
    pub async fn roles(&self) -> Result<Arc<State>, AppError> {
        Ok(self.load_roles().await?.0)
    }

    /// Whether a key has the role that an operation needs.
    ///
    /// # Errors
    /// [`AppError::Roles`] if not.
    pub async fn may(&self, key: NostrKey, operation: Operation) -> Result<(), AppError> {
        Ok(self.roles().await?.may(key, operation)?)
    }

    /// Begins with these admins, who are operators as well, if the node has no roles yet. Does nothing without any.
    ///
    /// # Errors
    /// [`AppError`]; nothing changed then.
    pub async fn found_roles(&self, admins: &BTreeSet<NostrKey>) -> Result<(), AppError> {
        if admins.is_empty() || self.roles().await?.is_founded() {
            return Ok(());
        }
        let found = NodeCommand::Found { admins: admins.iter().copied().collect() };
        self.decide_roles(&Voice::Node(found), &self.ctx(self.key())?).await?;
        Ok(())
    }

    /// Makes somebody an admin and an operator without a second factor: for whoever has the machine and the passphrase, when
    /// no admin is left who could. False if that is so already.
    ///
    /// # Errors
    /// [`AppError`]; nothing changed then.
    pub async fn recover_admin(&self, admin: NostrKey, ctx: &Ctx) -> Result<bool, AppError> {
        let recover = Voice::Node(NodeCommand::Recover { admin });
        Ok(self.decide_roles(&recover, ctx).await?.is_some())
    }

    /// Waits for another admin to do this. Answers the proposal's number; nothing if it is so already.
    ///
    /// # Errors
    /// [`AppError::Roles`], and the others of a command.
    pub async fn propose(&self, action: Action, request: SignedRequest) -> Result<Option<u64>, AppError> {
        let (author, same) = (request.author, action.clone());
        if let Some(Event::ActionProposed { proposal, .. }) =
            self.ask_roles(AdminAsked::Propose(action), request).await?.1
        {
            return Ok(Some(proposal));
        }
        let (roles, now) = (self.roles().await?, self.clock().now());
        let mut mine = roles.proposals.iter().filter(|(_, waiting)| waiting.by == author && waiting.until >= now);
        Ok(mine.find(|(_, waiting)| waiting.action == same).map(|(number, _)| *number))
    }

    /// Does something to the roles themselves; false if it is so already.
    ///
    /// # Errors
    /// As [`App::authorise`].
    pub async fn act(&self, action: Action, said: &FactorSaid, request: SignedRequest) -> Result<bool, AppError> {
        let asked = AdminAsked::Act(action, said.clone());
        Ok(self.ask_roles(asked, request).await?.1.is_some())
    }

    /// Lets an admin do something outside of the roles, once: the fact is on disk when this answers. Answers when it was
    /// decided.
    ///
    /// # Errors
    /// [`AppError::Roles`] without the role or a second factor that counts; [`AppError::WrongCode`], which is a fact then; and
    /// the others of a command.
    pub async fn authorise(&self, action: Action, said: &FactorSaid, request: &SignedRequest) -> Result<Ctx, AppError> {
        let asked = AdminAsked::Act(action, said.clone());
        Ok(self.ask_roles(asked, request.clone()).await?.0)
    }

    /// Begins an admin's enrolment. Answers the authenticator: this is the only time that anybody sees it.
    ///
    /// # Errors
    /// As [`App::authorise`].
    pub async fn enrol(&self, said: &FactorSaid, request: SignedRequest) -> Result<Authenticator, AppError> {
        let admin = request.author;
        let begun = self.act(Action::Enrol { admin }, said, request).await?;
        let roles = self.roles().await?;
        let enrolment = roles.enrolment(admin).filter(|enrolment| begun && !enrolment.complete);
        let number = enrolment.ok_or(Rejection::NotEnrolling)?.number;
        Ok(Authenticator::new(&self.0.parts.key, admin, number))
    }

    /// Ends an admin's enrolment with a first right code.
    ///
    /// # Errors
    /// As [`App::authorise`].
    pub async fn complete_enrolment(&self, code: Code, request: SignedRequest) -> Result<(), AppError> {
        self.ask_roles(AdminAsked::CompleteEnrolment(code), request).await?;
        Ok(())
    }

    /// Decides what an admin asks. Who is no admin is refused before the request is remembered.
    async fn ask_roles(&self, asked: AdminAsked, request: SignedRequest) -> Result<(Ctx, Option<Event>), AppError> {
        let ctx = self.ctx(request.author)?;
        self.may(request.author, Operation::Propose).await?;
        self.remember(&request, ctx.now).await?;
        let event = self.decide_roles(&Voice::Admin(asked, request), &ctx).await?;
        match event {
            Some(Event::CodeRefused { admin, paused_until }) => {
                tracing::warn!(%admin, until = paused_until.as_secs(), "an admin's request came with a wrong code");
                Err(AppError::WrongCode)
            }
            event => Ok((ctx, event)),
        }
    }

    /// Load, decide, append. Answers the new event; nothing if all is so already.
    async fn decide_roles(&self, voice: &Voice, ctx: &Ctx) -> Result<Option<Event>, AppError> {
        for _ in 0..CONFLICTS_MAX {
            let (state, version) = self.load_roles().await?;
            let events = match Roles::decide(&state, self.command(&state, voice, ctx.now), ctx)? {
                Decision::Accept { events, .. } => events,
                Decision::AlreadyApplied => return Ok(None),
            };
            let append = Append {
                stream: STREAM.to_owned(),
                expected_version: version,
                facts: events.iter().map(new_fact).collect::<Result<_, _>>()?,
                authority: self.behind(voice, version, ctx),
                recorded_at: ctx.now,
                height: ctx.height,
                effects: Vec::new(),
                finishes: Vec::new(),
                reservations: Vec::new(),
                row: None,
                erases: None,
            };
            match self.0.parts.journal.append(append).await {
                Ok(appended) => {
                    for event in &events {
                        tracing::info!(seq = appended.seq, kind = event.kind(), by = %ctx.author, "the roles changed");
                    }
                    return Ok(events.into_iter().next());
                }
                Err(AppendError::Conflict { .. }) => {}
                Err(AppendError::Store(error)) => return Err(error.into()),
                Err(AppendError::Erased { .. } | AppendError::UnderWay { .. } | AppendError::Taken { .. }) => {
                    return Err(AppError::Fault);
                }
            }
        }
        Err(AppError::Busy)
    }

    fn command(&self, state: &State, voice: &Voice, now: Timestamp) -> Command {
        match voice {
            Voice::Node(command) => Command::Node(command.clone()),
            Voice::Admin(asked, request) => admin_command(asked, |Code(code)| {
                let Some(enrolment) = state.enrolment(request.author) else { return Checked::Wrong };
                Authenticator::new(&self.0.parts.key, request.author, enrolment.number).check(code, now)
            }),
        }
    }

    fn behind(&self, voice: &Voice, version: u64, ctx: &Ctx) -> Authority {
        match voice {
            Voice::Admin(_, request) => Authority::Request(request.clone()),
            Voice::Node(command) => self.0.parts.key.authorise(&NodeWord {
                stream: STREAM,
                expected_version: version,
                recorded_at: ctx.now,
                height: ctx.height,
                command: &canonical::encode(command),
            }),
        }
    }

    async fn load_roles(&self) -> Result<(Arc<State>, u64), AppError> {
        let (known, version) = self.0.roles.get();
        let facts = self.0.parts.journal.stream(STREAM, version).await?;
        let Some(last) = facts.last() else { return Ok((known, version)) };
        let apply = |state, fact| Ok::<_, StoreError>(Roles::evolve(state, &event_of(fact)?));
        let state = Arc::new(facts.iter().try_fold(State::clone(&known), apply)?);
        self.0.roles.put(&state, last.version);
        Ok((state, last.version))
    }
}

/// The command that an admin gives, with what a check finds of the code.
pub(crate) fn admin_command(asked: &AdminAsked, check: impl Fn(&Code) -> Checked) -> Command {
    Command::Admin(match asked {
        AdminAsked::Propose(action) => AdminCommand::Propose(action.clone()),
        AdminAsked::Act(action, said) => {
            let factor = match said {
                FactorSaid::Nothing => Factor::Nothing,
                FactorSaid::Code(code) => Factor::Code(check(code)),
                FactorSaid::Confirms(proposal) => Factor::Confirms(*proposal),
            };
            AdminCommand::Act { action: action.clone(), factor }
        }
        AdminAsked::CompleteEnrolment(code) => AdminCommand::CompleteEnrolment(check(code)),
    })
}

fn new_fact(event: &Event) -> Result<NewFact, AppError> {
    let content = canonical::encode(event);
    let body = if event.is_public() { Body::Public(content) } else { private(content)? };
    Ok(NewFact { kind: event.kind(), body })
}
