//! Whether what stands behind a fact asks for that fact: of its task, and in its words.
//!
//! A signature shows that somebody said something. Only this shows that what they said is what was recorded.

use std::collections::BTreeSet;
use tallystick_civics::{
    dispute,
    registry::{Command, Event as RegistryEvent, NodeCommand as Reported, OperatorCommand, UserCommand},
};
use tallystick_core::{Authority, Code, Coded, Fact, Id, NostrKey, SignedRequest, canonical};
use tallystick_escrow::{Event, NodeCommand, RefundReason, ReleaseReason, Task};

use crate::{
    anchor::event::{AnchorEvent, STREAM as ANCHORS},
    away::{self, STREAM as AWAY},
    change::{stream_of, task_of},
    erase::{ERASED, Erased, STREAM as JOURNAL},
    port::request::{Action, Asked, RequestReader},
    registry::{self, is_arbitrator},
    roles::{STREAM as ROLES, cause as roles},
    standing::{KEPT, Kept},
    vault::{EvidenceErased, STREAMS as EVIDENCE},
};

/// Who may say what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted {
    /// The node's own key. Nobody's word counts as the node's but this one's, if it is named.
    pub node: Option<NostrKey>,
    /// Who may have a task's contents, or evidence, erased. Anybody's request counts if nobody is named.
    pub operators: BTreeSet<NostrKey>,
}

/// Why what stands behind a fact does not ask for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CauseError {
    /// The request asks for something else.
    #[error("the signed request behind the fact asks for something else")]
    OtherRequest,
    /// The node's word reports something else.
    #[error("the node's word behind the fact is for something else")]
    OtherWord,
    /// It is not this node's word.
    #[error("the word behind the fact is by {0}, which is not the node's key")]
    OtherNode(NostrKey),
    /// Whoever asked for an erasure is no operator.
    #[error("{0} asked to erase, and is no operator that is named")]
    NotOperator(NostrKey),
    /// Whoever asked is not the party of the task that may ask for it.
    #[error("{by} asked for fact {seq}, and another fact of its task names somebody else as the one who may")]
    NotParty {
        /// The fact.
        seq: u64,
        /// Who asked.
        by: NostrKey,
    },
    /// No such fact is known.
    #[error("this program knows no such fact")]
    Unknown,
}

impl Coded for CauseError {
    fn code(&self) -> Code {
        match self {
            Self::OtherRequest => Code("bundle.other_request"),
            Self::OtherWord => Code("bundle.other_word"),
            Self::OtherNode(_) => Code("bundle.other_node"),
            Self::NotOperator(_) => Code("bundle.not_operator"),
            Self::NotParty { .. } => Code("bundle.not_party"),
            Self::Unknown => Code("bundle.unknown_fact"),
        }
    }
}

/// Checks that an authority asks for the fact that names it. That it is signed is
/// [`tallystick_bundle::check_authority`]'s to check. Of a fact whose contents are not told, task and kind are compared.
/// Whether whoever asked is a party of the task, and the rules allowed it, only the facts before it can tell.
///
/// # Errors
/// [`CauseError`].
pub fn check_cause(
    fact: &Fact,
    authority: &Authority,
    requests: &dyn RequestReader,
    trusted: &Trusted,
) -> Result<(), CauseError> {
    match authority {
        Authority::Request(request) => asked(fact, request, requests, trusted),
        Authority::Node { author, .. } if trusted.node.is_some_and(|node| node != *author) => {
            Err(CauseError::OtherNode(*author))
        }
        Authority::Node { command, .. } => reported(fact, command),
    }
}

