//! The evidence that is kept, against its hashes.

use super::{Damage, Fsck};
use crate::port::{
    evidence::{Matter, Piece},
    journal::StoreError,
    limits::PAGE_MAX,
};
use std::collections::BTreeSet;
use tallystick_core::Digest32;

/// Every piece that is kept.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    kept: BTreeSet<(Matter, Digest32)>,
}

impl Evidence {
    /// Reads every piece, and hashes it.
    pub(super) async fn read(fsck: &Fsck) -> Result<Self, Damage> {
        let mut kept = BTreeSet::new();
        let mut after = None;
        loop {
            let page = fsck.store.evidence(after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(Self { kept }) };
            after = Some((last.matter, last.hash));
            for piece in &page {
                check(fsck, piece).await?;
                kept.insert((piece.matter, piece.hash));
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.kept.len()).unwrap_or(u64::MAX)
    }
}

async fn check(fsck: &Fsck, piece: &Piece) -> Result<(), Damage> {
    let Piece { matter, hash, bytes, .. } = piece;
    let content = fsck.store.evidence_content(*matter, *hash).await.map_err(|error| match error {
        StoreError::Corrupt(why) => Damage::Evidence(why),
        error => error.into(),
    })?;
    let found = content.map(|content| content.len());
    if found.and_then(|found| u64::try_from(found).ok()) == Some(*bytes) {
        return Ok(());
    }
    Err(Damage::Evidence(format!(
        "{hash} of the dispute {} is said to have {bytes} bytes, and has other",
        matter.dispute
    )))
}
