//! Anchors one after the other.

use super::{AnchorError, AnchorProof, Anchored, Headers};
use crate::Checkpoint;
use alloc::{borrow::ToOwned, string::String};
use bitcoin::OutPoint;

/// A chain of anchors, followed from the outpoint that the verifier pins. One cannot be followed twice to different
/// ends: Bitcoin lets each seal be spent once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorChain {
    seal: OutPoint,
    number: u64,
    log: Option<String>,
    size: u64,
}

impl AnchorChain {
    /// The chain before its first anchor, which must spend `genesis`.
    #[must_use]
    pub const fn new(genesis: OutPoint) -> Self {
        Self { seal: genesis, number: 0, log: None, size: 0 }
    }

    /// Verifies the next anchor, and follows it. After an error the chain is as it was.
    ///
    /// # Errors
    /// Those of [`AnchorProof::verify`]; [`AnchorError::WrongSeal`] if it is not the next one,
    /// [`AnchorError::WrongLog`] or [`AnchorError::Shrinks`] if its text is no later checkpoint of the same log. That
    /// the log only grew is for its consistency proofs to show.
    pub fn extend(&mut self, text: &str, proof: &AnchorProof, headers: &Headers) -> Result<Anchored, AnchorError> {
        let anchored = proof.verify(text.as_bytes(), headers)?;
        if anchored.seal != self.seal {
            return Err(AnchorError::WrongSeal);
        }
        let checkpoint = Checkpoint::parse(text).map_err(|_| AnchorError::WrongLog)?;
        if self.log.as_deref().is_some_and(|log| log != checkpoint.origin()) {
            return Err(AnchorError::WrongLog);
        }
        if checkpoint.size() < self.size {
            return Err(AnchorError::Shrinks { before: self.size, size: checkpoint.size() });
        }
        self.log = Some(checkpoint.origin().to_owned());
        self.size = checkpoint.size();
        self.seal = anchored.next_seal;
        self.number = self.number.saturating_add(1);
        Ok(anchored)
    }

    /// How many anchors were followed.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The outpoint that the next anchor must spend.
    #[must_use]
    pub const fn seal(&self) -> OutPoint {
        self.seal
    }
}