fn asked(
    fact: &Fact,
    request: &SignedRequest,
    requests: &dyn RequestReader,
    trusted: &Trusted,
) -> Result<(), CauseError> {
    let by = request.author;
    if fact.stream == ROLES {
        return roles::asked(fact, by, requests.read_admin(request));
    }
    let (task, action) = match requests.read(request).ok_or(CauseError::OtherRequest)? {
        Asked::Task { task, action } => (task, action),
        Asked::Registry(command) => return registered(fact, by, &command, trusted),
    };
    let fits = match fact.stream.as_str() {
        JOURNAL => {
            let stream = erasing(fact).ok_or(CauseError::Unknown)?;
            operator(by, trusted)?;
            action == Action::Erase && stream == stream_of(task)
        }
        ANCHORS => false,
        AWAY => false,
        stream if stream.starts_with(EVIDENCE) => {
            let EvidenceErased { matter, .. } = EvidenceErased::of(fact).ok_or(CauseError::Unknown)?;
            operator(by, trusted)?;
            (task, action) == (matter.task, Action::EraseEvidence { dispute: matter.dispute })
        }
        stream if is_arbitrator(stream) => false,
        stream if task_of(stream).map_err(|_| CauseError::Unknown)? != task => false,
        _ => match told(fact)? {
            Some(event) => leads_to(task, by, &action, &event),
            None => can_ask_for(&action, &fact.kind),
        },
    };
    if fits { Ok(()) } else { Err(CauseError::OtherRequest) }
}

/// The stream whose erasure a fact of the journal's own belongs to.
fn erasing(fact: &Fact) -> Option<String> {
    let kept = || Kept::of(fact).ok().flatten().map(|kept| stream_of(kept.deal.task.same()));
    Erased::of(fact).map(|erased| erased.stream).or_else(kept)
}

/// Whoever asked may erase.
fn operator(by: NostrKey, trusted: &Trusted) -> Result<(), CauseError> {
    let named = trusted.operators.is_empty() || trusted.operators.contains(&by);
    if named { Ok(()) } else { Err(CauseError::NotOperator(by)) }
}

fn reported(fact: &Fact, command: &[u8]) -> Result<(), CauseError> {
    let fits = match fact.stream.as_str() {
        JOURNAL if fact.kind == ERASED || fact.kind == KEPT => return Err(CauseError::OtherRequest),
        JOURNAL => return Err(CauseError::Unknown),
        ROLES => return roles::reported(fact, command),
        ANCHORS => canonical::encode(&AnchorEvent::of(fact).map_err(|_| CauseError::Unknown)?) == command,
        AWAY => fact.kind == away::AWAY && fact.body.content() == Some(command),
        stream if stream.starts_with(EVIDENCE) => {
            canonical::encode(&EvidenceErased::of(fact).ok_or(CauseError::Unknown)?) == command
        }
        stream if is_arbitrator(stream) => served(fact, command)?,
        stream => {
            task_of(stream).map_err(|_| CauseError::Unknown)?;
            let command = canonical::decode("node's command", command).map_err(|_| CauseError::OtherWord)?;
            match told(fact)? {
                Some(event) => makes(&command, &event),
                None => can_report(&command, &fact.kind),
            }
        }
    };
    if fits { Ok(()) } else { Err(CauseError::OtherWord) }
}

