//! A node's public API, as a client uses it.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tallystick_graphql::client::{Client, Options, Tap};

use super::documents;

/// A client of one node, with one user's key.
#[derive(Clone)]
pub struct Api(Client);

impl Api {
    /// A client for the node at `url`.
    ///
    /// # Errors
    /// If the address is no URL.
    pub fn new(url: &str, keys: nostr::key::Keys) -> Result<Self> {
        Ok(Self(Client::new(url, keys)?))
    }

    /// A client with options, such as to speak without TLS.
    ///
    /// # Errors
    /// If the address is no URL.
    pub fn with_options(url: &str, keys: nostr::key::Keys, options: &Options) -> Result<Self> {
        Ok(Self(Client::with_options(url, keys, options)?))
    }

    /// The same, which also appends everything that it hears to `tap`.
    #[must_use]
    pub fn with_tap(self, tap: Tap) -> Self {
        Self(self.0.with_tap(tap))
    }

    /// The client below.
    pub fn client(&self) -> &Client {
        &self.0
    }

    /// Posts a task; `input` is the schema's `CreateTaskInput`.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn create(&self, input: Value) -> Result<Value> {
        let document = documents::task_mutation("createTask", "$input: CreateTaskInput!", "input: $input");
        self.mutate("createTask", &document, json!({ "input": input })).await
    }

    /// Takes a task.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn accept(&self, id: &str, invoices: &[String]) -> Result<Value> {
        let document =
            documents::task_mutation("acceptTask", "$id: UUID!, $invoices: [String!]!", "id: $id, invoices: $invoices");
        self.mutate("acceptTask", &document, json!({ "id": id, "invoices": invoices })).await
    }

    /// Asks for the funding invoices.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn fund(&self, id: &str) -> Result<Value> {
        self.step("fundingInvoice", id).await
    }

    /// The same with the requester's own invoice, to which the worker's bond would be paid.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn fund_with_bond(&self, id: &str, invoice: &str) -> Result<Value> {
        let arguments = "id: $id, bondInvoice: $invoice";
        let document = documents::task_mutation("fundingInvoice", "$id: UUID!, $invoice: String!", arguments);
        self.mutate("fundingInvoice", &document, json!({ "id": id, "invoice": invoice })).await
    }

    /// Hands in a milestone's work.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn submit(&self, id: &str, milestone: u32, work_hash: &str) -> Result<Value> {
        let variables = json!({ "id": id, "milestone": milestone, "hash": work_hash });
        self.of_milestone("submitWork", ("$hash: Hex32!", "workHash: $hash"), variables).await
    }

    /// Offers to renew the holds of what is undecided of a milestone.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn offer_renewal(&self, id: &str, milestone: u32, invoices: &[String]) -> Result<Value> {
        let variables = json!({ "id": id, "milestone": milestone, "invoices": invoices });
        self.of_milestone("offerRenewal", ("$invoices: [String!]!", "invoices: $invoices"), variables).await
    }

    /// Accepts a milestone's work, or some of its tranches.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn approve(&self, id: &str, milestone: u32, tranches: Option<&[u32]>) -> Result<Value> {
        let variables = json!({ "id": id, "milestone": milestone, "tranches": tranches });
        self.of_milestone("approveWork", ("$tranches: [Int!]", "tranches: $tranches"), variables).await
    }

    /// Refuses what is undecided of a milestone's work.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn reject(&self, id: &str, milestone: u32, reason_hash: &str) -> Result<Value> {
        let variables = json!({ "id": id, "milestone": milestone, "hash": reason_hash });
        self.of_milestone("rejectWork", ("$hash: Hex32!", "reasonHash: $hash"), variables).await
    }

    /// Steps back.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn cancel(&self, id: &str) -> Result<Value> {
        self.step("cancelTask", id).await
    }

    /// A task, or `null`.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn task(&self, id: &str) -> Result<Value> {
        self.ask("task", &documents::task(), json!({ "id": id })).await
    }

    /// The same task with what its parties signed.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn with_evidence(&self, mut task: Value) -> Result<Value> {
        let mut evidence = self.ask("task", documents::EVIDENCE, json!({ "id": task["id"] })).await?;
        for name in ["posting", "acceptance"] {
            task[name] = evidence[name].take();
        }
        Ok(task)
    }

    /// The same task with the requester's signed invoice for the worker's bond.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn with_bond_offer(&self, mut task: Value) -> Result<Value> {
        let mut offer = self.ask("task", documents::BOND_OFFER, json!({ "id": task["id"] })).await?;
        task["bondOffer"] = offer["bondOffer"].take();
        Ok(task)
    }

    /// The same task with the worker's offers to renew its holds, a milestone's in it.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn with_renewals(&self, mut task: Value) -> Result<Value> {
        let mut offers = self.ask("task", documents::RENEWALS, json!({ "id": task["id"] })).await?;
        let offered = offers["milestones"].as_array_mut().into_iter().flatten();
        let milestones = task["milestones"].as_array_mut().into_iter().flatten();
        milestones.zip(offered).for_each(|(part, offer)| part["renewalOffer"] = offer["renewalOffer"].take());
        Ok(task)
    }

    /// Anything else: the field `name` of the answer.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn ask(&self, name: &str, document: &str, variables: Value) -> Result<Value> {
        let mut data = self.0.query(document, variables).await?;
        data.get_mut(name).map(Value::take).with_context(|| format!("the node's answer has no {name}"))
    }

    /// A mutation of a milestone, with what it takes besides: variables and arguments. Answers the task.
    ///
    /// # Errors
    /// If the node refuses, with its code.
    pub async fn of_milestone(
        &self,
        name: &str,
        (variable, argument): (&str, &str),
        variables: Value,
    ) -> Result<Value> {
        let declared = format!("$id: UUID!, $milestone: Int!, {variable}");
        let document =
            documents::task_mutation(name, &declared, &format!("id: $id, milestone: $milestone, {argument}"));
        self.mutate(name, &document, variables).await
    }

    async fn step(&self, name: &str, id: &str) -> Result<Value> {
        let document = documents::task_mutation(name, "$id: UUID!", "id: $id");
        self.mutate(name, &document, json!({ "id": id })).await
    }

    async fn mutate(&self, name: &str, document: &str, variables: Value) -> Result<Value> {
        let mut payload = self.ask(name, document, variables).await?;
        payload.get_mut("task").map(Value::take).context("the node's answer has no task")
    }
}
