//! Decides a task's facts again: the same command, on the same state, at the same time and height, leads to the same
//! facts and effects. Rules that change must go on deciding old facts as they did.

use tallystick_civics::dispute;
use tallystick_core::{Authority, Ctx, Decider, Decision, Fact, Id, canonical};
use tallystick_escrow::{Command, Docket, Effect, Escrow, Event, InvoiceFacts, NodeCommand, State, Task, UserCommand};

use super::{Damage, Fsck, away::Away, registry::Registry};
use crate::{
    change::event_of,
    port::request::{Action, Asked},
};

/// What a task's facts lead to.
pub(super) struct Again {
    pub(super) state: State,
    pub(super) version: u64,
    /// What they ask of the rail, in order.
    pub(super) effects: Vec<Effect>,
}

/// Decides all of a task's facts again.
pub(super) async fn again(
    fsck: &Fsck,
    (registry, away): (&Registry, &Away),
    id: Id<Task>,
    facts: &[Fact],
) -> Result<Again, Damage> {
    let mut again = Again { state: State::default(), version: 0, effects: Vec::new() };
    // The facts of one decision stand next to each other, and name one authority.
    for made in facts.chunk_by(|one, next| one.authority == next.authority) {
        let Some(first) = made.first() else { continue };
        let bad = |why: String| Damage::fact(first.seq, why);
        let found = |fact: &Fact| event_of(fact).map_err(|error| Damage::fact(fact.seq, format!("is none: {error}")));
        let events: Vec<Event> = made.iter().map(found).collect::<Result<_, _>>()?;
        let authority = fsck.store.authority(first.authority).await?;
        let authority = authority.ok_or_else(|| bad("has nobody behind it".into()))?;
        let ctx = Ctx { now: first.recorded_at, height: first.height, author: authority.author() };
        if made.iter().any(|fact| (fact.recorded_at, fact.height) != (ctx.now, ctx.height)) {
            return Err(bad("was decided at another time than those after it, by one word".into()));
        }
        let command = command(fsck, id, &authority, &events).map_err(&bad)?;
        registry.check(first.seq, &command).map_err(&bad)?;
        away.check(&again.state, first.seq, &command).map_err(&bad)?;
        let effects = match Escrow::decide(&again.state, command, &ctx) {
            Ok(Decision::Accept { events: decided, effects }) if decided == events => effects,
            Ok(_) => return Err(bad("is not what the rules decide".into())),
            Err(rejection) => return Err(bad(format!("is not what the rules decide: {rejection}"))),
        };
        again.effects.extend(effects);
        again.state = events.iter().fold(again.state, Escrow::evolve);
        again.version = made.last().map_or(again.version, |last| last.version);
    }
    Ok(again)
}

/// The command that an authority gives, with what the node adds to it.
fn command(fsck: &Fsck, id: Id<Task>, authority: &Authority, events: &[Event]) -> Result<Command, String> {
    const ANOTHER: &str = "has a request behind it that asks for something else";
    let request = match authority {
        Authority::Request(request) => request,
        Authority::Node { command, .. } => {
            let command = canonical::decode::<NodeCommand>("node's command", command);
            return command.map(Command::Node).map_err(|error| format!("has a word behind it that is none: {error}"));
        }
    };
    let Some(Asked::Task { task, action }) = fsck.requests.read(request) else { return Err(ANOTHER.into()) };
    if task != id {
        return Err(ANOTHER.into());
    }
    let command = match (action, events) {
        (Action::Create(terms), [Event::TaskCreated { policy, .. }]) => {
            UserCommand::CreateTask { id, terms, policy: Box::new(policy.clone()) }
        }
        (Action::Accept(texts), _) => UserCommand::AcceptTask { invoices: read_all(fsck, texts)? },
        (Action::OfferRenewal { milestone, invoices }, _) => {
            UserCommand::OfferRenewal { milestone, invoices: read_all(fsck, invoices)? }
        }
        (Action::Fund, _) => UserCommand::RequestFunding,
        (Action::FundWithBond(invoice), _) => UserCommand::FundWithBond { invoice: Box::new(read_one(fsck, invoice)?) },
        (Action::Submit { milestone, work_hash }, _) => UserCommand::SubmitWork { milestone, work_hash },
        (Action::Approve { milestone, tranches }, _) => UserCommand::ApproveWork { milestone, tranches },
        (Action::Reject { milestone, reason_hash }, _) => UserCommand::RejectWork { milestone, reason_hash },
        (Action::Cancel, _) => UserCommand::CancelTask,
        (Action::Concede { milestone }, _) => UserCommand::ConcedeWork { milestone },
        (
            Action::OpenDispute { milestone },
            [Event::DisputeOpened { event: dispute::Event::DisputeOpened { opening, .. }, .. }],
        ) => {
            let (conflicts, registry_seq) = (opening.conflicts.clone(), opening.registry_seq);
            UserCommand::OpenDispute { milestone, docket: Docket { id: opening.id, conflicts, registry_seq } }
        }
        (Action::Dispute { milestone, command }, _) => UserCommand::Dispute { milestone, command },
        (Action::CollectReward { milestone, invoice }, _) => {
            UserCommand::CollectReward { milestone, invoice: Box::new(read_one(fsck, invoice)?) }
        }
        (Action::Create(_) | Action::OpenDispute { .. } | Action::Erase | Action::EraseEvidence { .. }, _) => {
            return Err(ANOTHER.into());
        }
    };
    Ok(Command::User(command))
}

fn read_all(fsck: &Fsck, texts: Vec<String>) -> Result<Vec<(String, InvoiceFacts)>, String> {
    texts.into_iter().map(|text| read_one(fsck, text)).collect()
}

fn read_one(fsck: &Fsck, text: String) -> Result<(String, InvoiceFacts), String> {
    match fsck.invoices.read(&text) {
        // Whose invoice it was, and whether its hash was paid before, only that node knew then.
        Ok(facts) => Ok((text, InvoiceFacts { payee_is_self: false, hash_was_paid: false, ..facts })),
        Err(error) => Err(format!("has an invoice that cannot be read: {error}")),
    }
}
