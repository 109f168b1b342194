//! `tally journal`.

use anyhow::Result;
use serde_json::json;

use super::{admin, connect, print};
use crate::{
    cli::{Access, AdminAction, JournalCommand},
    standing,
};

/// `tally journal`.
///
/// # Errors
/// If the node refuses, with its code, or cannot be reached; if the journal cannot be read, or the file not be written.
pub async fn run(access: Access, command: JournalCommand) -> Result<()> {
    let answer = match command {
        JournalCommand::Export { data_dir, out } => return standing::export(&data_dir, &out).await,
        JournalCommand::Erase { id, factor } => {
            let api = connect(&access)?;
            let seq = admin::act(&api, &AdminAction::Erase { id }, factor.value()).await?;
            json!({ "id": id, "changed": !seq.is_null(), "erasedBy": seq })
        }
        JournalCommand::EraseEvidence { id, dispute, factor } => {
            let action = AdminAction::EraseEvidence { id, dispute };
            let pieces = admin::act(&connect(&access)?, &action, factor.value()).await?;
            json!({ "id": id, "dispute": dispute, "piecesErased": pieces })
        }
    };
    print::until_closed(print::pretty(&answer))
}
