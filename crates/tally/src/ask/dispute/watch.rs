//! What has to be done while a dispute runs: keys for a panel that was seated since, votes that are to be shown.

use anyhow::{Result, bail};
use futures::StreamExt;
use nostr::key::Keys;
use serde_json::{Value, json};

use super::{
    super::{Api, documents, print},
    Matters,
    evidence::share_shown,
    vote::reveal_shown,
};
use crate::cli::OfMilestone;

/// The states in which nothing happens to a dispute any more.
const ENDS: [&str; 3] = ["DECIDED", "FAILED", "WITHDRAWN"];

/// Follows a dispute to its end, and does what this key has to: [`attend`].
///
/// # Errors
/// If the node closes the connection, or refuses something, with its code.
pub async fn watch(api: &Api, keys: &Keys, of: &OfMilestone) -> Result<()> {
    let updates = api.client().subscribe(&documents::dispute_updates(), json!({ "id": of.id })).await?;
    let mut updates = std::pin::pin!(updates);
    while let Some(update) = updates.next().await {
        let matter = Matters::of(&update?["taskUpdates"], of)?;
        print::line(&matter.shown)?;
        if let Some(did) = attend(api, keys, of, &matter).await? {
            print::line(did)?;
        }
        if ENDS.contains(&matter.state()) {
            return Ok(());
        }
    }
    bail!("the node closed the connection")
}

/// Does what can be done now without asking anybody: gives the keys of own evidence to readers who have none, and shows the
/// vote that was committed to. Answers what it did, if anything.
///
/// # Errors
/// If the node refuses it, with its code.
pub async fn attend(api: &Api, keys: &Keys, of: &OfMilestone, matter: &Matters) -> Result<Option<Value>> {
    let shared = share_shown(api, keys, of, matter).await?;
    let committed = matter.seat(api.client().author()).is_some_and(|seat| seat["state"] == "COMMITTED");
    let revealed = committed && matter.state() == "REVEALING";
    if revealed {
        reveal_shown(api, keys, of, matter, None).await?;
    }
    let did = shared > 0 || revealed;
    Ok(did.then(|| json!({ "keysShared": shared, "voteRevealed": revealed })))
}
