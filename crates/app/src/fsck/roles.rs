//! The roles: each decision made again, and that whoever erased was let.

use std::collections::BTreeSet;
use tallystick_civics::roles::{Action, Checked, Command, Event, Proof, Roles, State};
use tallystick_core::{Authority, Ctx, Decider, Decision, Digest32, Fact, canonical};

use super::{Damage, Fsck, facts::Facts};
use crate::{
    roles::{STREAM, admin_command, event_of},
    vault::stream_of as evidence_of,
};

/// Checks the stream of the roles, and the erasures that admins made.
pub(super) async fn check(fsck: &Fsck, facts: &Facts) -> Result<(), Damage> {
    let (mut state, mut let_erase) = (State::default(), BTreeSet::new());
    for fact in fsck.store.stream(STREAM).await? {
        let event = event_of(&fact).map_err(|error| Damage::fact(fact.seq, format!("is none: {error}")))?;
        if event.is_public() != matches!(fact.body, tallystick_core::Body::Public(_)) {
            return Err(Damage::fact(fact.seq, "shows what is private, or hides what is public"));
        }
        again(fsck, &state, &fact, &event).await?;
        match &event {
            Event::ActionAuthorised { action: Action::Erase { stream }, .. } => {
                let_erase.insert((fact.authority, stream.clone()));
            }
            Event::ActionAuthorised { action: Action::EraseEvidence { dispute, .. }, .. } => {
                let_erase.insert((fact.authority, evidence_of(*dispute)));
            }
            _ => {}
        }
        state = Roles::evolve(state, &event);
    }
    erasures(facts, &let_erase)
}

fn erasures(facts: &Facts, let_erase: &BTreeSet<(Digest32, String)>) -> Result<(), Damage> {
    match facts.by_admins.iter().find(|made| !let_erase.contains(&(made.authority, made.stream.clone()))) {
        Some(made) => {
            Err(Damage::fact(made.seq, format!("tells that {} was erased, which nobody was let do", made.stream)))
        }
        None => Ok(()),
    }
}

async fn again(fsck: &Fsck, state: &State, fact: &Fact, event: &Event) -> Result<(), Damage> {
    let bad = |why: String| Err(Damage::fact(fact.seq, why));
    let Some(authority) = fsck.store.authority(fact.authority).await? else {
        return bad("has nobody behind it".into());
    };
    let ctx = Ctx { now: fact.recorded_at, height: fact.height, author: authority.author() };
    let command = match &authority {
        Authority::Node { command, .. } => match canonical::decode("node's command", command) {
            Ok(command) => Command::Node(command),
            Err(error) => return bad(format!("has a word behind it that is none: {error}")),
        },
        Authority::Request(request) => match fsck.requests.read_admin(request) {
            // Only the node knows an authenticator's secret: what it found of a code is taken from the fact.
            Some(asked) => admin_command(&asked, |_| found(event)),
            None => return bad("has a request behind it that asks for something else".into()),
        },
    };
    match Roles::decide(state, command, &ctx) {
        Ok(Decision::Accept { events, .. }) if events == [event.clone()] => Ok(()),
        Ok(_) => bad("is not what the rules decide".into()),
        Err(rejection) => bad(format!("is not what the rules decide: {rejection}")),
    }
}

/// What the node found of the code.
fn found(event: &Event) -> Checked {
    match event {
        Event::ActionAuthorised { proof: Proof::Code { step }, .. } | Event::EnrolmentCompleted { step, .. } => {
            Checked::Step(*step)
        }
        _ => Checked::Wrong,
    }
}