/// Whether an arbitrator, or an operator, asked for a fact of the registry.
fn registered(fact: &Fact, by: NostrKey, asked: &Command, trusted: &Trusted) -> Result<(), CauseError> {
    let arbitrator = registry::arbitrator_of(&fact.stream).map_err(|_| CauseError::OtherRequest)?;
    let event = registry::event_of(fact).map_err(|_| CauseError::Unknown)?;
    let may_operate = trusted.operators.is_empty() || trusted.operators.contains(&by);
    let fits = match (asked, event) {
        (
            Command::User(UserCommand::Register { statement_hash, pay }),
            RegistryEvent::ArbitratorRegistered { arbitrator: who, statement_hash: hash, pay: told },
        ) => (by, *statement_hash, pay) == (who, hash, &told) && by == arbitrator,
        (Command::User(UserCommand::Pause), RegistryEvent::ArbitratorPaused)
        | (Command::User(UserCommand::Resume), RegistryEvent::ArbitratorResumed)
        | (Command::User(UserCommand::Withdraw), RegistryEvent::ArbitratorWithdrawn) => by == arbitrator,
        (Command::Operator(_), _) if !may_operate => return Err(CauseError::NotOperator(by)),
        (Command::Operator(OperatorCommand::Admit { arbitrator: who, .. }), RegistryEvent::ArbitratorAdmitted)
        | (Command::Operator(OperatorCommand::Suspend { arbitrator: who }), RegistryEvent::ArbitratorSuspended) => {
            *who == arbitrator
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(CauseError::OtherRequest) }
}

/// Whether the node's word reports what a fact of the registry tells.
fn served(fact: &Fact, command: &[u8]) -> Result<bool, CauseError> {
    let event = registry::event_of(fact).map_err(|_| CauseError::Unknown)?;
    let command = canonical::decode("node's command", command).map_err(|_| CauseError::OtherWord)?;
    let Reported::RecordService { dispute, did } = command;
    Ok(event == RegistryEvent::ArbitratorServed { dispute, did })
}

/// The event that a task's fact tells. Nothing if its contents are not known here.
fn told(fact: &Fact) -> Result<Option<Event>, CauseError> {
    let Some(content) = fact.body.content() else { return Ok(None) };
    let event = canonical::decode::<Event>("escrow event", content).map_err(|_| CauseError::Unknown)?;
    if event.kind() == fact.kind { Ok(Some(event)) } else { Err(CauseError::Unknown) }
}

/// The kinds of facts that a request can lead to.
fn kinds_of(action: &Action) -> &'static [&'static str] {
    match action {
        Action::Create(_) => &[Event::CREATED],
        Action::Accept(_) => &[Event::ACCEPTED],
        Action::Fund => &[Event::FUNDING_REQUESTED],
        Action::FundWithBond(_) => &[Event::BOND_OFFERED, Event::FUNDING_REQUESTED],
        Action::Submit { .. } => &[Event::WORK_SUBMITTED],
        Action::OfferRenewal { .. } => &[Event::RENEWAL_OFFERED],
        Action::Approve { .. } => &[Event::RELEASE_BEGUN, Event::PAYOUT_BEGUN, CLOSED],
        Action::Reject { .. } => &[Event::WORK_REJECTED, Event::REFUND_BEGUN, Event::REFUND_PLANNED],
        Action::Cancel => &[Event::CANCELLED, Event::REFUND_BEGUN],
        Action::Concede { .. } => &[Event::REFUND_BEGUN, CLOSED],
        Action::OpenDispute { .. } => &[Event::DISPUTE_OPENED],
        Action::CollectReward { .. } => &[Event::REWARD_BEGUN],
        // What goes on in a dispute: see `can_ask_for`.
        Action::Dispute { .. } | Action::Erase | Action::EraseEvidence { .. } => &[],
    }
}

