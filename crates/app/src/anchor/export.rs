//! An anchor's proofs, for whoever wants to check them.

use tallystick_log::{
    Hash,
    anchor::{AnchorError, AnchorProof, MerklePath, ots},
};

use super::state::{Anchor, Anchors};
use crate::{
    log::{TreeError, consistency_at},
    port::snapshot::Snapshot,
};

/// What proves an anchor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The checkpoint's text: the content that the proofs are of.
    pub checkpoint: String,
    /// The proof ([`AnchorProof`]).
    pub proof: Vec<u8>,
    /// The same as an OpenTimestamps file, for any client.
    pub ots: Vec<u8>,
}

/// The proofs of an anchor that counts.
///
/// # Errors
/// [`AnchorError::NotAttested`] if it does not yet; [`AnchorError::BadPath`] if the facts are damaged.
pub fn export(anchor: &Anchor) -> Result<Exported, AnchorError> {
    let (confirmed, version) =
        anchor.confirmed.as_ref().zip(anchor.confirmed_version()).ok_or(AnchorError::NotAttested)?;
    let path = MerklePath::try_new(confirmed.index, confirmed.siblings.clone())?;
    let proof = AnchorProof::new(version.anchor.clone(), confirmed.height, path);
    Ok(Exported { checkpoint: version.checkpoint.clone(), ots: ots::write(&proof)?, proof: proof.to_bytes() })
}

/// The proof (RFC 6962, 2.1.2) that the tree of an anchor that counts begins with that of the anchor before it. Nothing of
/// the first, which has none before it, and of those that do not count.
///
/// # Errors
/// [`TreeError`].
pub async fn history(store: &dyn Snapshot, anchors: &Anchors, number: u64) -> Result<Option<Vec<Hash>>, TreeError> {
    let size = |number: u64| Some(anchors.get(number)?.confirmed_version()?.size);
    match number.checked_sub(1).and_then(size).zip(size(number)) {
        Some((before, own)) => consistency_at(store, before, own).await.map(Some),
        None => Ok(None),
    }
}
