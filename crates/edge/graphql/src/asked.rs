//! Signed requests that facts name, read for whoever checks a journal.

use async_graphql::{InputType, Request, Value as ConstValue, parser::types::OperationType};
use nostr::event::Event;
use tallystick_app::{
    erase::erasure_of,
    port::{
        evidence::Matter,
        request::{Action, AdminAsked, Asked, Code, RequestReader},
    },
    vault,
};
use tallystick_civics::{
    dispute::UserCommand,
    registry::{self, Command, OperatorCommand},
    roles,
};
use tallystick_core::{SignedRequest, Timestamp};

use crate::{
    document::{self, Transport},
    evidence::{Arguments, LIMITS},
    http, posting,
    schema::{
        AdminActionInput, CreateTaskInput, Hex32, Msat, NodeRole, NostrKeyScalar, SecondFactor, Uuid, award_of,
        close_channel, pay,
    },
};

/// Reads what a signed GraphQL request asks for, as the node that ran it did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requests;

impl RequestReader for Requests {
    fn read(&self, request: &SignedRequest) -> Option<Asked> {
        let mut body = mutation(request)?;
        let arguments = Arguments::of_the_one(&mut body).filter(Arguments::is_run)?;
        let id = || value::<Uuid>(&arguments, "id").map(|id| id.0);
        let milestone = || value::<Option<u32>>(&arguments, "milestone").map(Option::unwrap_or_default);
        let hash = |name| value::<Hex32>(&arguments, name).map(|hash| hash.0);
        let action = match arguments.field() {
            "createTask" => {
                let input = value::<CreateTaskInput>(&arguments, "input")?;
                let task = match input.id {
                    Some(id) => id.0,
                    None => {
                        let event = Event::from_json(&request.event).ok()?;
                        posting::id_of(request.id, Timestamp::from_secs(event.created_at.as_secs()))
                    }
                };
                return Some(Asked::Task { task, action: Action::Create(input.into_terms()) });
            }
            "acceptTask" => Action::Accept(value(&arguments, "invoices")?),
            "fundingInvoice" => {
                value::<Option<String>>(&arguments, "bondInvoice")?.map_or(Action::Fund, Action::FundWithBond)
            }
            "submitWork" => Action::Submit { milestone: milestone()?, work_hash: hash("workHash")? },
            "offerRenewal" => {
                Action::OfferRenewal { milestone: milestone()?, invoices: value(&arguments, "invoices")? }
            }
            "approveWork" => Action::Approve { milestone: milestone()?, tranches: value(&arguments, "tranches")? },
            "rejectWork" => Action::Reject { milestone: milestone()?, reason_hash: hash("reasonHash")? },
            "cancelTask" => Action::Cancel,
            "concedeWork" => Action::Concede { milestone: milestone()? },
            "openDispute" => Action::OpenDispute { milestone: milestone()? },
            "collectReward" => {
                Action::CollectReward { milestone: milestone()?, invoice: value(&arguments, "invoice")? }
            }
            "eraseTask" => Action::Erase,
            "eraseEvidence" => Action::EraseEvidence { dispute: value::<Uuid>(&arguments, "dispute")?.of() },
            field => match in_dispute(field, &arguments) {
                Some(command) => Action::Dispute { milestone: milestone()?, command },
                None => return in_registry(field, &arguments).map(Asked::Registry),
            },
        };
        Some(Asked::Task { task: id()?, action })
    }

