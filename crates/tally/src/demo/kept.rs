//! `tally demo --keep`: the network goes on running, and this process plays the wallets of requester and worker.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};
use tallystick_app::{SystemClock, clock::Clock, mint_id, port::operator::NodeOperator};
use tallystick_bitcoin::RpcAuth;
use tallystick_core::{Msat, canonical};
use tallystick_escrow::Task;

use super::{platform::PASSPHRASE, report::Report, stage::Stage, stories::INVOICE_EXPIRY_SECS};
use crate::{
    ask::{documents, tranches},
    secret,
};

/// What the example's worker gets.
const PAYOUT_SAT: u64 = 1_000;
/// Invoices to play with, besides the one in the example.
const INVOICES: usize = 3;
/// How often the requester's wallet looks for something to pay: as a person's wallet might.
const WALLET_LOOK: Duration = Duration::from_secs(1);
/// Tasks looked at; older ones are no longer waiting for their money.
const TASKS: u32 = 20;

/// Prints what is there and how to use it, and plays the wallets.
///
/// # Errors
/// If the node ends by itself, or the folder cannot be written.
pub async fn attend(stage: &mut Stage, report: &mut Report) -> Result<()> {
    let keys = write_keys(stage)?;
    places(stage, report, &keys).await?;
    example(stage, report, &keys).await?;
    play_wallets(stage, report).await
}

/// Writes the three keys, encrypted like the node's seed.
fn write_keys(stage: &Stage) -> Result<PathBuf> {
    let dir = stage.dir().join("keys");
    secret::make_private_dir(&dir)?;
    secret::save_key(&dir.join("requester"), &stage.requester.keys, PASSPHRASE)?;
    secret::save_key(&dir.join("worker"), &stage.worker.keys, PASSPHRASE)?;
    secret::save_key(&dir.join("operator"), stage.platform.operator_keys(), PASSPHRASE)?;
    Ok(dir)
}

async fn places(stage: &Stage, report: &mut Report, keys: &Path) -> Result<()> {
    let rpc = stage.chain.rpc_config();
    report.title("Everything goes on running; Ctrl-C ends it");
    report.line(&format!("  API              {}", stage.platform.url()));
    report.line(&format!("  Bitcoin RPC      {} (login: {})", rpc.url, stage.platform.dir().join("cookie").display()));
    for (name, actor) in [("requester", &stage.requester), ("worker", &stage.worker)] {
        let (id, listen) = actor.party.address().await?;
        report.line(&format!("  {name:<15}  {id}@{listen}"));
    }
    for name in ["requester", "worker", "operator"] {
        report.line(&format!("  {:<15}  {}", format!("{name}'s key"), keys.join(name).display()));
    }
    report.line(&format!("  node's log       {}", stage.platform.log_file().display()));
    Ok(())
}

/// A whole task, call by call, ready to be copied.
async fn example(stage: &Stage, report: &mut Report, keys: &Path) -> Result<()> {
    let tally = std::env::current_exe().context("this program cannot find itself")?;
    let tally = tally.display();
    let id = mint_id::<Task>(SystemClock.now()).map_err(|error| anyhow::anyhow!("{error}"))?;
    let key = |name: &str| keys.join(name).display().to_string();
    let (requester, worker, operator) = (key("requester"), key("worker"), key("operator"));
    let hash = |text: &str| canonical::sha256(text.as_bytes()).to_string();
    report.line("\n  A task from its beginning to its end; the requester's wallet pays the funding invoice by itself:");
    report.line(&format!("    export TALLY_URL={}", stage.platform.url()));
    report.line(&format!("    export TALLY_PASSPHRASE='{PASSPHRASE}'"));
    report.line(&format!("    {tally} task create --key {requester} --id {id} \\"));
    report.line(&format!("        --title 'Write a song' --description-hash {} \\", hash("Write a song")));
    report.line(&format!("        --work-hours 12 --review-hours 6 --payout-sat {PAYOUT_SAT}"));
    report.line(&format!("    {tally} task accept --key {worker} {id} \\"));
    report.line(&format!("        {}", invoice(stage).await?));
    report.line(&format!("    {tally} task fund --key {requester} {id}"));
    // The wallet takes a moment, and work can be handed in only for money that is held.
    report.line(&format!("    until {tally} task show --key {requester} {id} \\"));
    report.line("        | grep -q '\"state\": \"HELD\"'; do sleep 1; done");
    report.line(&format!("    {tally} task submit --key {worker} {id} \\"));
    report.line(&format!("        --work-hash {}", hash("La la la")));
    report.line(&format!("    {tally} task approve --key {requester} {id}"));
    report.line(&format!("    {tally} task show --key {requester} {id}"));
    report.line(&format!("\n  The worker's next invoices over {PAYOUT_SAT} sat:"));
    for _ in 0..INVOICES {
        report.line(&format!("    {}", invoice(stage).await?));
    }
    report.line("\n  The node's money, and six blocks:");
    report.line(&format!("    {tally} node balances --key {operator}"));
    report.line(&format!("    {}", mine(stage).await?));
    report.line("");
    Ok(())
}

async fn invoice(stage: &Stage) -> Result<String> {
    let expiry = tallystick_core::Duration::from_secs(INVOICE_EXPIRY_SECS);
    Ok(stage.worker.party.invoice(Msat::try_new(PAYOUT_SAT * 1_000)?, expiry).await?)
}

/// The call that mines blocks, to an address of the requester's.
async fn mine(stage: &Stage) -> Result<String> {
    let rpc = stage.chain.rpc_config();
    let RpcAuth::UserPass { user, password } = &rpc.auth else { bail!("the devnet logs in with a password") };
    let address = stage.requester.party.node().await?.new_address().await?;
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "generatetoaddress", "params": [6, address] });
    Ok(format!("curl --user {user}:{password} --data '{call}' {}", rpc.url))
}

/// Pays what the requester is asked to pay, each invoice once, for as long as the node runs.
async fn play_wallets(stage: &mut Stage, report: &Report) -> Result<()> {
    let me = stage.requester.keys.public_key().to_hex();
    let variables = json!({ "filter": { "requester": me, "states": ["FUNDING"] }, "first": TASKS });
    let mut paid = BTreeSet::new();
    loop {
        if let Some(status) = stage.platform.ended()? {
            bail!("the node ended by itself ({status})");
        }
        // A node that does not answer is noticed above, or answers the next time.
        let tasks = stage.requester.api.ask("tasks", &documents::tasks(), variables.clone()).await.unwrap_or_default();
        for task in tasks["nodes"].as_array().into_iter().flatten() {
            // In this order: a task whose invoices are still being made is looked at again.
            if is_to_be_paid(task) && paid.insert(task["id"].to_string()) {
                stage.pay(task)?;
                report.line(&format!("  The requester's wallet pays the funding invoices of task {}", task["id"]));
            }
        }
        tokio::time::sleep(WALLET_LOOK).await;
    }
}

/// Whether the node has made all of a task's funding invoices.
fn is_to_be_paid(task: &Value) -> bool {
    tranches(task).all(|tranche| tranche["fundingInvoice"].is_string())
}
