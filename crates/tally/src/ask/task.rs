//! `tally task`: what requesters and workers do.

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use serde_json::{Map, Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tallystick_core::{Id, NostrKey};
use tallystick_escrow::Task;

use super::{
    Api, Known, check_bond, check_funding, check_renewal, check_terms, check_worker, connect, documents, print,
    prove::prove,
};
use crate::cli::{Access, Milestone, NodeSide, OnSilence, PanelSize, Payee, TaskCommand};

/// The states in which nothing happens to a task any more.
const ENDS: [&str; 4] = ["SETTLED", "REFUNDED", "CANCELLED", "EXPIRED"];
/// Wallets pay holds of up to two days broadly: 2 · 144 blocks for work and review, the rest for payout and margins.
const FINAL_CLTV_USUAL: u64 = 600;

/// `tally task`.
///
/// # Errors
/// If the node refuses, with its code, or cannot be reached.
pub async fn run(access: Access, command: TaskCommand) -> Result<()> {
    let api = connect(&access)?;
    print::until_closed(answer(&api, command).await)
}

async fn answer(api: &Api, command: TaskCommand) -> Result<()> {
    let answer = match command {
        TaskCommand::Create { .. } => {
            let input = create_input(command)?;
            let task = api.create(input.clone()).await?;
            // An older task's id could come with an invoice that the node can settle already.
            ensure!(task["id"] == input["id"], "the node answered with another task, {}: do not fund it", task["id"]);
            warn_of_long_holds(&task);
            task
        }
        TaskCommand::Accept { id, invoices } => accept(api, &id, &invoices).await?,
        TaskCommand::Fund { id, bond_invoice, payee } => fund(api, &id, bond_invoice.as_deref(), &payee).await?,
        TaskCommand::FundBond { id, node } => fund_bond(api, &id, &node).await?,
        TaskCommand::Renew { id, milestone, invoices } => api.offer_renewal(&id, milestone, &invoices).await?,
        TaskCommand::FundRenewal { id, milestone, payee } => fund_renewal(api, &id, milestone, &payee).await?,
        TaskCommand::Submit { id, milestone, work_hash } => api.submit(&id, milestone, &work_hash.to_string()).await?,
        TaskCommand::Approve { id, milestone, tranches } => {
            let some = (!tranches.is_empty()).then_some(tranches.as_slice());
            api.approve(&id, milestone, some).await?
        }
        TaskCommand::Reject { id, milestone, reason_hash } => {
            api.reject(&id, milestone, &reason_hash.to_string()).await?
        }
        TaskCommand::Cancel { id } => api.cancel(&id).await?,
        TaskCommand::Show { id } => show(api, &id).await?,
        TaskCommand::Prove { id, out, wait_secs } => prove(api, &id, &out, Duration::from_secs(wait_secs)).await?,
        TaskCommand::List { states, requester, worker, first, after } => {
            let mut filter = Map::new();
            if !states.is_empty() {
                let states: Vec<_> = states.iter().map(|state| state.to_uppercase()).collect();
                filter.insert("states".into(), json!(states));
            }
            filter.extend(requester.map(|key| ("requester".into(), json!(key))));
            filter.extend(worker.map(|key| ("worker".into(), json!(key))));
            let variables = json!({ "filter": filter, "first": first, "after": after });
            api.ask("tasks", &documents::tasks(), variables).await?
        }
        TaskCommand::Watch { id } => return watch(api, id).await,
    };
    print::pretty(&answer)
}

fn create_input(command: TaskCommand) -> Result<Value> {
    let TaskCommand::Create {
        title,
        description_hash,
        payouts_sat,
        work_hours,
        milestones,
        review_hours,
        on_silence,
        hold_blocks,
        renewal,
        panel,
        requester_bond_sat,
        worker_bond_sat,
        id,
    } = command
    else {
        anyhow::bail!("not a new task");
    };
    let now = since_epoch()?.as_secs();
    let milestones = match milestones.as_slice() {
        [] => vec![Milestone { title: title.clone(), work_hours, payouts_sat }],
        _ => milestones,
    };
    let milestone = |part: Milestone| {
        let deadline = part.work_hours.checked_mul(3_600).and_then(|span| now.checked_add(span));
        Ok(json!({
            "title": part.title,
            "payoutsSat": part.payouts_sat,
            "workDeadline": deadline.context("these hours of work are too many")?,
        }))
    };
    let id = id.map_or_else(new_id, Ok)?;
    let name = |term| match term {
        OnSilence::Release => "RELEASE",
        OnSilence::Refund => "REFUND",
    };
    let mut input = json!({
        "id": id,
        "title": title,
        "descriptionHash": description_hash.to_string(),
        "milestones": milestones.into_iter().map(milestone).collect::<Result<Vec<_>>>()?,
        "reviewWindowSecs": review_hours.checked_mul(3_600).context("--review-hours is too large")?,
        "onSilence": name(on_silence),
    });
    if let Some(blocks) = hold_blocks {
        input["holdBlocks"] = json!(blocks);
    }
    if let Some(missed) = renewal {
        input["renewal"] = json!(name(missed));
    }
    if let Some(size) = panel {
        input["panel"] = json!(match size {
            PanelSize::One => "ONE",
            PanelSize::Three => "THREE",
            PanelSize::Five => "FIVE",
        });
    }
    for (name, bond) in [("requesterBondSat", requester_bond_sat), ("workerBondSat", worker_bond_sat)] {
        if let Some(bond) = bond {
            input[name] = json!(bond);
        }
    }
    Ok(input)
}

async fn show(api: &Api, id: &str) -> Result<Value> {
    match api.task(id).await? {
        Value::Null => anyhow::bail!("no task has this id, or it was erased"),
        task => Ok(task),
    }
}

/// Takes a task, only if it is the one that its requester posted.
async fn accept(api: &Api, id: &str, invoices: &[String]) -> Result<Value> {
    let task = api.with_evidence(show(api, id).await?).await?;
    check_terms(&task, read_id(id)?).context("do not take it")?;
    api.accept(id, invoices).await
}

fn read_id(id: &str) -> Result<Id<Task>> {
    id.parse().context("this is no task's id")
}

/// A task's id, made here: who chooses it knows that the task is new.
fn new_id() -> Result<Id<Task>> {
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|_| anyhow::anyhow!("the system gives no random bytes"))?;
    Ok(Id::from_parts(u64::try_from(since_epoch()?.as_millis())?, random))
}

