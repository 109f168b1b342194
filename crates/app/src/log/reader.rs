//! What the log shows.

use std::{collections::BTreeMap, sync::Arc};
use tallystick_core::Fact;
use tallystick_log::{
    HASH_BYTES, Hash, LogError, ProofBundle, ProveError, Prover, SignedCheckpoint, TileId, encode_entries,
};

use super::TreeError;
use crate::port::{
    journal::{Journal, StoreError},
    log::LogStore,
    snapshot::Snapshot,
};

/// Reads the log. Cheap to clone.
#[derive(Clone)]
pub struct LogReader {
    journal: Arc<dyn Journal>,
    store: Arc<dyn LogStore>,
}

impl LogReader {
    /// A reader of this journal's log.
    pub fn new(journal: Arc<dyn Journal>, store: Arc<dyn LogStore>) -> Self {
        Self { journal, store }
    }

    /// The published checkpoint, a signed note (C2SP tlog-checkpoint). Nothing before the first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn checkpoint(&self) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.store.log_state().await?.published.map(|published| published.note))
    }

    /// The bytes of a tile of hashes (C2SP tlog-tiles). Nothing if the published tree has not come so far: what has not
    /// been published may still be lost, and what was served holds for ever.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn tile(&self, id: TileId) -> Result<Option<Vec<u8>>, StoreError> {
        if self.published_size().await? < leaves_to(id).unwrap_or(u64::MAX) {
            return Ok(None);
        }
        self.stored(id).await
    }

    /// Whether the journal has a fact of this number.
    pub(super) async fn has(&self, seq: u64) -> Result<bool, StoreError> {
        let Some(before) = seq.checked_sub(1) else { return Ok(true) };
        Ok(self.journal.facts(before, 1).await?.first().is_some_and(|fact| fact.seq == seq))
    }

    async fn published_size(&self) -> Result<u64, StoreError> {
        Ok(self.store.log_state().await?.published.map_or(0, |published| published.size))
    }

    /// The same of the tree as it is stored.
    async fn stored(&self, id: TileId) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(cut(self.store.log_tile(id.level(), id.index()).await?, id))
    }

    /// An entry bundle (C2SP tlog-tiles): the entries under a tile of level 0. Nothing if the published tree has not come so
    /// far.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn entries(&self, id: TileId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(first) = id.index().checked_mul(256) else { return Ok(None) };
        let end = first.saturating_add(u64::from(id.width()));
        if end > self.published_size().await? {
            return Ok(None);
        }
        let entries = self.store.log_entries(first, end).await?;
        if entries.len() != usize::from(id.width()) {
            return Err(StoreError::Corrupt(format!("facts after {first} are missing")));
        }
        encode_entries(&entries).map(Some).map_err(|error| StoreError::Corrupt(error.to_string()))
    }

    /// A fact, and the proof that it is under the published checkpoint (C2SP tlog-proof).
    ///
    /// # Errors
    /// [`TreeError::NotYet`] if it is not; [`TreeError::Store`] or [`TreeError::Tree`] if the store is damaged.
    pub async fn prove(&self, seq: u64) -> Result<(Fact, ProofBundle), TreeError> {
        let published = self.store.log_state().await?.published;
        let size = published.as_ref().map_or(0, |published| published.size);
        let not_yet = TreeError::NotYet { seq, size };
        let Some((published, index)) = published.zip(seq.checked_sub(1)) else { return Err(not_yet) };
        if index >= size {
            return Err(not_yet);
        }
        let fact = self.journal.facts(index, 1).await?.pop().filter(|fact| fact.seq == seq);
        let fact = fact.ok_or_else(|| StoreError::Corrupt(format!("fact {seq} is missing")))?;
        let proof = with_tiles(size, |id| self.stored(id), |prover| prover.inclusion(index)).await?;
        let checkpoint = SignedCheckpoint::parse(&published.note)?;
        Ok((fact, ProofBundle::try_new(index, proof, checkpoint)?))
    }

    /// The proof that the tree of `size` facts begins with that of `old_size` facts, from 1.
    ///
    /// # Errors
    /// [`TreeError`].
    pub async fn consistency(&self, old_size: u64, size: u64) -> Result<Vec<Hash>, TreeError> {
        with_tiles(size, |id| self.stored(id), |prover| prover.consistency(old_size)).await
    }

    /// The root of the tree of the first `size` facts.
    ///
    /// # Errors
    /// [`TreeError`].
    pub(super) async fn root(&self, size: u64) -> Result<Hash, TreeError> {
        with_tiles(size, |id| self.stored(id), |prover| prover.root()).await
    }
}

/// [`LogReader::consistency`] of a store at one moment.
///
/// # Errors
/// [`TreeError`].
pub async fn consistency_at(store: &dyn Snapshot, old_size: u64, size: u64) -> Result<Vec<Hash>, TreeError> {
    let stored = |id: TileId| async move { Ok(cut(store.log_tile(id.level(), id.index()).await?, id)) };
    with_tiles(size, stored, |prover| prover.consistency(old_size)).await
}

/// Runs a proof, reading the tiles that it asks for between tries: a prover does not wait, and a store does.
async fn with_tiles<T, F: Future<Output = Result<Option<Vec<u8>>, StoreError>>>(
    size: u64,
    stored: impl Fn(TileId) -> F,
    prove: impl Fn(&mut Prover<&mut dyn FnMut(TileId) -> Result<Vec<u8>, Missing>>) -> Result<T, ProveError<Missing>>,
) -> Result<T, TreeError> {
    let mut tiles: BTreeMap<TileId, Vec<u8>> = BTreeMap::new();
    loop {
        let tried = {
            let mut read = |id: TileId| tiles.get(&id).cloned().ok_or(Missing(id));
            prove(&mut Prover::new(size, &mut read))
        };
        let missing = match tried {
            Ok(proof) => return Ok(proof),
            Err(ProveError::Log(error)) => return Err(TreeError::Tree(error)),
            Err(ProveError::Read(Missing(id))) => id,
        };
        let tile = stored(missing).await?.ok_or(TreeError::Tree(LogError::BadTile))?;
        tiles.insert(missing, tile);
    }
}

/// As much of a stored tile as was asked for.
fn cut(hashes: Option<Vec<u8>>, id: TileId) -> Option<Vec<u8>> {
    hashes.and_then(|hashes| hashes.get(..usize::from(id.width()) * HASH_BYTES).map(<[u8]>::to_vec))
}

/// How many leaves a tree has at least that has this tile.
fn leaves_to(id: TileId) -> Option<u64> {
    let nodes = id.index().checked_mul(256)?.checked_add(u64::from(id.width()))?;
    1u64.checked_shl(8 * u32::from(id.level())).and_then(|leaves| nodes.checked_mul(leaves))
}

/// A tile that has to be read first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Missing(TileId);
