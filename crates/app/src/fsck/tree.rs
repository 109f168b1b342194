//! The log's tree, made again from the entries.

use std::collections::BTreeMap;
use tallystick_core::{Duration, Fact, Timestamp};
use tallystick_log::{
    Checkpoint, CompactRange, Hash, SignedCheckpoint, TileEdge, TileId, VerifierKey, WitnessPolicy, leaf_hash,
    tiles_in_level,
};

use super::{Damage, Fsck};
use crate::port::{
    limits::PAGE_MAX,
    log::{LogState, Published},
    snapshot::Snapshot,
};

/// How much older than the newest fact one may be that the log does not have yet: it follows within seconds while a node
/// runs, and the newest fact shows that one did.
const BEHIND_MAX: Duration = Duration::from_secs(60 * BEHIND_MINUTES);
const BEHIND_MINUTES: u64 = 10;

/// The tree as the facts make it.
pub(super) struct Tree {
    state: LogState,
    edge: TileEdge,
    range: CompactRange,
    /// The roots at these sizes, once they were passed.
    roots: BTreeMap<u64, Option<Hash>>,
    /// The partial tiles at the right edge: they are compared at the end, when they have grown as far as they do.
    partial: BTreeMap<(u8, u64), Vec<u8>>,
    /// When the first fact was recorded, and the first that the log does not have, with its number.
    first: Option<Timestamp>,
    unlogged: Option<(u64, Timestamp)>,
    newest: Timestamp,
}

impl Tree {
    pub(super) async fn open(fsck: &Fsck) -> Result<Self, Damage> {
        let state = fsck.store.log_state().await?;
        let (edge, range) = (TileEdge::new(), CompactRange::new());
        let sizes = fsck.checkpoints.iter().map(|(_, checkpoint)| checkpoint.size());
        let sizes = sizes.chain(state.published.as_ref().map(|published| published.size));
        let roots = sizes.map(|size| (size, None)).collect();
        let (partial, first, unlogged, newest) = (BTreeMap::new(), None, None, Timestamp::from_millis(0));
        let mut tree = Self { state, edge, range, roots, partial, first, unlogged, newest };
        tree.note_root();
        Ok(tree)
    }

    /// Adds facts, and compares the tiles that they fill, as far as the log has come.
    pub(super) async fn check(&mut self, store: &dyn Snapshot, page: &[Fact]) -> Result<(), Damage> {
        let mut leaves = Vec::new();
        for fact in page {
            let leaf = leaf_hash(&fact.entry());
            self.range.append(leaf, |_, _| ()).map_err(bad)?;
            self.note_root();
            if fact.seq <= self.state.size {
                leaves.push(leaf);
            } else {
                self.unlogged.get_or_insert((fact.seq, fact.recorded_at));
            }
            self.first.get_or_insert(fact.recorded_at);
            self.newest = self.newest.max(fact.recorded_at);
        }
        for tile in self.edge.integrate(&leaves).map_err(bad)? {
            let place = (tile.id.level(), tile.id.index());
            if tile.id.is_full() {
                self.partial.remove(&place);
                compare(store, place, &tile.to_bytes()).await?;
            } else {
                self.partial.insert(place, tile.to_bytes());
            }
        }
        if self.edge.size() == self.state.size {
            for (place, bytes) in std::mem::take(&mut self.partial) {
                compare(store, place, &bytes).await?;
            }
        }
        Ok(())
    }

    fn note_root(&mut self) {
        if let Some(root) = self.roots.get_mut(&self.range.size()) {
            *root = Some(self.range.root());
        }
    }

    /// Checks that a checkpoint is of this tree, or of one that it began with.
    pub(super) fn follows(&self, name: &str, checkpoint: &Checkpoint) -> Result<(), Damage> {
        let (name, size, facts) = (name.to_owned(), checkpoint.size(), self.range.size());
        match self.roots.get(&size) {
            _ if size > facts => Err(Damage::Rollback { name, size, facts }),
            Some(Some(root)) if root == checkpoint.root() => Ok(()),
            _ => Err(Damage::Fork { name, size }),
        }
    }

    /// Checks how far the tree has come, and the published checkpoint. Answers the sizes of both.
    pub(super) fn finish(&self, key: Option<&VerifierKey>, policy: &WitnessPolicy) -> Result<(u64, u64), Damage> {
        if self.edge.size() != self.state.size {
            let (size, facts) = (self.state.size, self.edge.size());
            return Err(Damage::Log(format!("its tree holds {size} facts, and the journal {facts}")));
        }
        let is_late = |at: Timestamp| at.until(self.newest) > BEHIND_MAX;
        if let Some((seq, _)) = self.unlogged.filter(|(_, at)| is_late(*at)) {
            let size = self.state.size;
            return Err(Damage::Log(format!(
                "its tree holds {size} facts, and fact {seq} is more than {BEHIND_MINUTES} minutes older than the newest"
            )));
        }
        let Some(Published { size, note }) = &self.state.published else {
            // Whoever names keys expects what they signed, and a node that is not new has published.
            let expected = key.is_some() || policy.k() > 0;
            return match self.first {
                Some(_) if expected => Err(Damage::Log("no checkpoint is published".into())),
                Some(at) if is_late(at) => Err(Damage::Log(format!(
                    "no checkpoint is published, and the first fact is more than {BEHIND_MINUTES} minutes older than the newest"
                ))),
                _ => Ok((self.state.size, 0)),
            };
        };
        let signed = SignedCheckpoint::parse(note).map_err(bad)?;
        let told = match key {
            Some(key) => signed.verify(key).map_err(bad)?,
            None => signed.unverified(),
        };
        policy.verify(signed.note()).map_err(bad)?;
        if told.size() != *size || self.roots.get(size) != Some(&Some(*told.root())) {
            return Err(Damage::Log("the published checkpoint is of another tree".into()));
        }
        Ok((self.state.size, *size))
    }

    /// Checks that there are no tiles besides those of the tree.
    pub(super) async fn no_more(&self, store: &dyn Snapshot) -> Result<(), Damage> {
        let mut after = None;
        loop {
            let page = store.log_tiles(after, PAGE_MAX).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(*last);
            let beyond = |(level, index): &&(u8, u64)| {
                let (full, rest) = tiles_in_level(self.state.size, *level);
                *index >= full + u64::from(rest > 0)
            };
            if let Some((level, index)) = page.iter().find(beyond) {
                return Err(Damage::Log(format!("{} is beyond its tree", name(*level, *index))));
            }
        }
    }
}

async fn compare(store: &dyn Snapshot, (level, index): (u8, u64), made: &[u8]) -> Result<(), Damage> {
    if store.log_tile(level, index).await?.as_deref() == Some(made) {
        return Ok(());
    }
    Err(Damage::Log(format!("{} is not what the facts make", name(level, index))))
}

fn name(level: u8, index: u64) -> String {
    match TileId::try_new(level, index, 256) {
        Ok(id) => tallystick_log::LogPath::Tile(id).to_string(),
        Err(_) => format!("a tile of level {level}"),
    }
}

fn bad(error: tallystick_log::LogError) -> Damage {
    Damage::Log(error.to_string())
}
