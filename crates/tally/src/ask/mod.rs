//! `tally task`, `tally dispute`, `tally arbitrator`, `tally node`, `tally admin` and `tally key`: a client that signs every
//! request.

mod admin;
mod api;
pub mod arbitrator;
mod bond;
pub mod dispute;
pub mod documents;
mod funding;
mod journal;
mod key;
mod node;
pub(crate) mod print;
mod prove;
mod renewal;
mod task;
mod terms;

use anyhow::{Context, Result};
use nostr::key::Keys;
use tallystick_graphql::client::Options;

pub use admin::run as admin;
pub use api::Api;
pub use bond::check as check_bond;
pub use funding::{Known, check as check_funding, check_worker};
pub use journal::run as journal;
pub use key::run as key;
pub use node::run as node;
pub use renewal::check as check_renewal;
pub use task::run as task;
pub use terms::check as check_terms;

use crate::{cli::Access, secret};

/// Opens the user's key and the node's API.
///
/// # Errors
/// If there is no key, or the passphrase is wrong.
pub(crate) fn connect(access: &Access) -> Result<Api> {
    connect_with_keys(access).map(|(api, _)| api)
}

/// The same with the user's key itself, for what is encrypted.
///
/// # Errors
/// As [`connect`].
fn connect_with_keys(access: &Access) -> Result<(Api, Keys)> {
    let path = access.key.clone().map_or_else(secret::default_key_path, Ok)?;
    // Before the passphrase: nobody should type it for nothing.
    std::fs::metadata(&path).with_context(|| match path.try_exists() {
        Ok(false) => format!("there is no key at {}; `tally key new` makes one", path.display()),
        _ => format!("cannot read {}", path.display()),
    })?;
    let keys = secret::open_key(&path, &key::passphrase(access.passphrase_file.as_deref(), false)?)?;
    let options = Options { insecure: access.insecure, ..Options::default() };
    let api = Api::with_options(&access.url, keys.clone(), &options)
        .with_context(|| format!("cannot use the node's address {:?} (--url or TALLY_URL)", access.url))?;
    Ok((api, keys))
}

/// The hold of a side's bond, as the node shows it: of the `REQUESTER`, or of the `WORKER`.
pub fn bond<'a>(task: &'a serde_json::Value, of: &str) -> Option<&'a serde_json::Value> {
    let mut bonds = task["bonds"].as_array().into_iter().flatten();
    bonds.find(|bond| bond["of"] == of).map(|bond| &bond["hold"])
}

/// The tranches of all of a task's milestones, in order, as the node shows them.
pub fn tranches(task: &serde_json::Value) -> impl Iterator<Item = &serde_json::Value> {
    let milestones = task["milestones"].as_array().into_iter().flatten();
    milestones.flat_map(|part| part["tranches"].as_array().into_iter().flatten())
}
