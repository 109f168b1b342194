//! Drops what nobody filed, and erases what has been kept long enough.

use std::convert::Infallible;
use tallystick_core::{Coded, Duration, Timestamp};

use super::{Vault, VaultError};
use crate::port::evidence::{Matter, Piece};

/// Matters in one answer of the store.
const PAGE: u32 = 100;

/// The worker that tidies the vault. Of several replicas one runs it; two do no harm.
pub struct VaultKeeper {
    vault: Vault,
    pause: Duration,
}

impl VaultKeeper {
    /// A worker that looks again after every `pause`.
    pub fn new(vault: Vault, pause: Duration) -> Self {
        Self { vault, pause }
    }

    /// Works until it is dropped, which may be at any point: what was begun is gone on with.
    pub async fn run(self) -> Infallible {
        let mut last = None;
        loop {
            let outcome = self.vault.tidy().await.err();
            // Each fault is told once, not at every look.
            if let Some(fault) = outcome.as_ref().filter(|fault| last.as_ref() != Some(*fault)) {
                tracing::warn!(code = %fault.code(), "evidence is not tidied up: {fault}");
            }
            last = outcome;
            tokio::time::sleep(std::time::Duration::from_millis(self.pause.as_millis().max(1))).await;
        }
    }
}

impl Vault {
    /// Looks at every matter once: what nobody filed in time is dropped, and what has been kept long enough is erased.
    ///
    /// # Errors
    /// The first [`VaultError`]; what is done then stays, and another look goes on.
    pub async fn tidy(&self) -> Result<(), VaultError> {
        let (mut after, mut gone) = (None, false);
        loop {
            let page = self.store.matters(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(*last);
            for matter in page {
                gone |= self.tidy_matter(matter).await?;
            }
        }
        if gone {
            self.app.0.parts.journal.scrub().await?;
        }
        Ok(())
    }

    /// Tidies a matter up. Answers whether bytes were erased or dropped.
    async fn tidy_matter(&self, matter: Matter) -> Result<bool, VaultError> {
        let ctx = self.app.ctx(self.app.key())?;
        let Some(dispute) = self.disputes.dispute(matter).await? else {
            // Its task was erased, and that fact tells of the evidence as well.
            self.store.erase(matter).await?;
            return Ok(true);
        };
        let pieces = self.store.pieces(matter).await?;
        let mut gone = false;
        for piece in pieces.iter().filter(|piece| !piece.filed) {
            if dispute.evidence.iter().any(|filed| filed.hash == piece.hash) {
                self.store.set_filed(matter, piece.hash).await?;
            } else if piece.touched_at.after(self.retention.unfiled) <= ctx.now {
                gone |= self.store.drop_unfiled(piece).await?;
            }
        }
        let is_old = |since: Timestamp| since.after(self.retention.filed) <= ctx.now;
        // Nothing is touched once its dispute is over: only what is old enough by that is worth reading all facts of its task. A
        // time that has not come yet tells nothing.
        let may_be_due = |piece: &Piece| is_old(piece.touched_at) || piece.touched_at > ctx.now;
        if dispute.phase.is_final()
            && pieces.iter().all(may_be_due)
            && self.disputes.over_since(matter).await?.is_some_and(is_old)
        {
            gone |= self.erase_matter(matter, None, &ctx).await? > 0;
        }
        Ok(gone)
    }
}