fn leads_to(task: Id<Task>, by: NostrKey, action: &Action, event: &Event) -> bool {
    match (action, event) {
        (Action::Create(asked), Event::TaskCreated { id, requester, terms, .. }) => {
            (*id, *requester, terms) == (task, by, asked)
        }
        (Action::Accept(texts), Event::TaskAccepted { worker, invoices }) => {
            *worker == by && invoices.iter().map(|invoice| &invoice.bolt11).eq(texts)
        }
        (Action::Fund | Action::FundWithBond(_), Event::FundingRequested { .. }) => true,
        (Action::FundWithBond(text), Event::BondOffered { invoice }) => invoice.bolt11 == *text,
        (Action::Submit { milestone, work_hash }, Event::WorkSubmitted { milestone: of, work_hash: made, .. }) => {
            (milestone, work_hash) == (of, made)
        }
        (
            Action::OfferRenewal { milestone, invoices: texts },
            Event::RenewalOffered { milestone: of, invoices, .. },
        ) => milestone == of && invoices.iter().map(|invoice| &invoice.bolt11).eq(texts),
        (Action::Approve { milestone, tranches }, Event::ReleaseBegun { milestone: of, tranches: made, reason }) => {
            let named = tranches.as_ref().is_none_or(|named| made.iter().all(|tranche| named.contains(tranche)));
            named && milestone == of && *reason == ReleaseReason::Approved
        }
        (Action::Approve { .. }, Event::PayoutBegun { attempt, .. }) => *attempt == 1,
        (Action::Reject { milestone, reason_hash }, Event::WorkRejected { milestone: of, reason_hash: made }) => {
            (milestone, reason_hash) == (of, made)
        }
        (Action::Reject { milestone, .. }, Event::RefundBegun { milestone: of, reason }) => {
            *of == Some(*milestone) && *reason == RefundReason::Rejected
        }
        (Action::Reject { milestone, .. }, Event::RefundPlanned { milestone: of, reason, .. }) => {
            milestone == of && *reason == RefundReason::Rejected
        }
        (Action::Concede { milestone }, Event::RefundBegun { milestone: of, reason }) => {
            *of == Some(*milestone) && *reason == RefundReason::Conceded
        }
        (
            Action::Approve { milestone, .. } | Action::Concede { milestone },
            Event::Dispute { milestone: of, event: dispute::Event::DisputeClosed },
        ) => milestone == of,
        (
            Action::OpenDispute { milestone },
            Event::DisputeOpened {
                milestone: of, event: dispute::Event::DisputeOpened { opening, by: side, .. }, ..
            },
        ) => milestone == of && opening.side_of(by) == Some(*side),
        (Action::Dispute { milestone, command }, Event::Dispute { milestone: of, event }) => {
            milestone == of && did(by, command, event)
        }
        (Action::Dispute { milestone, .. }, event) => follows_a_dispute(*milestone, event),
        (Action::CollectReward { invoice, .. }, Event::RewardBegun { arbitrator, invoice: made, .. }) => {
            *arbitrator == by && made.bolt11 == *invoice
        }
        (Action::Cancel, Event::TaskCancelled { by: who }) => *who == by,
        (Action::Cancel, Event::RefundBegun { reason, .. }) => {
            matches!(reason, RefundReason::CancelledByRequester | RefundReason::CancelledByWorker)
        }
        _ => false,
    }
}

/// Whether somebody's command to a dispute leads to this fact of it.
fn did(by: NostrKey, asked: &dispute::UserCommand, event: &dispute::Event) -> bool {
    use dispute::{Cause, Event as E, UserCommand as U};
    match (asked, event) {
        (U::FileEvidence { hash, bytes }, E::EvidenceFiled { hash: filed, bytes: size, .. }) => {
            (hash, bytes) == (filed, size)
        }
        (U::AcceptSeat, E::SeatAccepted { arbitrator }) | (U::RefuseSeat, E::SeatRefused { arbitrator, .. }) => {
            *arbitrator == by
        }
        (U::CommitVote { commitment }, E::VoteCommitted { arbitrator, commitment: made }) => {
            (by, commitment) == (*arbitrator, made)
        }
        (U::RevealVote { award, salt }, E::VoteRevealed { arbitrator, award: shown, salt: with }) => {
            (by, award, salt) == (*arbitrator, shown, with)
        }
        (U::AcceptRuling, E::RulingAccepted { .. }) | (U::Withdraw, E::DisputeWithdrawn) => true,
        (asked, E::RoundBegun { cause: Cause::Appeal { .. }, .. }) => *asked == U::Appeal,
        (_, event) => dispute::Event::STEPS.contains(&event.kind()),
    }
}

