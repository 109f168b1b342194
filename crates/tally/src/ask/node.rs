//! `tally node`: what operators see and do, and what admins do with the node's money.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{admin, connect, print};
use crate::cli::{Access, AdminAction, NodeCommand};

const INFO: &str = "{ node { key height lightning { nodeId alias network height blockHash listen peers usableChannels } \
    policy { feeBasisPoints feeMinSat payoutMinSat payoutMaxSat tranchesMax finalCltvMax payoutCltvMax \
    payeeFinalCltvMax payoutMargin fundingWindowSecs reviewWindowMaxSecs } } }";
const BALANCES: &str =
    "{ node { balances { onchainConfirmedSat onchainPendingSat channelsMsat heldMsat outboundPendingMsat } } }";
const CHANNELS: &str = "{ node { channels { id peer funding capacitySat localMsat outboundMsat inboundMsat ready usable \
    announced } } }";
const PAYMENT: &str = "id direction paymentHash amountMsat feeMsat status updatedAt";

/// Runs an operator's command.
///
/// # Errors
/// If the node refuses, with its code, or cannot be reached.
pub async fn run(access: Access, command: NodeCommand) -> Result<()> {
    let api = connect(&access)?;
    let shown = match command {
        NodeCommand::Close { channel_id, force, factor } => {
            admin::act(&api, &AdminAction::Close { channel_id, force }, factor.value()).await?
        }
        NodeCommand::Pay { bolt11, fee_limit_sat, factor } => {
            admin::act(&api, &AdminAction::Pay { bolt11, fee_limit_sat }, factor.value()).await?
        }
        command => {
            let (name, document, variables) = request(command)?;
            api.ask(name, &document, variables).await?
        }
    };
    print::until_closed(print::pretty(&shown))
}

/// The field that is asked for, the document and its variables.
fn request(command: NodeCommand) -> Result<(&'static str, String, Value)> {
    let none = json!({});
    let msat =
        |sat: u64| -> Result<String> { Ok(sat.checked_mul(1_000).context("the amount is too large")?.to_string()) };
    Ok(match command {
        NodeCommand::Info => ("node", INFO.to_owned(), none),
        NodeCommand::Balances => ("node", BALANCES.to_owned(), none),
        NodeCommand::Channels => ("node", CHANNELS.to_owned(), none),
        NodeCommand::Payments { first } => {
            let document = format!("query($first: Int!) {{ node {{ payments(first: $first) {{ {PAYMENT} }} }} }}");
            ("node", document, json!({ "first": first }))
        }
        NodeCommand::Address => ("nodeNewAddress", "mutation { nodeNewAddress }".to_owned(), none),
        NodeCommand::Connect { peer, address } => {
            let document =
                "mutation($peer: String!, $address: String!) { nodeConnect(peer: $peer, address: $address) }";
            ("nodeConnect", document.to_owned(), json!({ "peer": peer, "address": address }))
        }
        NodeCommand::Open { peer, address, capacity_sat, announce, channel_key } => {
            let document = "mutation($input: OpenChannelInput!) { nodeOpenChannel(input: $input) }";
            let input = json!({ "peer": peer, "address": address, "capacitySat": capacity_sat,
                "announce": announce, "key": channel_key });
            ("nodeOpenChannel", document.to_owned(), json!({ "input": input }))
        }
        NodeCommand::Invoice { amount_sat, description, expiry_secs } => {
            let document = "mutation($amount: Msat!, $description: String!, $expiry: Int!) { \
                nodeInvoice(amountMsat: $amount, description: $description, expirySecs: $expiry) }";
            let variables = json!({ "amount": msat(amount_sat)?, "description": description, "expiry": expiry_secs });
            ("nodeInvoice", document.to_owned(), variables)
        }
        NodeCommand::Close { .. } | NodeCommand::Pay { .. } => bail!("an admin's action is asked with a second factor"),
    })
}
