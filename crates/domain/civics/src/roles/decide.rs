//! The decisions, and applying their facts.

use std::convert::Infallible;
use tallystick_core::{Ctx, Decider, Duration, NostrKey, Timestamp};

use super::{
    Action, Admin, AdminCommand, Checked, Command, Enrolment, Event, Factor, HOLDERS_MAX, NodeCommand, PROPOSAL_LIFE,
    PROPOSALS_MAX, Proof, Proposal, Rejection, Role, State,
};

/// Wrong codes that cost no time: a slip of the finger, and a code that ended while it was typed.
const SLIPS: u32 = 2;
/// The pause after the next wrong code; it doubles with each.
const PAUSE_SECS: u64 = 30;
/// The longest pause.
const PAUSE_SECS_MAX: u64 = 24 * 3_600;

/// The rules of the roles.
#[derive(Clone, Copy, Debug)]
pub struct Roles;

type Decision = tallystick_core::Decision<Event, Infallible>;

impl Decider for Roles {
    type State = State;
    type Command = Command;
    type Event = Event;
    type Effect = Infallible;
    type Rejection = Rejection;

    fn decide(state: &State, command: Command, ctx: &Ctx) -> Result<Decision, Rejection> {
        match command {
            Command::Node(NodeCommand::Found { .. }) if state.is_founded() => Ok(Decision::AlreadyApplied),
            Command::Node(NodeCommand::Found { admins }) => found(admins),
            Command::Node(NodeCommand::Recover { admin }) => recover(state, admin),
            Command::Admin(_) if !state.admins.contains_key(&ctx.author) => Err(Rejection::NotAdmin),
            Command::Admin(AdminCommand::Propose(action)) => propose(state, action, ctx),
            Command::Admin(AdminCommand::Act { action, factor }) => act(state, action, factor, ctx),
            Command::Admin(AdminCommand::CompleteEnrolment(code)) => complete(state, code, ctx),
        }
    }

    fn evolve(mut state: State, event: &Event) -> State {
        match event {
            Event::RolesFounded { admins } => {
                state.operators.extend(admins);
                state.admins.extend(admins.iter().map(|key| (*key, Admin::default())));
            }
            Event::AdminRecovered { admin } => {
                state.operators.insert(*admin);
                state.admins.insert(*admin, Admin::default());
            }
            Event::ActionProposed { proposal, by, action, at, until } => {
                state.proposals.retain(|_, waiting| waiting.until >= *at);
                state.proposed = state.proposed.max(*proposal);
                let waiting = Proposal { by: *by, action: action.clone(), at: *at, until: *until };
                state.proposals.insert(*proposal, waiting);
            }
            Event::ActionAuthorised { by, action, proof } => authorised(&mut state, *by, action, *proof),
            Event::EnrolmentCompleted { admin, step } => {
                if let Some(enrolment) = enrolment_of(&mut state, *admin) {
                    *enrolment = Enrolment { complete: true, ..counted(*enrolment, *step) };
                }
            }
            Event::CodeRefused { admin, paused_until } => {
                if let Some(enrolment) = enrolment_of(&mut state, *admin) {
                    enrolment.wrong = enrolment.wrong.saturating_add(1);
                    enrolment.paused_until = *paused_until;
                }
            }
        }
        state
    }
}

fn found(mut admins: Vec<NostrKey>) -> Result<Decision, Rejection> {
    admins.sort_unstable();
    admins.dedup();
    if admins.is_empty() || admins.len() > HOLDERS_MAX {
        return Err(Rejection::Founders);
    }
    Ok(Decision::event(Event::RolesFounded { admins }))
}

/// Also past the largest number of admins: it is the way out when nobody else is left.
fn recover(state: &State, admin: NostrKey) -> Result<Decision, Rejection> {
    let is_so = state.operators.contains(&admin) && state.admins.get(&admin) == Some(&Admin::default());
    Ok(if is_so { Decision::AlreadyApplied } else { Decision::event(Event::AdminRecovered { admin }) })
}

fn propose(state: &State, action: Action, ctx: &Ctx) -> Result<Decision, Rejection> {
    if let Some(decision) = needless(state, &action)? {
        return Ok(decision);
    }
    let mine = state.proposals.values().filter(|waiting| waiting.by == ctx.author && waiting.until >= ctx.now);
    if mine.clone().any(|waiting| waiting.action == action) {
        return Ok(Decision::AlreadyApplied);
    }
    if mine.count() >= PROPOSALS_MAX {
        return Err(Rejection::TooManyProposals);
    }
    Ok(Decision::event(Event::ActionProposed {
        proposal: state.proposed.saturating_add(1),
        by: ctx.author,
        action,
        at: ctx.now,
        until: ctx.now.after(PROPOSAL_LIFE),
    }))
}

fn act(state: &State, action: Action, factor: Factor, ctx: &Ctx) -> Result<Decision, Rejection> {
    if matches!(action, Action::Enrol { admin } if admin != ctx.author) {
        return Err(Rejection::NotSelf);
    }
    if let Some(decision) = needless(state, &action)? {
        return Ok(decision);
    }
    let proof = match factor {
        Factor::Confirms(proposal) => confirm(state, proposal, &action, ctx)?,
        Factor::Nothing if enrols_alone(state, &action, ctx.author) => Proof::Alone,
        Factor::Nothing => return Err(Rejection::SecondFactor),
        Factor::Code(_) if matches!(action, Action::Enrol { .. }) && state.admins.len() > 1 => {
            return Err(Rejection::SecondAdmin);
        }
        Factor::Code(code) => {
            let enrolment = state.enrolment(ctx.author).filter(|enrolment| enrolment.complete);
            match check(enrolment.ok_or(Rejection::NotEnrolled)?, code, ctx)? {
                Ok(step) => Proof::Code { step },
                Err(refused) => return Ok(Decision::event(refused)),
            }
        }
    };
    Ok(Decision::event(Event::ActionAuthorised { by: ctx.author, action, proof }))
}