/// Whether a fact carries out what a milestone's dispute came to.
fn follows_a_dispute(milestone: u32, event: &Event) -> bool {
    match event {
        Event::ReleaseBegun { milestone: of, reason, .. } => *of == milestone && *reason == ReleaseReason::Ruled,
        Event::BondTaken { reason, .. } => *reason == ReleaseReason::Ruled,
        Event::RefundBegun { milestone: of, reason } => {
            *of == Some(milestone) && matches!(reason, RefundReason::Ruled | RefundReason::BlocksRanOut)
        }
        Event::ReviewResumed { milestone: of, .. } | Event::RefundPlanned { milestone: of, .. } => *of == milestone,
        Event::PayoutBegun { attempt, .. } => *attempt == 1,
        _ => false,
    }
}

/// The kind of the fact that a dispute was closed by its host.
const CLOSED: &str = dispute::Event::CLOSED;
/// The kinds of facts that carry out what a dispute came to.
const CARRIED_OUT: &[&str] = &[
    Event::BOND_TAKEN,
    Event::RELEASE_BEGUN,
    Event::PAYOUT_BEGUN,
    Event::REFUND_BEGUN,
    Event::REVIEW_RESUMED,
    Event::REFUND_PLANNED,
];

/// Whether a fact of this kind can follow when a dispute goes on.
fn goes_on(kind: &str) -> bool {
    dispute::Event::STEPS.contains(&kind) || CARRIED_OUT.contains(&kind)
}

/// Whether a request can lead to a fact of this kind.
fn can_ask_for(action: &Action, kind: &str) -> bool {
    let in_dispute = matches!(action, Action::Dispute { .. });
    kinds_of(action).contains(&kind) || (in_dispute && (dispute::Event::ASKED_FOR.contains(&kind) || goes_on(kind)))
}

/// Whether the node's word can lead to a fact of this kind.
fn can_report(command: &NodeCommand, kind: &str) -> bool {
    use NodeCommand as N;
    let in_dispute = matches!(command, N::Wake | N::WakeKnowing { .. } | N::RecordDraw { .. });
    // The last hold that is gone, a bond's perhaps, ends the task; before that, bonds go back.
    let is_beginning =
        matches!(command, N::RecordHoldInvoice { .. } | N::RecordHoldLocked { .. } | N::RecordHoldRefused { .. });
    let is_end = match kind {
        Event::BOND_RETURN_BEGUN => !is_beginning,
        Event::TASK_SETTLED | Event::TASK_REFUNDED => !is_beginning && !in_dispute,
        _ => false,
    };
    is_end || kinds_after(command).contains(&kind) || (in_dispute && goes_on(kind))
}

/// The kinds of facts that a node's word can lead to.
fn kinds_after(command: &NodeCommand) -> &'static [&'static str] {
    match command {
        NodeCommand::RecordHoldInvoice { .. } => &[Event::HOLD_INVOICE_MADE, Event::RENEWAL_INVOICE_MADE],
        NodeCommand::RecordHoldLocked { .. } => &[Event::HOLD_LOCKED, Event::TASK_HELD, Event::HOLD_RENEWED],
        NodeCommand::RecordHoldLost { .. } => &[
            Event::HOLD_LOST,
            Event::REPLACED_HOLD_RETURNED,
            Event::REFUND_BEGUN,
            CLOSED,
            Event::TASK_SETTLED,
            Event::TASK_REFUNDED,
        ],
        NodeCommand::RecordHoldReturned { .. } => {
            &[Event::HOLD_RETURNED, Event::REPLACED_HOLD_RETURNED, Event::TASK_SETTLED, Event::TASK_REFUNDED]
        }
        NodeCommand::RecordHoldClaimed { .. } => {
            &[Event::HOLD_CLAIMED, Event::HOLD_SPENT, Event::OTHER_HOLD_SPENT, CLOSED, Event::TASK_SETTLED]
        }
        NodeCommand::RecordPayoutPaid { .. } => &[
            Event::PAYOUT_PAID,
            Event::HOLD_SPENT,
            Event::OTHER_HOLD_SPENT,
            Event::REWARD_PAID,
            CLOSED,
            Event::TASK_SETTLED,
        ],
        NodeCommand::RecordPayoutFailed { .. } => &[
            Event::PAYOUT_FAILED,
            Event::PAYOUT_BEGUN,
            Event::TRANCHE_REFUND_BEGUN,
            Event::REWARD_FAILED,
            Event::REWARD_BEGUN,
            Event::TASK_SETTLED,
            Event::TASK_REFUNDED,
        ],
        NodeCommand::Wake | NodeCommand::WakeKnowing { .. } => {
            &[Event::TASK_EXPIRED, Event::REFUND_BEGUN, Event::RELEASE_BEGUN, Event::PAYOUT_BEGUN]
        }
        NodeCommand::RecordDraw { .. } => &[dispute::Event::PANEL_DRAWN],
        NodeCommand::RecordHoldSpent { .. } => {
            &[Event::HOLD_SPENT, Event::OTHER_HOLD_SPENT, CLOSED, Event::TASK_SETTLED]
        }
        NodeCommand::RecordHoldRefused { .. } => &[Event::TASK_EXPIRED, Event::REFUND_BEGUN, Event::RENEWAL_REFUSED],
    }
}

