//! The evidence that is kept, against its hashes and against what the facts name.
//!
//! Who gave a key to whom is no fact, and what is in one only its reader can see. So of keys it is told that they are the
//! ones whose hash was written with them, and that each is for somebody who may have one. Whoever writes keys and hash alike
//! is found by the readers alone: NIP-44 authenticates what it encrypts.

use std::collections::BTreeMap;
use tallystick_civics::dispute::{self, Dispute, Side};
use tallystick_core::{Digest32, Id, NostrKey};
use tallystick_escrow::{State, Task};

use super::{Damage, Fsck, facts::Facts};
use crate::{
    change::stream_of,
    port::{
        evidence::{Matter, Piece},
        journal::StoreError,
        limits::PAGE_MAX,
    },
};

/// Every piece that is kept, and who has a key of it.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    kept: BTreeMap<(Matter, Digest32), (Piece, Vec<NostrKey>)>,
}

impl Evidence {
    /// Reads every piece with its keys, and hashes them.
    pub(super) async fn read(fsck: &Fsck) -> Result<Self, Damage> {
        let mut kept = BTreeMap::new();
        let mut after = None;
        loop {
            let page = fsck.store.evidence(after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(Self { kept }) };
            after = Some((last.matter, last.hash));
            for piece in page {
                check(fsck, &piece).await?;
                let keys = fsck.store.evidence_keys(piece.matter, piece.hash).await.map_err(damaged)?;
                kept.insert((piece.matter, piece.hash), (piece, keys.iter().map(|key| key.reader).collect()));
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
        for (piece, readers) in self.of_task(id) {
            let mut disputes = task.cases().map(|case| &case.dispute);
            let dispute = disputes.find(|dispute| dispute.opening.id == piece.matter.dispute);
            check_place(piece, readers, dispute)?;
        }
        Ok(())
    }

    /// Checks that nothing is kept for tasks that there are not. What was kept for one that was erased goes after it.
    pub(super) fn check_tasks(&self, facts: &Facts) -> Result<(), Damage> {
        let is_there = |piece: &Piece| facts.streams.contains_key(&stream_of(piece.matter.task));
        match self.kept.values().find(|(piece, _)| !is_there(piece)) {
            Some((piece, _)) => Err(bad(piece, "is kept, and there is no such task")),
            None => Ok(()),
        }
    }

    fn of_task(&self, task: Id<Task>) -> impl Iterator<Item = &(Piece, Vec<NostrKey>)> {
        let first = Matter { task, dispute: Id::from_parts(0, [0; 10]) };
        self.kept
            .range((first, Digest32([0; 32]))..)
            .map(|(_, kept)| kept)
            .take_while(move |(piece, _)| piece.matter.task == task)
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
            Some((piece, _)) if piece.bytes != filed.bytes => bad("was filed with another length"),
            Some((piece, _)) if piece.uploader != by => bad("was filed by somebody else than who uploaded it"),
            Some(_) => Ok(()),
        }
    }
}

async fn check(fsck: &Fsck, piece: &Piece) -> Result<(), Damage> {
    let Piece { matter, hash, bytes, .. } = piece;
    let content = fsck.store.evidence_content(*matter, *hash).await.map_err(damaged)?;
    let found = content.map(|content| content.len());
    if found.and_then(|found| u64::try_from(found).ok()) == Some(*bytes) {
        return Ok(());
    }
    let what = format!("{hash} of the dispute {} is said to have {bytes} bytes, and has other", matter.dispute);
    Err(Damage::Evidence(what))
}

/// Checks that a piece was uploaded by a party of a dispute that there is, is known as filed only if it was, and has keys for
/// those alone who can ever have read it: the parties, and whoever was on a panel.
fn check_place(piece: &Piece, readers: &[NostrKey], dispute: Option<&Dispute>) -> Result<(), Damage> {
    let Some(dispute) = dispute else { return Err(bad(piece, "is kept, and there is no such dispute")) };
    if dispute.opening.side_of(piece.uploader).is_none() {
        return Err(bad(piece, "was uploaded by nobody who is a party"));
    }
    if piece.filed && !dispute.evidence.iter().any(|filed| filed.hash == piece.hash) {
        return Err(bad(piece, "is marked as filed, as no fact says"));
    }
    let sat = |key: NostrKey| dispute.panels().flat_map(|panel| &panel.bench).any(|seat| seat.arbitrator == key);
    let may = |key: &NostrKey| dispute.opening.side_of(*key).is_some() || sat(*key);
    match readers.iter().find(|reader| !may(reader)) {
        Some(stranger) => Err(bad(piece, &format!("has a key for {stranger}, who may not read it"))),
        None => Ok(()),
    }
}

fn damaged(error: StoreError) -> Damage {
    match error {
        StoreError::Corrupt(why) => Damage::Evidence(why),
        error => error.into(),
    }
}

fn bad(piece: &Piece, what: &str) -> Damage {
    Damage::Evidence(format!("{} of the dispute {} {what}", piece.hash, piece.matter.dispute))
}