impl Payee {
    async fn known(&self, api: &Api, id: &str) -> Result<Known> {
        Ok(Known { worker: self.worker, ..self.node.known(api, id).await? })
    }
}

impl NodeSide {
    /// What is known to whoever asks, as the requester.
    async fn known(&self, api: &Api, id: &str) -> Result<Known> {
        let node_id = match &self.node_id {
            Some(node_id) => node_id.clone(),
            None => {
                let node = api.ask("node", "{ node { lightning { nodeId } } }", json!({})).await?;
                node["lightning"]["nodeId"].as_str().context("the node does not say who it is")?.to_owned()
            }
        };
        let node = node_id.parse().context("the node's public key must be 66 hexadecimal digits")?;
        let (id, requester, now) = (read_id(id)?, api.client().author(), since_epoch()?);
        Ok(Known { id, node, requester, fee_percent_max: self.fee_percent_max, worker: None, now })
    }
}

/// The funding invoices, only if they are what they should be: whoever sees them may pay them.
async fn fund(api: &Api, id: &str, bond_invoice: Option<&str>, payee: &Payee) -> Result<Value> {
    let known = payee.known(api, id).await?;
    let task = match bond_invoice {
        Some(invoice) => api.fund_with_bond(id, invoice).await?,
        None => api.fund(id).await?,
    };
    let task = api.with_evidence(task).await?;
    let found = check_funding(&task, &known).context("do not pay")?;
    if payee.worker.is_none() {
        tell_worker(found);
    }
    Ok(task)
}

/// The invoice for the worker's bond, only if it is what it should be: with the task it is all that a worker needs.
async fn fund_bond(api: &Api, id: &str, node: &NodeSide) -> Result<Value> {
    let known = node.known(api, id).await?;
    let task = api.with_bond_offer(api.with_evidence(show(api, id).await?).await?).await?;
    check_bond(&task, &known).context("do not pay")?;
    tell_time(&task, since_epoch()?.as_secs());
    Ok(task)
}

/// What a bond answers for: how much time there is for the work.
#[allow(clippy::print_stderr, reason = "the standard output is the task alone")]
fn tell_time(task: &Value, now: u64) {
    let (due, until) = (task["milestones"][0]["workDeadline"].as_u64(), task["fundUntil"].as_u64());
    if let Some((due, until)) = due.zip(until) {
        let [left, least] = [due.saturating_sub(now), due.saturating_sub(until)].map(|secs| secs / 60);
        eprintln!(
            "the first work is due in {left} minutes, {least} of which are left if the requester locks the money at the last moment: \
             do not pay if that is too little, since the bond answers for it"
        );
    }
}

/// The funding invoices of a renewal, only if they are what they should be. The worker is whoever took the task.
async fn fund_renewal(api: &Api, id: &str, milestone: u32, payee: &Payee) -> Result<Value> {
    let known = payee.known(api, id).await?;
    let task = api.with_renewals(api.with_evidence(show(api, id).await?).await?).await?;
    let posting = check_terms(&task, known.id).context("do not pay")?;
    ensure!(posting.requester == known.requester, "{} posted the task, not you", posting.requester);
    let worker = check_worker(&task, &known).context("do not pay")?;
    check_renewal(&task, milestone, worker, &known).context("do not pay")?;
    Ok(task)
}

/// Before the invoice: a node could be this worker itself.
#[allow(clippy::print_stderr, reason = "the standard output is the task alone")]
fn tell_worker(worker: NostrKey) {
    eprintln!("the worker is {worker}: pay only if you know that this is not the node itself (`--worker` checks it)");
}

fn since_epoch() -> Result<Duration> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?)
}

#[allow(clippy::print_stderr, reason = "the standard output is the task alone")]
fn warn_of_long_holds(task: &Value) {
    if let Some(delta) = task["finalCltvDelta"].as_u64().filter(|delta| *delta > FINAL_CLTV_USUAL) {
        eprintln!(
            "warning: the payer's wallet must allow a final CLTV delta of {delta} blocks; many refuse more than \
             {FINAL_CLTV_USUAL}. If yours does, cancel the task and give fewer hours."
        );
    }
}

async fn watch(api: &Api, id: Option<String>) -> Result<()> {
    let updates = api.client().subscribe(&documents::task_updates(), json!({ "id": id })).await?;
    let mut updates = std::pin::pin!(updates);
    while let Some(update) = updates.next().await {
        let task = &update?["taskUpdates"];
        print::line(task)?;
        let has_ended = task["state"].as_str().is_some_and(|state| ENDS.contains(&state));
        if has_ended && id.is_some() {
            return Ok(());
        }
    }
    anyhow::bail!("the node closed the connection")
}
