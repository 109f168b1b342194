//! Whether what stands behind a fact of the roles asks for that fact.

use tallystick_civics::roles::{Action, Event, NodeCommand, Proof};
use tallystick_core::{Fact, NostrKey, canonical};

use super::event_of;
use crate::{
    cause::CauseError,
    port::request::{AdminAsked, FactorSaid},
};

/// An admin's request.
pub(crate) fn asked(fact: &Fact, by: NostrKey, asked: Option<AdminAsked>) -> Result<(), CauseError> {
    let asked = asked.ok_or(CauseError::OtherRequest)?;
    let fits = match told(fact)? {
        Some(event) => leads_to(by, &asked, &event),
        None => kinds_of(&asked).contains(&fact.kind.as_str()),
    };
    if fits { Ok(()) } else { Err(CauseError::OtherRequest) }
}

/// The node's own word.
pub(crate) fn reported(fact: &Fact, command: &[u8]) -> Result<(), CauseError> {
    let command = canonical::decode("node's command", command).map_err(|_| CauseError::OtherWord)?;
    let fits = match (command, told(fact)?) {
        (NodeCommand::Found { mut admins }, Some(Event::RolesFounded { admins: made })) => {
            admins.sort_unstable();
            admins.dedup();
            admins == made
        }
        (NodeCommand::Recover { admin }, Some(Event::AdminRecovered { admin: made })) => admin == made,
        _ => false,
    };
    if fits { Ok(()) } else { Err(CauseError::OtherWord) }
}

/// The event that a fact tells. Nothing if its contents are not known here.
fn told(fact: &Fact) -> Result<Option<Event>, CauseError> {
    if fact.body.content().is_none() {
        return Ok(None);
    }
    let event = event_of(fact).map_err(|_| CauseError::Unknown)?;
    if event.kind() == fact.kind { Ok(Some(event)) } else { Err(CauseError::Unknown) }
}

fn leads_to(by: NostrKey, asked: &AdminAsked, event: &Event) -> bool {
    match (asked, event) {
        (AdminAsked::Propose(action), Event::ActionProposed { by: who, action: made, .. }) => {
            (by, action) == (*who, made)
        }
        (AdminAsked::Act(action, said), Event::ActionAuthorised { by: who, action: made, proof }) => {
            let shown = match (said, proof) {
                (FactorSaid::Nothing, Proof::Alone) | (FactorSaid::Code(_), Proof::Code { .. }) => true,
                (FactorSaid::Confirms(number), Proof::Confirms { proposal }) => number == proposal,
                _ => false,
            };
            shown && (by, action) == (*who, made)
        }
        (AdminAsked::CompleteEnrolment(_), Event::EnrolmentCompleted { admin, .. }) => *admin == by,
        (
            AdminAsked::CompleteEnrolment(_) | AdminAsked::Act(_, FactorSaid::Code(_)),
            Event::CodeRefused { admin, .. },
        ) => *admin == by,
        _ => false,
    }
}

/// The kinds of facts that a request can lead to whose contents are private.
fn kinds_of(asked: &AdminAsked) -> &'static [&'static str] {
    match asked {
        AdminAsked::Propose(_) => &[Event::PROPOSED],
        AdminAsked::Act(Action::Enrol { .. }, _) => &[Event::ENROLMENT_BEGUN, Event::CODE_REFUSED],
        AdminAsked::Act(..) => &[Event::AUTHORISED, Event::CODE_REFUSED],
        AdminAsked::CompleteEnrolment(_) => &[Event::ENROLMENT_COMPLETED, Event::CODE_REFUSED],
    }
}
