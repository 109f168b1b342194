//! The log's tree, made again from the entries.

use std::collections::BTreeMap;
use tallystick_core::Fact;
use tallystick_log::{CompactRange, Hash, SignedCheckpoint, TileEdge, TileId, VerifierKey, WitnessPolicy, leaf_hash};

use super::Damage;
use crate::port::log::{LogState, LogStore, Published};

/// The tree as the facts make it.
pub(super) struct Tree {
    state: LogState,
    edge: TileEdge,
    range: CompactRange,
    /// The root at the published checkpoint's size, once it was passed.
    published_root: Option<Hash>,
    /// The partial tiles at the right edge: they are compared at the end, when they have grown as far as they do.
    partial: BTreeMap<(u8, u64), Vec<u8>>,
}

impl Tree {
    pub(super) async fn open(log: &dyn LogStore) -> Result<Self, Damage> {
        let state = log.log_state().await?;
        let (edge, range) = (TileEdge::new(), CompactRange::new());
        let mut tree = Self { state, edge, range, published_root: None, partial: BTreeMap::new() };
        tree.note_root();
        Ok(tree)
    }

    /// Adds facts, as far as the log has come, and compares the tiles that they fill.
    pub(super) async fn check(&mut self, log: &dyn LogStore, page: &[Fact]) -> Result<(), Damage> {
        let leaves: Vec<Hash> =
            (page.iter().filter(|fact| fact.seq <= self.state.size)).map(|fact| leaf_hash(&fact.entry())).collect();
        for leaf in &leaves {
            self.range.append(*leaf, |_, _| ()).map_err(bad)?;
            self.note_root();
        }
        for tile in self.edge.integrate(&leaves).map_err(bad)? {
            let place = (tile.id.level(), tile.id.index());
            if tile.id.is_full() {
                self.partial.remove(&place);
                compare(log, place, &tile.to_bytes()).await?;
            } else {
                self.partial.insert(place, tile.to_bytes());
            }
        }
        if self.edge.size() == self.state.size {
            for (place, bytes) in std::mem::take(&mut self.partial) {
                compare(log, place, &bytes).await?;
            }
        }
        Ok(())
    }

    fn note_root(&mut self) {
        if self.state.published.as_ref().is_some_and(|published| published.size == self.range.size()) {
            self.published_root = Some(self.range.root());
        }
    }

    /// Checks the published checkpoint. Answers the sizes of tree and checkpoint.
    pub(super) fn finish(&self, key: Option<&VerifierKey>, policy: &WitnessPolicy) -> Result<(u64, u64), Damage> {
        if self.edge.size() != self.state.size {
            let (size, facts) = (self.state.size, self.edge.size());
            return Err(Damage::Log(format!("its tree holds {size} facts, and the journal {facts}")));
        }
        let Some(Published { size, note }) = &self.state.published else {
            // Whoever names keys expects what they signed.
            let expected = key.is_some() || policy.k() > 0;
            return match expected && self.edge.size() > 0 {
                true => Err(Damage::Log("no checkpoint is published".into())),
                false => Ok((self.state.size, 0)),
            };
        };
        let signed = SignedCheckpoint::parse(note).map_err(bad)?;
        let told = match key {
            Some(key) => signed.verify(key).map_err(bad)?,
            None => signed.unverified(),
        };
        policy.verify(signed.note()).map_err(bad)?;
        if told.size() != *size || self.published_root != Some(*told.root()) {
            return Err(Damage::Log("the published checkpoint is of another tree".into()));
        }
        Ok((self.state.size, *size))
    }
}

async fn compare(log: &dyn LogStore, (level, index): (u8, u64), made: &[u8]) -> Result<(), Damage> {
    if log.log_tile(level, index).await?.as_deref() == Some(made) {
        return Ok(());
    }
    let id = TileId::try_new(level, index, 256).map_err(bad)?;
    Err(Damage::Log(format!("{} is not what the facts make", tallystick_log::LogPath::Tile(id))))
}

fn bad(error: tallystick_log::LogError) -> Damage {
    Damage::Log(error.to_string())
}
