//! Whether whoever asked for a fact is the party of the task that may: other facts of the task tell.

use tallystick_civics::dispute::{self, UserCommand};
use tallystick_core::{Authority, Fact, NostrKey, canonical};
use tallystick_escrow::Event;

use crate::{
    cause::CauseError,
    change::is_task,
    port::request::{Action, Asked, RequestReader},
};

/// What is known of whether a fact was asked for by a party.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nothing of the kind is to be known: nobody asked, or the fact itself names who did.
    Itself,
    /// Another fact names whoever asked as the party that may.
    Party,
    /// No fact that is here, with its contents, names the party that may.
    Unknown,
}

/// Checks that whoever asked for a fact is the party that may, by the facts of its task among `known`. That the request
/// asks for the fact is [`check_cause`](crate::cause::check_cause)'s to check, of this one and of all that are known.
///
/// # Errors
/// [`CauseError::NotParty`].
pub fn check_party(
    fact: &Fact,
    authority: &Authority,
    requests: &dyn RequestReader,
    known: &[&Fact],
) -> Result<Standing, CauseError> {
    let Authority::Request(request) = authority else { return Ok(Standing::Itself) };
    // An arbitrator's own stream names it, and who operates the facts of a task do not tell.
    if !is_task(&fact.stream) {
        return Ok(Standing::Itself);
    }
    let action = match requests.read(request) {
        Some(Asked::Task { action, .. }) => action,
        Some(Asked::Registry(_)) => return Err(CauseError::OtherRequest),
        None => return Err(CauseError::OtherRequest),
    };
    let before = known.iter().filter(|other| other.stream == fact.stream && other.version < fact.version);
    let (mut requester, mut worker, mut drawn) = (None, None, Vec::new());
    for event in before.filter_map(|other| canonical::decode::<Event>("escrow event", other.body.content()?).ok()) {
        match event {
            Event::TaskCreated { requester: by, .. } => requester = Some(by),
            Event::TaskAccepted { worker: by, .. } => worker = Some(by),
            Event::Dispute { event: dispute::Event::PanelDrawn { order, .. }, .. } => drawn.extend(order),
            _ => {}
        }
    }
    let by = request.author;
    let may: [Option<NostrKey>; 2] = match action {
        Action::Create(_) | Action::Accept(_) | Action::Erase | Action::EraseEvidence { .. } => {
            return Ok(Standing::Itself);
        }
        Action::Fund | Action::FundWithBond(_) | Action::Approve { .. } | Action::Reject { .. } => [requester; 2],
        Action::Submit { .. } | Action::OfferRenewal { .. } | Action::Concede { .. } => [worker; 2],
        Action::Cancel | Action::OpenDispute { .. } => [requester, worker],
        Action::Dispute { ref command, .. } if is_partys(command) => [requester, worker],
        Action::Dispute { .. } | Action::CollectReward { .. } => {
            return Ok(if drawn.contains(&by) { Standing::Party } else { Standing::Unknown });
        }
    };
    match may {
        may if may.contains(&Some(by)) => Ok(Standing::Party),
        [Some(_), Some(_)] => Err(CauseError::NotParty { seq: fact.seq, by }),
        _ => Ok(Standing::Unknown),
    }
}

/// Whether a party of a dispute does this, or else an arbitrator.
fn is_partys(command: &UserCommand) -> bool {
    match command {
        UserCommand::FileEvidence { .. } | UserCommand::Appeal | UserCommand::AcceptRuling | UserCommand::Withdraw => {
            true
        }
        UserCommand::AcceptSeat
        | UserCommand::RefuseSeat
        | UserCommand::CommitVote { .. }
        | UserCommand::RevealVote { .. } => false,
    }
}
