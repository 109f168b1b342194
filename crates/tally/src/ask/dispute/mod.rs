//! `tally dispute`: what parties and arbitrators do in a dispute.
//!
//! | module | what it does |
//! | --- | --- |
//! | `matter` | which dispute, as the node shows it |
//! | `evidence` | files, encrypted to the parties and the panel |
//! | `vote` | votes that can be shown again after any crash |
//! | `draw` | making a draw again, without the node |
//! | `watch` | what has to be done while a dispute runs |

mod draw;
mod evidence;
mod matter;
mod vote;
mod watch;

use anyhow::{Result, bail};
use nostr::key::Keys;
use serde_json::{Value, json};

pub use draw::{check_draw, check_draws, draws};
pub use evidence::{Filed, add as add_evidence, get as get_evidence, share as share_evidence};
pub use matter::Matters;
pub use vote::{Said, reveal, vote};
pub use watch::{attend, watch};

use super::{Api, connect_with_keys, print};
use crate::cli::{Access, DisputeCommand, EvidenceCommand, OfMilestone, SeatCommand};

/// `tally dispute`.
///
/// # Errors
/// If the node refuses, with its code, or cannot be reached.
pub async fn run(access: Access, command: DisputeCommand) -> Result<()> {
    if let DisputeCommand::CheckDraw { file, block_hash } = command {
        return print::until_closed(check_draws(&file, block_hash));
    }
    let (api, keys) = connect_with_keys(&access)?;
    print::until_closed(Box::pin(answer(&api, &keys, command)).await)
}

async fn answer(api: &Api, keys: &Keys, command: DisputeCommand) -> Result<()> {
    let simple = |of: OfMilestone, name: &'static str| async move { step(api, &of, name).await };
    let answer = match command {
        DisputeCommand::Open(of) => simple(of, "openDispute").await?,
        DisputeCommand::Concede(of) => simple(of, "concedeWork").await?,
        DisputeCommand::Withdraw(of) => simple(of, "withdrawDispute").await?,
        DisputeCommand::Appeal(of) => simple(of, "appeal").await?,
        DisputeCommand::AcceptRuling(of) => simple(of, "acceptRuling").await?,
        DisputeCommand::Show(of) => Matters::read(api, &of).await?.shown,
        DisputeCommand::Seats => matter::seats(api).await?,
        DisputeCommand::Seat(SeatCommand::Accept(of)) => simple(of, "acceptSeat").await?,
        DisputeCommand::Seat(SeatCommand::Refuse(of)) => simple(of, "refuseSeat").await?,
        DisputeCommand::Evidence(command) => return evidence_command(api, keys, command).await,
        DisputeCommand::Vote { of, to_worker, none, take_bond } => {
            if to_worker.is_empty() && !none {
                bail!("name the disputed tranches that are to be paid out (--to-worker 0,1), or say --none");
            }
            vote(api, keys, &of, Said { to_worker: &to_worker, take_bonds: &take_bond }).await?
        }
        DisputeCommand::Reveal { of, to_worker, take_bond } => {
            let said = to_worker.as_deref().map(|to_worker| Said { to_worker, take_bonds: &take_bond });
            reveal(api, keys, &of, said).await?
        }
        DisputeCommand::Collect { of, invoice } => {
            let variables = json!({ "id": of.id, "milestone": of.milestone, "invoice": invoice });
            api.of_milestone("collectReward", ("$invoice: String!", "invoice: $invoice"), variables).await?
        }
        DisputeCommand::Draws(of) => draws(api, &of).await?,
        DisputeCommand::Watch(of) => return watch(api, keys, &of).await,
        DisputeCommand::CheckDraw { .. } => bail!("a draw is checked without a node"),
    };
    print::pretty(&answer)
}

async fn evidence_command(api: &Api, keys: &Keys, command: EvidenceCommand) -> Result<()> {
    match command {
        EvidenceCommand::Add { of, file, text } => {
            let filed = evidence::add_from(api, keys, &of, file.as_deref(), text).await?;
            print::pretty(&json!({ "hash": filed.hash.to_string(), "bytes": filed.bytes, "readers": filed.readers }))
        }
        EvidenceCommand::List(of) => {
            let matter = Matters::read(api, &of).await?;
            print::pretty(&matter.shown["evidence"])
        }
        EvidenceCommand::Get { of, hash, out } => {
            let path = evidence::get_into(api, keys, &of, hash, out.as_deref()).await?;
            print::line(path.display())
        }
        EvidenceCommand::Share(of) => {
            let shared = share_evidence(api, keys, &of).await?;
            print::pretty(&json!({ "shared": shared }))
        }
    }
}

/// A mutation of a milestone's dispute without more arguments.
///
/// # Errors
/// If the node refuses, with its code.
pub async fn step(api: &Api, of: &OfMilestone, name: &str) -> Result<Value> {
    api.of_milestone(name, ("", ""), json!({ "id": of.id, "milestone": of.milestone })).await
}