/// What is so already, or can never be; nothing if it takes a fact.
fn needless(state: &State, action: &Action) -> Result<Option<Decision>, Rejection> {
    let has = |role: &Role, key: &NostrKey| match role {
        Role::Operator => state.operators.contains(key),
        Role::Admin => state.admins.contains_key(key),
    };
    let holders = |role: &Role| match role {
        Role::Operator => state.operators.len(),
        Role::Admin => state.admins.len(),
    };
    match action {
        Action::GrantRole { role, key } if has(role, key) => Ok(Some(Decision::AlreadyApplied)),
        Action::GrantRole { role, .. } if holders(role) >= HOLDERS_MAX => Err(Rejection::TooManyHolders),
        Action::WithdrawRole { role, key } if !has(role, key) => Ok(Some(Decision::AlreadyApplied)),
        Action::WithdrawRole { role: Role::Admin, .. } if state.admins.len() == 1 => Err(Rejection::LastAdmin),
        Action::Enrol { admin } if !state.admins.contains_key(admin) => Err(Rejection::NoSuchAdmin),
        _ => Ok(None),
    }
}

/// Whether nobody else could vouch for the one who enrols, and nothing is there yet that could.
fn enrols_alone(state: &State, action: &Action, author: NostrKey) -> bool {
    let is_first = state.enrolment(author).is_none_or(|enrolment| !enrolment.complete);
    matches!(action, Action::Enrol { .. }) && state.admins.len() == 1 && is_first
}

/// Another admin's proposal of the same. Who proposed it is an admin still: proposals go with the role.
fn confirm(state: &State, proposal: u64, action: &Action, ctx: &Ctx) -> Result<Proof, Rejection> {
    let waiting = state.proposals.get(&proposal).filter(|waiting| waiting.until >= ctx.now);
    let waiting = waiting.ok_or(Rejection::NoProposal)?;
    if waiting.by == ctx.author {
        return Err(Rejection::OwnProposal);
    }
    if waiting.action != *action {
        return Err(Rejection::OtherAction);
    }
    Ok(Proof::Confirms { proposal })
}

/// The step of a code that counts, or the fact that it was wrong. While there is a pause not even a right one is told from a
/// wrong one.
fn check(enrolment: &Enrolment, code: Checked, ctx: &Ctx) -> Result<Result<u64, Event>, Rejection> {
    if ctx.now < enrolment.paused_until {
        return Err(Rejection::Paused { until: enrolment.paused_until });
    }
    match code {
        Checked::Step(step) if step <= enrolment.last_step => Err(Rejection::CodeUsed),
        Checked::Step(step) => Ok(Ok(step)),
        Checked::Wrong => {
            Ok(Err(Event::CodeRefused { admin: ctx.author, paused_until: paused_until(enrolment.wrong, ctx.now) }))
        }
    }
}

/// Until when no code is looked at after one more wrong one.
fn paused_until(wrong_before: u32, now: Timestamp) -> Timestamp {
    let Some(doubled) = wrong_before.checked_sub(SLIPS) else { return now };
    let secs = PAUSE_SECS.saturating_mul(1u64.checked_shl(doubled).unwrap_or(u64::MAX));
    now.after(Duration::from_secs(secs.min(PAUSE_SECS_MAX)))
}

fn complete(state: &State, code: Checked, ctx: &Ctx) -> Result<Decision, Rejection> {
    let begun = state.enrolment(ctx.author).filter(|enrolment| !enrolment.complete).ok_or(Rejection::NotEnrolling)?;
    Ok(Decision::event(match check(begun, code, ctx)? {
        Ok(step) => Event::EnrolmentCompleted { admin: ctx.author, step },
        Err(refused) => refused,
    }))
}

fn authorised(state: &mut State, by: NostrKey, action: &Action, proof: Proof) {
    match proof {
        Proof::Alone => {}
        Proof::Code { step } => {
            if let Some(enrolment) = enrolment_of(state, by) {
                *enrolment = counted(*enrolment, step);
            }
        }
        Proof::Confirms { proposal } => {
            state.proposals.remove(&proposal);
        }
    }
    match action {
        Action::GrantRole { role: Role::Operator, key } => {
            state.operators.insert(*key);
        }
        Action::GrantRole { role: Role::Admin, key } => {
            state.admins.entry(*key).or_default();
        }
        Action::WithdrawRole { role: Role::Operator, key } => {
            state.operators.remove(key);
        }
        Action::WithdrawRole { role: Role::Admin, key } => {
            state.admins.remove(key);
            state.proposals.retain(|_, waiting| waiting.by != *key);
        }
        Action::Enrol { admin } => {
            state.enrolled = state.enrolled.saturating_add(1);
            let number = state.enrolled;
            if let Some(admin) = state.admins.get_mut(admin) {
                let begun = Enrolment {
                    number,
                    complete: false,
                    last_step: 0,
                    wrong: 0,
                    paused_until: Timestamp::from_millis(0),
                };
                admin.enrolment = Some(begun);
            }
        }
        Action::Pay { .. } | Action::CloseChannel { .. } | Action::Erase { .. } | Action::EraseEvidence { .. } => {}
    }
}

fn enrolment_of(state: &mut State, admin: NostrKey) -> Option<&mut Enrolment> {
    state.admins.get_mut(&admin)?.enrolment.as_mut()
}

/// After a code that counted.
fn counted(enrolment: Enrolment, step: u64) -> Enrolment {
    Enrolment { last_step: step, wrong: 0, ..enrolment }
}
