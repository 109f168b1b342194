//! Anchors one after the other.

use super::{AnchorError, AnchorProof, Anchored, Headers};
use crate::{Checkpoint, Hash, verify_consistency};
use bitcoin::OutPoint;

/// A chain of anchors, followed from the outpoint that the verifier pins. One cannot be followed twice to different
/// ends: Bitcoin lets each seal be spent once. And it is of one history: each tree begins with the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorChain {
    seal: OutPoint,
    number: u64,
    last: Option<Checkpoint>,
}

impl AnchorChain {
    /// The chain before its first anchor, which must spend `genesis`.
    #[must_use]
    pub const fn new(genesis: OutPoint) -> Self {
        Self { seal: genesis, number: 0, last: None }
    }

    /// Verifies the next anchor, and follows it. `history` is the proof (RFC 6962, 2.1.2) that its tree begins with that of
    /// the anchor before; of the first it is empty. After an error the chain is as it was.
    ///
    /// # Errors
    /// Those of [`AnchorProof::verify`]; [`AnchorError::WrongSeal`] if it is not the next one,
    /// [`AnchorError::WrongLog`] or [`AnchorError::Shrinks`] if its text is no later checkpoint of the same log,
    /// [`AnchorError::OtherHistory`] if it is one of another history.
    pub fn extend(
        &mut self,
        text: &str,
        proof: &AnchorProof,
        history: &[Hash],
        headers: &Headers,
    ) -> Result<Anchored, AnchorError> {
        let anchored = proof.verify(text.as_bytes(), headers)?;
        if anchored.seal != self.seal {
            return Err(AnchorError::WrongSeal);
        }
        let checkpoint = Checkpoint::parse(text).map_err(|_| AnchorError::WrongLog)?;
        match &self.last {
            Some(last) => follows(last, &checkpoint, history)?,
            None if history.is_empty() => {}
            None => return Err(AnchorError::OtherHistory),
        }
        self.last = Some(checkpoint);
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

fn follows(last: &Checkpoint, next: &Checkpoint, history: &[Hash]) -> Result<(), AnchorError> {
    if last.origin() != next.origin() {
        return Err(AnchorError::WrongLog);
    }
    let (before, size) = (last.size(), next.size());
    if size < before {
        return Err(AnchorError::Shrinks { before, size });
    }
    verify_consistency(before, size, history, last.root(), next.root()).map_err(|_| AnchorError::OtherHistory)
}
