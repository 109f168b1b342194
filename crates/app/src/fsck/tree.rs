//! The log's tree, made again from the entries.

use std::collections::BTreeMap;
use tallystick_core::{Duration, Fact, Timestamp};
use tallystick_log::{Checkpoint, CompactRange, Hash, SignedCheckpoint, TileEdge, TileId, leaf_hash, tiles_in_level};

use super::{Behind, Damage, Fsck};
use crate::{
    anchor::event::{AnchorEvent, STREAM as ANCHORS},
    port::{
        journal::StoreError,
        limits::PAGE_MAX,
        log::{LogState, Published},
        snapshot::Snapshot,
    },
};

/// How much older than the newest fact one may be that the log does not have yet: it follows within seconds while a node
/// runs, and the newest fact shows that one did.
const BEHIND_MAX: Duration = Duration::from_secs(600);

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
    /// The largest tree that a fact tells to be published, as it was anchored, and that fact.
    anchored: Option<(u64, u64)>,
}

impl Tree {
    pub(super) async fn open(fsck: &Fsck) -> Result<Self, Damage> {
        let state = fsck.store.log_state().await.map_err(|error| match error {
            StoreError::Corrupt(why) => Damage::Log(why),
            error => error.into(),
        })?;
        let (edge, range) = (TileEdge::new(), CompactRange::new());
        let kept = fsck.checkpoints.iter().map(|(_, checkpoint)| checkpoint).chain(&fsck.published);
        let sizes = kept.map(Checkpoint::size);
        let sizes = sizes.chain(state.published.as_ref().map(|published| published.size));
        let roots = sizes.map(|size| (size, None)).collect();
        let (partial, newest) = (BTreeMap::new(), Timestamp::from_millis(0));
        let (first, unlogged, anchored) = (None, None, None);
        let mut tree = Self { state, edge, range, roots, partial, first, unlogged, newest, anchored };
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
            self.anchored = self.anchored.max(anchored(fact));
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

    /// Checks how far the tree has come, and the published checkpoint. Answers the sizes of both, and whether they are far
    /// behind the facts: that is no damage if nobody could publish for so long, and nothing in the store tells whether.
    pub(super) fn finish(&self, fsck: &Fsck) -> Result<(u64, u64, Option<Behind>), Damage> {
        if self.edge.size() != self.state.size {
            let (size, facts) = (self.state.size, self.edge.size());
            return Err(Damage::Log(format!("its tree holds {size} facts, and the journal {facts}")));
        }
        let size = self.state.published.as_ref().map_or(0, |published| published.size);
        if let Some((anchored, seq)) = self.anchored.filter(|(anchored, _)| *anchored > size) {
            let why =
                format!("{size} facts are under its published checkpoint, and fact {seq} anchors one of {anchored}");
            return Err(Damage::Log(why));
        }
        if let Some(kept) = &fsck.published {
            self.follows("this node's directory", kept)?;
            if kept.size() > size {
                let why = format!(
                    "{size} facts are under its published checkpoint, and this node published one of {}",
                    kept.size()
                );
                return Err(Damage::Log(why));
            }
        }
        let is_late = |at: Timestamp| at.until(self.newest) > BEHIND_MAX;
        let unlogged = self.unlogged.filter(|(_, at)| is_late(*at)).map(|(seq, _)| Behind::Tree(seq));
        let Some(Published { size, note }) = &self.state.published else {
            // Whoever names keys expects what they signed.
            if self.first.is_some() && (fsck.key.is_some() || fsck.policy.k() > 0) {
                return Err(Damage::Log("no checkpoint is published".into()));
            }
            let unpublished = self.first.filter(|at| is_late(*at)).map(|_| Behind::Checkpoint);
            return Ok((self.state.size, 0, unlogged.or(unpublished)));
        };
        let signed = SignedCheckpoint::parse(note).map_err(bad)?;
        let told = match &fsck.key {
            Some(key) => signed.verify(key).map_err(bad)?,
            None => signed.unverified(),
        };
        fsck.policy.verify(signed.note()).map_err(bad)?;
        if told.size() != *size || self.roots.get(size) != Some(&Some(*told.root())) {
            return Err(Damage::Log("the published checkpoint is of another tree".into()));
        }
        Ok((self.state.size, *size, unlogged))
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

/// The size of the checkpoint that a fact anchors, and the fact's number.
fn anchored(fact: &Fact) -> Option<(u64, u64)> {
    let anchors = (fact.stream == ANCHORS).then(|| AnchorEvent::of(fact).ok()).flatten()?;
    let (AnchorEvent::Made(made) | AnchorEvent::Replaced(made)) = anchors else { return None };
    Some((Checkpoint::parse(&made.checkpoint).ok()?.size(), fact.seq))
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
