//! A checkpoint that is in Bitcoin, and how the bundle's own checkpoint follows from it or leads to it.

use tallystick_core::canonical;
use tallystick_log::anchor::{AnchorError, AnchorProof, Anchored, Headers, commitment};
use tallystick_log::{CONSISTENCY_HASHES_MAX, Checkpoint, HASH_BYTES, Hash, LogError, verify_consistency};

use crate::BundleError;

const TAG: &str = "tallystick/bundle-anchor/v1";
/// Bytes of a checkpoint's text, at most.
const TEXT_BYTES_MAX: usize = 4_096;

/// An anchor for a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleAnchor {
    /// The text of the checkpoint that is anchored.
    pub text: String,
    /// The proof that it is in a block.
    pub proof: AnchorProof,
    /// The proof (RFC 6962, 2.1.2) that of the two trees, the anchored one and the bundle's, the larger begins with the
    /// smaller. Empty if they are the same.
    pub consistency: Vec<Hash>,
}

impl BundleAnchor {
    /// Its canonical bytes.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        canonical::frame(TAG, &[self.text.as_bytes(), &self.proof.to_bytes(), &self.consistency.concat()])
    }

    /// Reads [`to_bytes`](Self::to_bytes).
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, BundleError> {
        let [text, proof, hashes] = canonical::unframe::<3>(TAG, bytes).ok_or(LogError::BadBundle)?;
        let (consistency, odd) = hashes.as_chunks::<HASH_BYTES>();
        if text.len() > TEXT_BYTES_MAX || !odd.is_empty() || consistency.len() > CONSISTENCY_HASHES_MAX {
            return Err(LogError::BadBundle.into());
        }
        let text = std::str::from_utf8(text).map_err(|_| LogError::BadBundle)?.to_owned();
        Ok(Self { text, proof: AnchorProof::parse(proof)?, consistency: consistency.to_vec() })
    }

    /// Checks that Bitcoin vouches for fact `seq` of the log whose checkpoint this is.
    pub(crate) fn verify(&self, seq: u64, own: &Checkpoint, headers: &Headers) -> Result<Anchored, BundleError> {
        let theirs = self.check(seq, own)?;
        debug_assert_eq!(theirs.origin(), own.origin());
        Ok(self.proof.verify(self.text.as_bytes(), headers)?)
    }

    /// All that can be checked without headers: the transaction commits to the text, the two trees are of one log, one is the
    /// beginning of the other, and the fact is in both.
    pub(crate) fn check(&self, seq: u64, own: &Checkpoint) -> Result<Checkpoint, BundleError> {
        if *self.proof.tx().commitment() != commitment(self.text.as_bytes()) {
            return Err(AnchorError::WrongCommitment.into());
        }
        let theirs = Checkpoint::parse(&self.text)?;
        if theirs.origin() != own.origin() || seq > theirs.size() {
            return Err(BundleError::OtherAnchor);
        }
        let (small, large) = if theirs.size() <= own.size() { (&theirs, own) } else { (own, &theirs) };
        if small.size() == large.size() {
            let same = small.root() == large.root() && self.consistency.is_empty();
            return if same { Ok(theirs) } else { Err(BundleError::OtherAnchor) };
        }
        verify_consistency(small.size(), large.size(), &self.consistency, small.root(), large.root())?;
        Ok(theirs)
    }
}
