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
    let JournalCommand::Erase { id, factor } = command;
    let seq = admin::act(&api, &AdminAction::Erase { id }, factor.value()).await?;
    print::until_closed(print::pretty(&json!({ "id": id, "changed": !seq.is_null(), "erasedBy": seq })))
}
