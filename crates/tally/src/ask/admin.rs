//! `tally admin`: roles, second factors, and what two admins do together.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use std::io::{BufRead, IsTerminal, Write};

use super::{Api, connect, print};
use crate::cli::{Access, AdminAction, AdminCommand, RoleName, SecondFactorArgs};

const ROLES: &str = "{ roles { admins { key hasAuthenticator wrongCodes } operators } }";
const PROPOSALS: &str = "{ proposals { number by at until action { operation digest role key invoice feeLimitMsat channelId \
    force id dispute } } }";
const PROPOSE: &str = "mutation($action: AdminActionInput!) { propose(action: $action) }";
const ENROL: &str = "mutation($factor: SecondFactor) { enrol(secondFactor: $factor) { uri } }";
const COMPLETE: &str = "mutation($code: String!) { completeEnrolment(code: $code) }";
const PAYMENT: &str = "id direction paymentHash amountMsat feeMsat status updatedAt";

/// Runs an admin's command.
///
/// # Errors
/// If the node refuses, with its code, or cannot be reached.
pub async fn run(access: Access, command: AdminCommand) -> Result<()> {
    let api = connect(&access)?;
    let shown = match command {
        AdminCommand::Roles => api.ask("roles", ROLES, json!({})).await?,
        AdminCommand::Proposals => api.ask("proposals", PROPOSALS, json!({})).await?,
        AdminCommand::Propose { action } => {
            let number = api.ask("propose", PROPOSE, json!({ "action": proposed(&action)? })).await?;
            json!({ "proposal": number })
        }
        AdminCommand::Do { code, action } => act(&api, &action, Some(json!({ "code": code }))).await?,
        AdminCommand::Confirm { number, yes } => confirm(&api, number, yes).await?,
        AdminCommand::Enrol(factor) => api.ask("enrol", ENROL, json!({ "factor": factor.value() })).await?,
        AdminCommand::Complete { code } => {
            json!({ "enrolled": api.ask("completeEnrolment", COMPLETE, json!({ "code": code })).await? })
        }
    };
    print::until_closed(print::pretty(&shown))
}

impl SecondFactorArgs {
    /// As the API takes it.
    pub(super) fn value(&self) -> Option<Value> {
        match (&self.code, self.confirms) {
            (Some(code), _) => Some(json!({ "code": code })),
            (None, Some(proposal)) => Some(json!({ "confirms": proposal })),
            (None, None) => None,
        }
    }
}

/// Does something with a second factor.
///
/// # Errors
/// If the node refuses, with its code.
pub(super) async fn act(api: &Api, action: &AdminAction, factor: Option<Value>) -> Result<Value> {
    let (name, document, mut variables) = mutation(action)?;
    variables["factor"] = json!(factor);
    api.ask(name, &document, variables).await
}

/// The mutation of an action: its name, the document, and the variables without the second factor.
fn mutation(action: &AdminAction) -> Result<(&'static str, String, Value)> {
    const FACTOR: &str = "$factor: SecondFactor";
    Ok(match action {
        AdminAction::Grant { role, holder } | AdminAction::Withdraw { role, holder } => {
            let name = if matches!(action, AdminAction::Grant { .. }) { "grantRole" } else { "withdrawRole" };
            let document = format!(
                "mutation($role: NodeRole!, $key: NostrKey!, {FACTOR}) {{ {name}(role: $role, key: $key, secondFactor: $factor) }}"
            );
            (name, document, json!({ "role": role.value(), "key": holder }))
        }
        AdminAction::Enrol { .. } => ("enrol", ENROL.to_owned(), json!({})),
        AdminAction::Pay { bolt11, fee_limit_sat } => {
            let document = format!(
                "mutation($invoice: String!, $fee: Msat!, {FACTOR}) {{ nodePay(invoice: $invoice, feeLimitMsat: $fee, \
                 secondFactor: $factor) {{ {PAYMENT} }} }}"
            );
            ("nodePay", document, json!({ "invoice": bolt11, "fee": msat(*fee_limit_sat)? }))
        }
        AdminAction::Close { channel_id, force } => {
            let document = format!(
                "mutation($id: String!, $force: Boolean!, {FACTOR}) {{ nodeCloseChannel(channelId: $id, force: $force, \
                 secondFactor: $factor) }}"
            );
            ("nodeCloseChannel", document, json!({ "id": channel_id, "force": force }))
        }
        AdminAction::Erase { id } => {
            let document = format!("mutation($id: UUID!, {FACTOR}) {{ eraseTask(id: $id, secondFactor: $factor) }}");
            ("eraseTask", document, json!({ "id": id }))
        }
        AdminAction::EraseEvidence { id, dispute } => {
            let document = format!(
                "mutation($id: UUID!, $dispute: UUID!, {FACTOR}) {{ eraseEvidence(id: $id, dispute: $dispute, \
                 secondFactor: $factor) }}"
            );
            ("eraseEvidence", document, json!({ "id": id, "dispute": dispute }))
        }
    })
}

/// An action as a proposal has it.
fn proposed(action: &AdminAction) -> Result<Value> {
    Ok(match action {
        AdminAction::Grant { role, holder } => json!({ "grantRole": { "role": role.value(), "key": holder } }),
        AdminAction::Withdraw { role, holder } => json!({ "withdrawRole": { "role": role.value(), "key": holder } }),
        AdminAction::Enrol { admin } => json!({ "enrol": admin }),
        AdminAction::Pay { bolt11, fee_limit_sat } => {
            json!({ "nodePay": { "invoice": bolt11, "feeLimitMsat": msat(*fee_limit_sat)? } })
        }
        AdminAction::Close { channel_id, force } => {
            json!({ "nodeCloseChannel": { "channelId": channel_id, "force": force } })
        }
        AdminAction::Erase { id } => json!({ "eraseTask": id }),
        AdminAction::EraseEvidence { id, dispute } => json!({ "eraseEvidence": { "id": id, "dispute": dispute } }),
    })
}

