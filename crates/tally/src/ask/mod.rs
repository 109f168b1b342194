//! `tally task`, `tally node` and `tally key`: a client that signs every request.
#![allow(clippy::print_stdout, reason = "a command line prints")]

mod api;
pub mod documents;
mod node;

use anyhow::{Context, Result};
use futures::StreamExt;
use serde_json::{Map, Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

pub use api::Api;
pub use node::run as node;

use crate::{
    cli::{Access, KeyCommand, KeyFile, OnSilence, TaskCommand},
    secret,
};

/// `tally key`.
///
/// # Errors
/// If the key cannot be made or opened.
pub fn key(command: KeyCommand) -> Result<()> {
    let path = |file: &KeyFile| file.key.clone().map_or_else(secret::default_key_path, Ok);
    let keys = match &command {
        KeyCommand::New(file) => {
            let path = path(file)?;
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
            }
            let keys = secret::new_key(&path, &secret::passphrase(file.passphrase_file.as_deref(), true)?)?;
            eprintln_path("made", &path);
            keys
        }
        KeyCommand::Show(file) => {
            secret::open_key(&path(file)?, &secret::passphrase(file.passphrase_file.as_deref(), false)?)?
        }
    };
    println!("{}", keys.public_key().to_hex());
    Ok(())
}

#[allow(clippy::print_stderr, reason = "the standard output is the key alone")]
fn eprintln_path(what: &str, path: &std::path::Path) {
    eprintln!("{what} {}", path.display());
}

/// Opens the user's key and the node's API.
///
/// # Errors
/// If there is no key, or the passphrase is wrong.
fn connect(access: &Access) -> Result<Api> {
    let path = access.key.clone().map_or_else(secret::default_key_path, Ok)?;
    let keys = secret::open_key(&path, &secret::passphrase(access.passphrase_file.as_deref(), false)?)
        .context("no usable key; `tally key new` makes one")?;
    Api::new(&access.url, keys)
}

/// `tally task`.
///
/// # Errors
/// If the node refuses, with its code, or cannot be reached.
pub async fn task(access: Access, command: TaskCommand) -> Result<()> {
    let api = connect(&access)?;
    let answer = match command {
        TaskCommand::Create { .. } => api.create(create_input(command)?).await?,
        TaskCommand::Accept { id, invoices } => api.accept(&id, &invoices).await?,
        TaskCommand::Fund { id } => api.fund(&id).await?,
        TaskCommand::Submit { id, work_hash } => api.submit(&id, &work_hash.to_string()).await?,
        TaskCommand::Approve { id } => api.approve(&id).await?,
        TaskCommand::Reject { id, reason_hash } => api.reject(&id, &reason_hash.to_string()).await?,
        TaskCommand::Cancel { id } => api.cancel(&id).await?,
        TaskCommand::Show { id } => match api.task(&id).await? {
            Value::Null => anyhow::bail!("no task has this id"),
            task => task,
        },
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
        TaskCommand::Watch { id } => return watch(&api, id).await,
    };
    print(&answer)
}

fn create_input(command: TaskCommand) -> Result<Value> {
    let TaskCommand::Create {
        title,
        description_hash,
        payouts_sat,
        work_hours,
        review_hours,
        on_silence,
        hold_blocks,
        id,
    } = command
    else {
        anyhow::bail!("not a new task");
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let deadline = work_hours.checked_mul(3_600).and_then(|span| now.checked_add(span));
    let mut input = json!({
        "title": title,
        "descriptionHash": description_hash.to_string(),
        "payoutsSat": payouts_sat,
        "workDeadline": deadline.context("--work-hours is too large")?,
        "reviewWindowSecs": review_hours.checked_mul(3_600).context("--review-hours is too large")?,
        "onSilence": match on_silence { OnSilence::Release => "RELEASE", OnSilence::Refund => "REFUND" },
    });
    if let Some(id) = id {
        input["id"] = json!(id);
    }
    if let Some(blocks) = hold_blocks {
        input["holdBlocks"] = json!(blocks);
    }
    Ok(input)
}

async fn watch(api: &Api, id: Option<String>) -> Result<()> {
    let updates = api.client().subscribe(&documents::task_updates(), json!({ "id": id })).await?;
    let mut updates = std::pin::pin!(updates);
    while let Some(update) = updates.next().await {
        println!("{}", update?["taskUpdates"]);
    }
    anyhow::bail!("the node closed the connection")
}

fn print(answer: &Value) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(answer)?);
    Ok(())
}
