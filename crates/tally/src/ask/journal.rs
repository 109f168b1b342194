//! `tally journal`.

use anyhow::Result;
use serde_json::json;

use super::{admin, connect, print};
use crate::cli::{Access, AdminAction, JournalCommand};

/// `tally journal`.
///
/// # Errors
/// If the node refuses, with its code, or cannot be reached.
pub async fn run(access: Access, command: JournalCommand) -> Result<()> {
    let api = connect(&access)?;
    let answer = match command {
        JournalCommand::Erase { id, factor } => {
            let seq = admin::act(&api, &AdminAction::Erase { id }, factor.value()).await?;
            json!({ "id": id, "changed": !seq.is_null(), "erasedBy": seq })
        }
        JournalCommand::EraseEvidence { id, dispute } => {
            let document = "mutation($id: UUID!, $dispute: UUID!) { eraseEvidence(id: $id, dispute: $dispute) }";
            let variables = json!({ "id": id, "dispute": dispute });
            let pieces = api.ask("eraseEvidence", document, variables).await?;
            json!({ "id": id, "dispute": dispute, "piecesErased": pieces })
        }
    };
    print::until_closed(print::pretty(&answer))
}