    fn read_admin(&self, request: &SignedRequest) -> Option<AdminAsked> {
        let mut body = mutation(request)?;
        let arguments = Arguments::of_the_one(&mut body).filter(Arguments::is_run)?;
        let role = || {
            let (role, key) = (value::<NodeRole>(&arguments, "role")?, value::<NostrKeyScalar>(&arguments, "key")?);
            Some((role.into(), key.0))
        };
        let action = match arguments.field() {
            "propose" => return Some(AdminAsked::Propose(value::<AdminActionInput>(&arguments, "action")?.into())),
            "completeEnrolment" => return Some(AdminAsked::CompleteEnrolment(Code(value(&arguments, "code")?))),
            "enrol" => roles::Action::Enrol { admin: request.author },
            "grantRole" => role().map(|(role, key)| roles::Action::GrantRole { role, key })?,
            "withdrawRole" => role().map(|(role, key)| roles::Action::WithdrawRole { role, key })?,
            "nodePay" => pay(&value::<String>(&arguments, "invoice")?, value::<Msat>(&arguments, "feeLimitMsat")?),
            "nodeCloseChannel" => {
                let force = value::<Option<bool>>(&arguments, "force")?.unwrap_or_default();
                close_channel(&value::<String>(&arguments, "channelId")?, force)
            }
            "eraseTask" => erasure_of(value::<Uuid>(&arguments, "id")?.0),
            "eraseEvidence" => {
                let (task, dispute) = (value::<Uuid>(&arguments, "id")?.0, value::<Uuid>(&arguments, "dispute")?.of());
                vault::erasure_of(Matter { task, dispute })
            }
            _ => return None,
        };
        let factor = value::<Option<SecondFactor>>(&arguments, "secondFactor")?;
        Some(AdminAsked::Act(action, SecondFactor::said(factor)))
    }
}

/// The mutation in a request.
fn mutation(request: &SignedRequest) -> Option<Request> {
    let mut body = http::read(&request.body).ok()?;
    let kind = document::check(&mut body, Transport::Post, LIMITS).ok()?;
    (kind == OperationType::Mutation).then_some(body)
}

/// What is asked of a dispute.
fn in_dispute(field: &str, arguments: &Arguments<'_>) -> Option<UserCommand> {
    let hash = |name| value::<Hex32>(arguments, name).map(|hash| hash.0);
    Some(match field {
        "withdrawDispute" => UserCommand::Withdraw,
        "submitEvidence" => UserCommand::FileEvidence { hash: hash("hash")?, bytes: value(arguments, "bytes")? },
        "acceptSeat" => UserCommand::AcceptSeat,
        "refuseSeat" => UserCommand::RefuseSeat,
        "commitVote" => UserCommand::CommitVote { commitment: hash("commitment")? },
        "revealVote" => UserCommand::RevealVote {
            award: award_of(&value::<Vec<u32>>(arguments, "toWorker")?)?,
            salt: hash("salt")?.0,
        },
        "appeal" => UserCommand::Appeal,
        "acceptRuling" => UserCommand::AcceptRuling,
        _ => return None,
    })
}

/// What is asked of the registry of arbitrators.
fn in_registry(field: &str, arguments: &Arguments<'_>) -> Option<Command> {
    let statement_hash = || value::<Hex32>(arguments, "statementHash").map(|hash| hash.0);
    let arbitrator = || value::<NostrKeyScalar>(arguments, "arbitrator").map(|key| key.0);
    Some(match field {
        "registerArbitrator" => Command::User(registry::UserCommand::Register {
            statement_hash: statement_hash()?,
            pay: value(arguments, "pay")?,
        }),
        "pauseArbitrator" => Command::User(registry::UserCommand::Pause),
        "resumeArbitrator" => Command::User(registry::UserCommand::Resume),
        "withdrawArbitrator" => Command::User(registry::UserCommand::Withdraw),
        "admitArbitrator" => {
            let (arbitrator, statement_hash) = (arbitrator()?, statement_hash()?);
            Command::Operator(OperatorCommand::Admit { arbitrator, statement_hash })
        }
        "suspendArbitrator" => Command::Operator(OperatorCommand::Suspend { arbitrator: arbitrator()? }),
        _ => return None,
    })
}

fn value<T: InputType>(arguments: &Arguments<'_>, name: &str) -> Option<T> {
    T::parse(Some(arguments.get(name).unwrap_or(ConstValue::Null))).ok()
}
