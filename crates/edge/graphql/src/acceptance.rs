//! What the parties of a task signed about invoices: the request that took it, and those that came after.

use async_graphql::{InputType, Request, Value as ConstValue, parser::types::OperationType};
use tallystick_core::{Id, NostrKey};
use tallystick_escrow::Task;

use crate::{
    document,
    error::EdgeError,
    evidence::{Arguments, Evidence},
};

/// The mutation with which a worker takes a task.
pub(crate) const FIELD: &str = "acceptTask";
/// The mutation with which a requester asks for its funding.
const FUNDING: &str = "fundingInvoice";
/// The mutation with which an arbitrator asks to be paid.
const REWARD: &str = "collectReward";

/// What a worker signed: that they take this task, and are paid with these invoices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Who signed.
    pub worker: NostrKey,
    /// The task.
    pub task: Id<Task>,
    /// The invoices (BOLT 11), tranche by tranche, as the worker wrote them.
    pub invoices: Vec<String>,
}

impl Acceptance {
    /// Reads a worker's signed request (NIP-98): the Nostr event as JSON, and the body that it commits to. When and for
    /// which address it was signed is not looked at.
    ///
    /// # Errors
    /// [`EdgeError`] if the event is not signed, not over this body, or the body does not take a task, and nothing else.
    pub fn try_new(event: &str, body: &str) -> Result<Self, EdgeError> {
        let mut evidence = Evidence::try_new(event, body)?;
        let found = evidence.arguments(FIELD).and_then(|arguments| read(&arguments));
        let (task, invoices) = found.ok_or_else(|| EdgeError::Invalid("this request does not take a task".into()))?;
        Ok(Self { worker: evidence.author, task, invoices })
    }
}

/// The mutation with which a worker offers to renew a milestone's holds.
const RENEWAL: &str = "offerRenewal";

/// What a worker signed: that the payouts of a milestone's undecided tranches are to be made on these invoices from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenewalOffer {
    /// Who signed.
    pub worker: NostrKey,
    /// The task.
    pub task: Id<Task>,
    /// The milestone's position, from 0.
    pub milestone: u32,
    /// The invoices (BOLT 11), tranche by tranche, as the worker wrote them.
    pub invoices: Vec<String>,
}

impl RenewalOffer {
    /// Reads a worker's signed request (NIP-98), as [`Acceptance::try_new`] does.
    ///
    /// # Errors
    /// [`EdgeError`] if the event is not signed, not over this body, or the body does not offer a renewal, and nothing else.
    pub fn try_new(event: &str, body: &str) -> Result<Self, EdgeError> {
        let mut evidence = Evidence::try_new(event, body)?;
        let found = evidence.arguments(RENEWAL).and_then(|arguments| {
            let (task, invoices) = read(&arguments)?;
            let milestone = arguments.get("milestone").unwrap_or(ConstValue::Null);
            let milestone = <Option<u32> as InputType>::parse(Some(milestone)).ok()?;
            Some((task, milestone.unwrap_or_default(), invoices))
        });
        let refused = || EdgeError::Invalid("this request does not offer to renew holds".into());
        let (task, milestone, invoices) = found.ok_or_else(refused)?;
        Ok(Self { worker: evidence.author, task, milestone, invoices })
    }
}

/// What a requester signed: that the worker's bond, if it is taken, is to be paid on this invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BondOffer {
    /// Who signed.
    pub requester: NostrKey,
    /// The task.
    pub task: Id<Task>,
    /// The invoice (BOLT 11), as the requester wrote it.
    pub invoice: String,
}

impl BondOffer {
    /// Reads a requester's signed request (NIP-98), as [`Acceptance::try_new`] does.
    ///
    /// # Errors
    /// [`EdgeError`] if the event is not signed, not over this body, or the body does not ask for funding with an invoice for
    /// the worker's bond, and nothing else.
    pub fn try_new(event: &str, body: &str) -> Result<Self, EdgeError> {
        let mut evidence = Evidence::try_new(event, body)?;
        let found = evidence.arguments(FUNDING).and_then(|arguments| {
            let ConstValue::String(invoice) = arguments.get("bondInvoice")? else { return None };
            Some((id_of(&arguments)?, invoice))
        });
        let refused = || EdgeError::Invalid("this request has no invoice for a worker's bond".into());
        let (task, invoice) = found.ok_or_else(refused)?;
        Ok(Self { requester: evidence.author, task, invoice })
    }
}

