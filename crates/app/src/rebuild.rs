//! Makes again what the facts make: the read model, and the tiles of the log's tree.

use std::collections::BTreeMap;
use tallystick_core::fact::CHAIN_START;
use tallystick_escrow::State;
use tallystick_log::{Hash, LogError, SignedCheckpoint, TileEdge, leaf_hash, tiles_in_level};

pub use crate::change::ROWS_FORMAT;
use crate::{
    app::App,
    change::{is_task, row, task_of},
    erase::STREAM,
    error::AppError,
    log::TreeError,
    port::{
        journal::{Journal, StoreError},
        limits::PAGE_MAX,
        log::{LogState, LogStore, Published},
        snapshot::Snapshot,
        tasks::TaskRebuild,
    },
    road::replay,
};

/// Tiles that are written in one transaction.
const TILES: usize = 64;

impl App {
    /// Makes the read model again if it is not complete, or was made by a program with another idea of it. Answers
    /// whether it did. For the start, before queries are served.
    ///
    /// # Errors
    /// [`AppError::Store`]; the next start begins anew.
    pub async fn refresh_tasks(&self, rows: &dyn TaskRebuild) -> Result<bool, AppError> {
        if rows.rows_format().await? == ROWS_FORMAT {
            return Ok(false);
        }
        let count = self.rebuild_tasks(rows).await?;
        tracing::info!(tasks = count, format = ROWS_FORMAT, "the read model of tasks was made again");
        Ok(true)
    }

    /// [`rebuild_tasks`] of this node's journal.
    ///
    /// # Errors
    /// [`AppError::Store`]; the read model is not complete then, and marked so.
    pub async fn rebuild_tasks(&self, rows: &dyn TaskRebuild) -> Result<u64, AppError> {
        rebuild_tasks(&*self.0.parts.journal, rows).await
    }
}

/// Throws the read model away, and makes every task's row from its facts. Answers how many tasks there are.
///
/// # Errors
/// [`AppError::Store`]; the read model is not complete then, and marked so.
pub async fn rebuild_tasks(journal: &dyn Journal, rows: &dyn TaskRebuild) -> Result<u64, AppError> {
    loop {
        let before = own_version(journal).await?;
        let count = make_rows(journal, rows).await?;
        // A task that another replica erased between its facts and its row would have one again.
        if own_version(journal).await? == before {
            rows.set_rows_format(ROWS_FORMAT).await?;
            return Ok(count);
        }
    }
}

/// How much the journal tells of itself: erasures are in it.
async fn own_version(journal: &dyn Journal) -> Result<u64, AppError> {
    let own = journal.stream(STREAM, 0).await?;
    Ok(own.last().map_or(0, |fact| fact.version))
}

async fn make_rows(journal: &dyn Journal, rows: &dyn TaskRebuild) -> Result<u64, AppError> {
    rows.clear_rows().await?;
    let (mut after, mut count) = (0, 0);
    loop {
        let page = journal.facts(after, PAGE_MAX).await?;
        let Some(last) = page.last() else { return Ok(count) };
        after = last.seq;
        let mut made = Vec::new();
        for first in page.iter().filter(|fact| fact.version == 1 && is_task(&fact.stream)) {
            let facts = journal.stream(&first.stream, 0).await?;
            let (state, version) = match replay(State::default(), 0, &facts) {
                // It has no row any more.
                Err(AppError::Erased) => continue,
                replayed => replayed?,
            };
            made.push(row(task_of(&first.stream)?, version, &state)?);
            count += 1;
        }
        rows.show_rows(made).await?;
    }
}

/// Makes every tile of the log's tree from the facts, and writes those that are not so; deletes tiles beyond the tree.
/// Answers how many tiles it mended. `store` is what `log` holds at this moment; a tree that grows meanwhile stops it.
///
/// # Errors
/// [`TreeError::Store`] if a fact does not follow the one before it, or facts are missing: then there is nothing that it
/// could make the tree of. [`TreeError::Tree`] if the published checkpoint is not one of these facts: then a tree made of
/// them would be another history.
pub async fn rebuild_tree(store: &dyn Snapshot, log: &dyn LogStore) -> Result<u64, TreeError> {
    let LogState { size, published } = store.log_state().await?;
    let mut tree = TileEdge::new();
    let (mut head, mut mended, mut made) = (CHAIN_START, Vec::new(), BTreeMap::new());
    while tree.size() < size {
        let page = store.facts(tree.size(), PAGE_MAX).await?;
        let mut leaves = Vec::new();
        for (fact, seq) in page.iter().zip(tree.size() + 1..=size) {
            if (fact.seq, fact.prev, fact.hash) != (seq, head, fact.link()) {
                return Err(StoreError::Corrupt(format!("fact {seq} does not follow the fact before it")).into());
            }
            head = fact.hash;
            leaves.push(leaf_hash(&fact.entry()));
        }
        if leaves.is_empty() {
            return Err(StoreError::Corrupt(format!("fact {} is missing", tree.size() + 1)).into());
        }
        if let Some(published) = published.as_ref().filter(|it| (tree.size()..=size).contains(&it.size)) {
            follows(&tree, &leaves, published)?;
        }
        for tile in tree.integrate(&leaves)? {
            made.insert((tile.id.level(), tile.id.index()), tile);
        }
        // What is partial still grows, until the end.
        let done = tree.size() == size;
        let whole: Vec<_> = made.extract_if(.., |_, tile| done || tile.id.is_full()).map(|(_, tile)| tile).collect();
        for tile in whole {
            if store.log_tile(tile.id.level(), tile.id.index()).await?.as_deref() != Some(&tile.to_bytes()) {
                mended.push(tile);
            }
        }
    }
    let mut count = mended.len() as u64;
    let grew = || StoreError::Unavailable("the log grows: stop the node first".into());
    for tiles in mended.chunks(TILES) {
        if !log.integrate(size, size, tiles.to_vec()).await? {
            return Err(grew().into());
        }
    }
    let beyond = beyond(store, size).await?;
    count += beyond.len() as u64;
    if !beyond.is_empty() && !log.drop_tiles(size, beyond).await? {
        return Err(grew().into());
    }
    Ok(count)
}

/// That the published checkpoint is of this tree, which these leaves follow, if it ends among them.
fn follows(tree: &TileEdge, leaves: &[Hash], published: &Published) -> Result<(), TreeError> {
    let more = usize::try_from(published.size - tree.size()).unwrap_or(usize::MAX);
    let Some(leaves) = leaves.get(..more) else { return Ok(()) };
    let mut tree = tree.clone();
    tree.integrate(leaves)?;
    let signed = SignedCheckpoint::parse(&published.note)?;
    let same = signed.unverified().size() == published.size && *signed.unverified().root() == tree.root()?;
    if same { Ok(()) } else { Err(LogError::RootMismatch.into()) }
}

/// Tiles that a tree of this size does not have.
async fn beyond(store: &dyn Snapshot, size: u64) -> Result<Vec<(u8, u64)>, StoreError> {
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = store.log_tiles(after, PAGE_MAX).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = Some(*last);
        found.extend(page.into_iter().filter(|(level, index)| {
            let (full, rest) = tiles_in_level(size, *level);
            *index >= full + u64::from(rest > 0)
        }));
    }
}
