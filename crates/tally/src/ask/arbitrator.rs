//! `tally arbitrator`: who can be drawn for panels.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tallystick_core::{Digest32, canonical::sha256};

use super::{Api, connect, print};
use crate::cli::{Access, ArbitratorCommand};

const ARBITRATOR: &str = "key statementHash pay admission paused withdrawn served eligible";

const WEIGHT: &str = "query($arbitrator: NostrKey!, $asOf: Int) { drawWeight(arbitrator: $arbitrator, asOf: $asOf) { \
    arbitrator seq at weight terms { name points why facts } } }";

/// `tally arbitrator`.
///
/// # Errors
/// If the node refuses, with its code, or cannot be reached.
pub async fn run(access: Access, command: ArbitratorCommand) -> Result<()> {
    let api = connect(&access)?;
    print::until_closed(answer(&api, command).await.and_then(|answer| print::pretty(&answer)))
}

async fn answer(api: &Api, command: ArbitratorCommand) -> Result<Value> {
    match command {
        ArbitratorCommand::Register { statement, statement_hash, pay } => {
            let hash = match (statement, statement_hash) {
                (Some(path), _) => {
                    sha256(&std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?)
                }
                (None, Some(hash)) => hash,
                (None, None) => anyhow::bail!("name your --statement, or its --statement-hash"),
            };
            register(api, hash, &pay).await
        }
        ArbitratorCommand::Pause => mutate(api, "pauseArbitrator", ("", ""), json!({})).await,
        ArbitratorCommand::Resume => mutate(api, "resumeArbitrator", ("", ""), json!({})).await,
        ArbitratorCommand::Withdraw => mutate(api, "withdrawArbitrator", ("", ""), json!({})).await,
        ArbitratorCommand::Admit { arbitrator, statement_hash } => {
            admit(api, &arbitrator.to_string(), statement_hash).await
        }
        ArbitratorCommand::Suspend { arbitrator } => {
            let declared = ("($arbitrator: NostrKey!)", "(arbitrator: $arbitrator)");
            mutate(api, "suspendArbitrator", declared, json!({ "arbitrator": arbitrator.to_string() })).await
        }
        ArbitratorCommand::List => {
            let document = format!("{{ arbitrators {{ {ARBITRATOR} }} }}");
            api.ask("arbitrators", &document, json!({})).await
        }
        ArbitratorCommand::Weight { arbitrator, as_of } => {
            let variables = json!({ "arbitrator": arbitrator.to_string(), "asOf": as_of });
            let weight = api.ask("drawWeight", WEIGHT, variables).await?;
            ensure!(!weight.is_null(), "{arbitrator} cannot be drawn");
            Ok(weight)
        }
    }
}

/// Offers to sit on panels.
///
/// # Errors
/// If the node refuses, with its code.
pub async fn register(api: &Api, statement_hash: Digest32, pay: &str) -> Result<Value> {
    let declared = ("($hash: Hex32!, $pay: String!)", "(statementHash: $hash, pay: $pay)");
    mutate(api, "registerArbitrator", declared, json!({ "hash": statement_hash.to_string(), "pay": pay })).await
}

/// Admits an arbitrator; an operator's to do.
///
/// # Errors
/// If the node refuses, with its code.
pub async fn admit(api: &Api, arbitrator: &str, statement_hash: Digest32) -> Result<Value> {
    let declared = ("($arbitrator: NostrKey!, $hash: Hex32!)", "(arbitrator: $arbitrator, statementHash: $hash)");
    let variables = json!({ "arbitrator": arbitrator, "hash": statement_hash.to_string() });
    mutate(api, "admitArbitrator", declared, variables).await
}

async fn mutate(api: &Api, name: &str, (declared, arguments): (&str, &str), variables: Value) -> Result<Value> {
    let document = format!("mutation{declared} {{ {name}{arguments} {{ changed arbitrator {{ {ARBITRATOR} }} }} }}");
    api.ask(name, &document, variables).await
}