/// Whether a request makes the Lightning node read or make invoices: whatever it is wrapped in, and whether it is run or not.
pub(crate) fn has_invoices(request: &mut Request) -> bool {
    Arguments::of_the_one(request)
        .is_some_and(|arguments| [FIELD, RENEWAL, FUNDING, REWARD].contains(&arguments.field()))
}

/// Whether this checked request takes a task or renews its holds: its body may be larger than others.
pub(crate) fn is_acceptance(request: &mut Request) -> bool {
    let name = request.operation_name.clone();
    let document = request.parsed_query().ok();
    document.and_then(|document| document::only_field(document, name.as_deref())).is_some_and(|(operation, field)| {
        operation.ty == OperationType::Mutation && [FIELD, RENEWAL].contains(&field.name.node.as_str())
    })
}

/// The task and the invoices.
fn read(arguments: &Arguments<'_>) -> Option<(Id<Task>, Vec<String>)> {
    let invoices = match arguments.get("invoices")? {
        ConstValue::List(items) => items,
        // One item stands for a list of one (GraphQL, section 3.11).
        one => vec![one],
    };
    let text = |value| match value {
        ConstValue::String(text) => Some(text),
        _ => None,
    };
    Some((id_of(arguments)?, invoices.into_iter().map(text).collect::<Option<_>>()?))
}

fn id_of(arguments: &Arguments<'_>) -> Option<Id<Task>> {
    let ConstValue::String(id) = arguments.get("id")? else { return None };
    id.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "0193b1f4-7c3e-7000-8000-0123456789ab";

    const LIMITS: document::Limits = document::Limits { depth: 32, selections: 10_000 };

    fn invoices(query: &str, variables: serde_json::Value) -> Option<Vec<String>> {
        let mut request =
            crate::http::read(json!({ "query": query, "variables": variables }).to_string().as_bytes()).unwrap();
        document::check(&mut request, document::Transport::Post, LIMITS).unwrap();
        let (id, invoices) = read(&Arguments::of(&mut request, FIELD)?)?;
        assert_eq!(id.to_string(), ID);
        Some(invoices)
    }

    #[test]
    fn arguments_are_found_however_they_are_written() {
        let both = || json!({ "id": ID, "two": ["a", "b"], "a": "a" });
        for (expected, query) in [
            (
                &["a", "b"][..],
                "mutation($id: UUID!, $two: [String!]!) { acceptTask(id: $id, invoices: $two) { changed } }",
            ),
            (
                &["a", "b"],
                "mutation($id: UUID!, $a: String!) { x: acceptTask(invoices: [$a, \"b\"], id: $id) { changed } }",
            ),
            (&["a"], "mutation($id: UUID!, $a: String!) { acceptTask(id: $id, invoices: $a) { changed } }"),
            (&["c"], "mutation($id: UUID!, $c: [String!] = [\"c\"]) { acceptTask(id: $id, invoices: $c) { changed } }"),
            (
                &["c"],
                "mutation($id: UUID!) { ...f } fragment f on M { ... { acceptTask(id: $id, invoices: \"c\") { changed } } }",
            ),
        ] {
            assert_eq!(invoices(query, both()), Some(expected.iter().map(ToString::to_string).collect()), "{query}");
        }
    }

    #[test]
    fn what_is_not_surely_an_acceptance_is_none() {
        for query in [
            "mutation { cancelTask(id: \"x\") { changed } }",
            "mutation { acceptTask: cancelTask(id: \"x\", invoices: \"a\") { changed } }",
            "mutation { acceptTask(id: \"x\", invoices: \"a\") { changed } }",
            "mutation { acceptTask(id: $id) { changed } }",
            "mutation { acceptTask(id: $id, invoices: [$none]) { changed } }",
            "mutation { acceptTask(id: $id, invoices: [1]) { changed } }",
            "mutation { acceptTask(id: $id, invoices: \"a\") @skip(if: true) { changed } }",
        ] {
            assert_eq!(invoices(query, json!({ "id": ID })), None, "{query}");
        }
    }
}
