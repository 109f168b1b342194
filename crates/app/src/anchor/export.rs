//! An anchor's proofs, for whoever wants to check them.

use tallystick_log::anchor::{AnchorError, AnchorProof, MerklePath, ots};

use super::state::Anchor;

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
