//! Brings the tree up to the journal's end.

use std::sync::Arc;
use tallystick_core::{Digest32, Fact, fact::CHAIN_START};
use tallystick_log::{
    HASH_BYTES, LogError, SignedCheckpoint, TILE_LEVELS, TileEdge, TileId, leaf_hash, tiles_in_level,
    verify_consistency,
};

use super::{LogReader, TreeError};
use crate::port::{
    journal::{Journal, StoreError},
    limits::PAGE_MAX,
    log::LogStore,
};

/// The tree's right edge, and where the chain stands there.
struct Edge {
    tree: TileEdge,
    /// The hash of the last fact in the tree.
    head: Digest32,
}

/// Integrates facts. What it keeps in memory only saves reading it again.
pub(super) struct Integrator {
    journal: Arc<dyn Journal>,
    store: Arc<dyn LogStore>,
    edge: Option<Edge>,
}

impl Integrator {
    pub(super) fn new(journal: Arc<dyn Journal>, store: Arc<dyn LogStore>) -> Self {
        Self { journal, store, edge: None }
    }

    /// Integrates all facts that are in the journal now, a page at a time. Answers the tree.
    ///
    /// # Errors
    /// [`TreeError`]; what is integrated then stays.
    pub(super) async fn catch_up(&mut self) -> Result<&TileEdge, TreeError> {
        loop {
            // Taken out: if anything fails, it is read again.
            let mut edge = match self.edge.take() {
                Some(edge) => edge,
                None => self.load().await?,
            };
            let from = edge.tree.size();
            let facts = self.journal.facts(from, PAGE_MAX).await?;
            if facts.is_empty() {
                return Ok(&self.edge.insert(edge).tree);
            }
            let leaves: Vec<_> = facts.iter().map(|fact| edge.follow(fact)).collect::<Result<_, _>>()?;
            let tiles = edge.tree.integrate(&leaves)?;
            if self.store.integrate(from, edge.tree.size(), tiles).await? {
                self.edge = Some(edge);
            }
        }
    }

    /// That the tree in the store is one that goes on from what was published: nothing is signed on a damaged one.
    async fn check(&self, tree: &TileEdge) -> Result<(), TreeError> {
        let Some(published) = self.store.log_state().await?.published else { return Ok(()) };
        let signed = SignedCheckpoint::parse(&published.note)?;
        let (old, root) = (signed.unverified(), tree.root()?);
        if old.size() == tree.size() {
            return if *old.root() == root { Ok(()) } else { Err(LogError::RootMismatch.into()) };
        }
        let reader = LogReader::new(Arc::clone(&self.journal), Arc::clone(&self.store));
        let proof = reader.consistency(old.size(), tree.size()).await?;
        Ok(verify_consistency(old.size(), tree.size(), &proof, old.root(), &root)?)
    }

    /// The edge as the store holds it.
    async fn load(&self) -> Result<Edge, TreeError> {
        let size = self.store.log_state().await?.size;
        let mut tiles = Vec::new();
        for level in 0..TILE_LEVELS {
            let (index, width) = tiles_in_level(size, level);
            if width > 0 {
                let id = TileId::try_new(level, index, width)?;
                let hashes = self.store.log_tile(level, index).await?.unwrap_or_default();
                tiles.push((id, hashes.get(..usize::from(width) * HASH_BYTES).unwrap_or_default().to_vec()));
            }
        }
        let read = |id| {
            let found = tiles.iter().find(|(of, _)| *of == id);
            found.map(|(_, hashes)| hashes.clone()).ok_or(TreeError::Tree(LogError::BadTile))
        };
        let tree = TileEdge::load(size, read)?;
        self.check(&tree).await?;
        let head = match size.checked_sub(1) {
            None => CHAIN_START,
            Some(before) => {
                let last = self.journal.facts(before, 1).await?.pop().filter(|fact| fact.seq == size);
                let last = last.ok_or_else(|| {
                    StoreError::Corrupt(format!("the log has {size} facts, and the journal fewer: it lost its end"))
                })?;
                last.hash
            }
        };
        Ok(Edge { tree, head })
    }
}

impl Edge {
    /// The leaf of a fact, which must follow the last one.
    fn follow(&mut self, fact: &Fact) -> Result<[u8; HASH_BYTES], TreeError> {
        let entry = fact.entry();
        let hash = tallystick_core::canonical::sha256(&entry);
        if fact.prev != self.head || fact.hash != hash {
            return Err(StoreError::Corrupt(format!("fact {} does not follow the fact before it", fact.seq)).into());
        }
        self.head = hash;
        Ok(leaf_hash(&entry))
    }
}
