//! The evidence that is kept, against its hashes and against what the facts name.

use std::collections::BTreeMap;
use tallystick_civics::dispute::{self, Dispute, Side};
use tallystick_core::{Digest32, Id};
use tallystick_escrow::{State, Task};

use super::{Damage, Fsck, facts::Facts};
use crate::port::{
    evidence::{Matter, Piece},
    journal::StoreError,
    limits::PAGE_MAX,
};

/// Every piece that is kept.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    kept: BTreeMap<(Matter, Digest32), Piece>,
}

impl Evidence {
    /// Reads every piece, and hashes it.
    pub(super) async fn read(fsck: &Fsck) -> Result<Self, Damage> {
        let mut kept = BTreeMap::new();
        let mut after = None;
        loop {
            let page = fsck.store.evidence(after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(Self { kept }) };
            after = Some((last.matter, last.hash));
            for piece in page {
                check(fsck, &piece).await?;
                kept.insert((piece.matter, piece.hash), piece);
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        u64::try_from(self.kept.len()).unwrap_or(u64::MAX)
    }

    /// What was filed in a task's disputes is kept, or a fact tells that it was erased; and that only once its dispute was over.
    pub(super) fn check_filed(&self, facts: &Facts, id: Id<Task>, state: &State) -> Result<(), Damage> {
        let State::Present(task) = state else { return Ok(()) };
        for dispute in task.cases().map(|case| &case.dispute) {
            let matter = Matter { task: id, dispute: dispute.opening.id };
            let erased = facts.evidence_erased.get(&matter);
            if let Some((seq, _)) = erased.filter(|_| !dispute.phase.is_final()) {
                return Err(Damage::fact(*seq, "tells that evidence was erased, and its dispute goes on"));
            }
            for filed in &dispute.evidence {
                let is_erased = erased.is_some_and(|(_, hashes)| hashes.contains(&filed.hash));
                self.check_one(matter, dispute, filed, is_erased)?;
            }
        }
        Ok(())
    }

    fn check_one(
        &self,
        matter: Matter,
        dispute: &Dispute,
        filed: &dispute::Evidence,
        is_erased: bool,
    ) -> Result<(), Damage> {
        let bad =
            |what: &str| Err(Damage::Evidence(format!("{} of the dispute {} {what}", filed.hash, matter.dispute)));
        let by = match filed.by {
            Side::Payer => dispute.opening.payer,
            Side::Payee => dispute.opening.payee,
        };
        match self.kept.get(&(matter, filed.hash)) {
            // A node that was stopped between the fact and the erasure goes on with it.
            None if is_erased => Ok(()),
            None => bad("was filed and is not kept, and no fact tells that it was erased"),
            Some(piece) if piece.bytes != filed.bytes => bad("was filed with another length"),
            Some(piece) if piece.uploader != by => bad("was filed by somebody else than who uploaded it"),
            Some(_) => Ok(()),
        }
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
    let what = format!("{hash} of the dispute {} is said to have {bytes} bytes, and has other", matter.dispute);
    Err(Damage::Evidence(what))
}