/// Shows a proposal, and does it: what is signed is the action in full, not its number alone.
async fn confirm(api: &Api, number: u64, yes: bool) -> Result<Value> {
    let proposals = api.ask("proposals", PROPOSALS, json!({})).await?;
    let found = proposals.as_array().into_iter().flatten().find(|proposal| proposal["number"] == number);
    let found = found.with_context(|| format!("no proposal {number} waits"))?;
    let action = read(&found["action"])?;
    if !yes {
        ask_first(found)?;
    }
    act(api, &action, Some(json!({ "confirms": number }))).await
}

#[allow(clippy::print_stderr, reason = "the standard output is the answer alone")]
fn ask_first(proposal: &Value) -> Result<()> {
    ensure!(std::io::stdin().is_terminal(), "look at the proposal with `tally admin proposals`, then say --yes");
    eprintln!("{}", serde_json::to_string_pretty(proposal)?);
    eprint!("Do this? [y/N] ");
    std::io::stderr().flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    ensure!(answer.trim().eq_ignore_ascii_case("y"), "nothing is done");
    Ok(())
}

/// The action of a proposal.
fn read(action: &Value) -> Result<AdminAction> {
    let text = |name: &str| action[name].as_str().with_context(|| format!("the proposal has no {name}"));
    let role = || match text("role")? {
        "ADMIN" => Ok(RoleName::Admin),
        "OPERATOR" => Ok(RoleName::Operator),
        other => bail!("{other} is no role that this program knows"),
    };
    Ok(match text("operation")? {
        "grantRole" => AdminAction::Grant { role: role()?, holder: text("key")?.parse()? },
        "withdrawRole" => AdminAction::Withdraw { role: role()?, holder: text("key")?.parse()? },
        "enrol" => AdminAction::Enrol { admin: text("key")?.parse()? },
        "nodePay" => {
            let fee: u64 = text("feeLimitMsat")?.parse()?;
            ensure!(fee.is_multiple_of(1_000), "the proposal's fee limit is no whole number of sats");
            AdminAction::Pay { bolt11: text("invoice")?.into(), fee_limit_sat: fee / 1_000 }
        }
        "nodeCloseChannel" => AdminAction::Close {
            channel_id: text("channelId")?.into(),
            force: action["force"].as_bool().context("the proposal does not tell whether it is forced")?,
        },
        "eraseTask" => AdminAction::Erase { id: text("id")?.parse()? },
        "eraseEvidence" => AdminAction::EraseEvidence { id: text("id")?.parse()?, dispute: text("dispute")?.parse()? },
        other => bail!("{other} is nothing that this program can confirm"),
    })
}

impl RoleName {
    fn value(self) -> &'static str {
        match self {
            Self::Operator => "OPERATOR",
            Self::Admin => "ADMIN",
        }
    }
}

fn msat(sat: u64) -> Result<String> {
    Ok(sat.checked_mul(1_000).context("the amount is too large")?.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_proposal_shows_is_what_is_confirmed() {
        let holder = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798".parse().unwrap();
        let shown = |action: &AdminAction| match action {
            AdminAction::Grant { role, holder } => {
                json!({ "operation": "grantRole", "role": role.value(), "key": holder })
            }
            AdminAction::Withdraw { role, holder } => {
                json!({ "operation": "withdrawRole", "role": role.value(), "key": holder })
            }
            AdminAction::Enrol { admin } => json!({ "operation": "enrol", "key": admin }),
            AdminAction::Pay { bolt11, fee_limit_sat } => {
                json!({ "operation": "nodePay", "invoice": bolt11, "feeLimitMsat": msat(*fee_limit_sat).unwrap() })
            }
            AdminAction::Close { channel_id, force } => {
                json!({ "operation": "nodeCloseChannel", "channelId": channel_id, "force": force })
            }
            AdminAction::Erase { id } => json!({ "operation": "eraseTask", "id": id }),
            AdminAction::EraseEvidence { id, dispute } => {
                json!({ "operation": "eraseEvidence", "id": id, "dispute": dispute })
            }
        };
        for action in [
            AdminAction::Grant { role: RoleName::Admin, holder },
            AdminAction::Withdraw { role: RoleName::Operator, holder },
            AdminAction::Enrol { admin: holder },
            AdminAction::Pay { bolt11: "lnbc1".into(), fee_limit_sat: 7 },
            AdminAction::Close { channel_id: "ab".into(), force: true },
            AdminAction::Erase { id: "0193b1f4-7c3e-7000-8000-0123456789ab".parse().unwrap() },
            AdminAction::EraseEvidence {
                id: "0193b1f4-7c3e-7000-8000-0123456789ab".parse().unwrap(),
                dispute: "0193b1f4-7c3e-7000-8000-0123456789ac".parse().unwrap(),
            },
        ] {
            assert_eq!(read(&shown(&action)).unwrap(), action);
            let (name, document, _) = mutation(&action).unwrap();
            assert!(document.contains(&format!("{name}(")) && proposed(&action).unwrap()[name] != Value::Null);
        }
        assert!(read(&json!({ "operation": "nodePay", "invoice": "lnbc1", "feeLimitMsat": "1001" })).is_err());
        assert!(read(&json!({ "operation": "else" })).is_err());
    }
}