/// Whether a panel was drawn from what the node reported.
fn is_drawn(command: &NodeCommand, event: &dispute::Event) -> bool {
    match (command, event) {
        (
            NodeCommand::RecordDraw { block_height, block_hash, candidates, registry_seq, .. },
            dispute::Event::PanelDrawn {
                block_height: at, block_hash: hash, candidates: list, registry_seq: seq, ..
            },
        ) => (block_height, block_hash, registry_seq) == (at, hash, seq) && candidates.digest() == *list,
        _ => false,
    }
}

fn makes(command: &NodeCommand, event: &Event) -> bool {
    match (command, event) {
        (told, Event::ReplacedHoldReturned { hash, .. } | Event::OtherHoldSpent { hash, .. })
            if told.hash() != Some(*hash) =>
        {
            false
        }
        (
            NodeCommand::RecordHoldInvoice { bolt11, .. },
            Event::HoldInvoiceMade { bolt11: made, .. } | Event::RenewalInvoiceMade { bolt11: made, .. },
        ) => bolt11 == made,
        (
            NodeCommand::RecordHoldLocked { amount, claim_deadline, .. },
            Event::HoldLocked { amount: locked, claim_deadline: until, .. }
            | Event::HoldRenewed { amount: locked, claim_deadline: until, .. },
        ) => (amount, claim_deadline) == (locked, until),
        (NodeCommand::RecordHoldClaimed { amount, .. }, Event::HoldClaimed { amount: claimed, .. }) => {
            amount == claimed
        }
        (NodeCommand::RecordPayoutPaid { fee, .. }, Event::PayoutPaid { fee: paid, .. }) => fee == paid,
        (
            NodeCommand::RecordPayoutPaid { fee, .. },
            Event::HoldSpent { fee: paid, .. } | Event::OtherHoldSpent { fee: paid, .. },
        ) => Some(*fee) == *paid,
        (NodeCommand::RecordPayoutFailed { reason, .. }, Event::PayoutFailed { reason: why, .. }) => reason == why,
        (NodeCommand::RecordPayoutPaid { fee, .. }, Event::RewardPaid { fee: paid, .. }) => fee == paid,
        (NodeCommand::RecordPayoutFailed { reason, .. }, Event::RewardFailed { reason: why, .. }) => reason == why,
        (
            NodeCommand::RecordPayoutFailed { .. },
            Event::PayoutBegun { attempt, .. } | Event::RewardBegun { attempt, .. },
        ) => *attempt > 1,
        (
            draw @ NodeCommand::RecordDraw { .. },
            Event::Dispute { event: event @ dispute::Event::PanelDrawn { .. }, .. },
        ) => is_drawn(draw, event),
        _ => can_report(command, event.kind()),
    }
}
