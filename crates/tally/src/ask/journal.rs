//! `tally journal`.

use anyhow::Result;
use serde_json::json;

use super::{connect, print};
use crate::{
    cli::{Access, JournalCommand},
    standing,
};

/// `tally journal`.
///
/// # Errors
/// If the node refuses, with its code, or cannot be reached; if the journal cannot be read, or the file not be written.
pub async fn run(access: Access, command: JournalCommand) -> Result<()> {
    let id = match command {
        JournalCommand::Export { data_dir, out } => return standing::export(&data_dir, &out).await,
        JournalCommand::Erase { id } => id,
    };
    let api = connect(&access)?;
    let document = "mutation($id: UUID!) { eraseTask(id: $id) }";
    let seq = api.ask("eraseTask", document, json!({ "id": id })).await?;
    print::until_closed(print::pretty(&json!({ "id": id, "changed": !seq.is_null(), "erasedBy": seq })))
}
