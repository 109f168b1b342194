//! Signed requests that facts name, read for whoever checks a journal.

use async_graphql::{InputType, Value as ConstValue, parser::types::OperationType};
use nostr::event::Event;
use tallystick_app::port::request::{Action, Asked, RequestReader};
use tallystick_core::{SignedRequest, Timestamp};

use crate::{
    document::{self, Transport},
    evidence::{Arguments, LIMITS},
    http, posting,
    schema::{CreateTaskInput, Hex32, Uuid},
};

/// Reads what a signed GraphQL request asks for, as the node that ran it did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requests;

impl RequestReader for Requests {
    fn read(&self, request: &SignedRequest) -> Option<Asked> {
        let mut body = http::read(&request.body).ok()?;
        if document::check(&mut body, Transport::Post, LIMITS).ok()? != OperationType::Mutation {
            return None;
        }
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
                return Some(Asked { task, action: Action::Create(input.into_terms()) });
            }
            "acceptTask" => Action::Accept(value(&arguments, "invoices")?),
            "fundingInvoice" => Action::Fund,
            "submitWork" => Action::Submit { milestone: milestone()?, work_hash: hash("workHash")? },
            "offerRenewal" => {
                Action::OfferRenewal { milestone: milestone()?, invoices: value(&arguments, "invoices")? }
            }
            "approveWork" => Action::Approve { milestone: milestone()?, tranches: value(&arguments, "tranches")? },
            "rejectWork" => Action::Reject { milestone: milestone()?, reason_hash: hash("reasonHash")? },
            "cancelTask" => Action::Cancel,
            "eraseTask" => Action::Erase,
            "eraseEvidence" => Action::EraseEvidence { dispute: value::<Uuid>(&arguments, "dispute")?.of() },
            _ => return None,
        };
        Some(Asked { task: id()?, action })
    }
}

fn value<T: InputType>(arguments: &Arguments<'_>, name: &str) -> Option<T> {
    T::parse(Some(arguments.get(name).unwrap_or(ConstValue::Null))).ok()
}
