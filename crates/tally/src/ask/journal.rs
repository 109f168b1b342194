//! `tally journal`.

use anyhow::Result;
use serde_json::json;

use super::{connect, print};
use crate::cli::{Access, JournalCommand};

/// `tally journal`.
///
/// # Errors
/// If the node refuses, with its code, or cannot be reached.
pub async fn run(access: Access, command: JournalCommand) -> Result<()> {
    let api = connect(&access)?;
    let JournalCommand::Erase { id } = command;
    let document = "mutation($id: UUID!) { eraseTask(id: $id) }";
    let seq = api.ask("eraseTask", document, json!({ "id": id })).await?;
    print::until_closed(print::pretty(&json!({ "id": id, "changed": !seq.is_null(), "erasedBy": seq })))
}
