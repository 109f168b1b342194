//! The tree beside the journal.

use std::sync::Arc;
use tallystick_app::port::journal::Append;
use tallystick_app::port::log::{LogState, Published};
use tallystick_core::Fact;
use tallystick_log::{TileEdge, leaf_hash};

use super::Store;
use super::fixture::{KIND, append, erasing, public};

/// The tree of `count` leaves made in steps, as an integrator would.
async fn grow<S: Store>(store: &S, edge: &mut TileEdge, count: u64) {
    let from = edge.size();
    let leaves: Vec<_> = (from..from + count).map(|n| leaf_hash(&n.to_le_bytes())).collect();
    let tiles = edge.integrate(&leaves).expect("a small tree");
    assert_eq!(store.integrate(from, edge.size(), tiles).await, Ok(true));
}

/// What was written is read back, partial tiles as wide as they are by now.
pub async fn tiles_grow_and_read_back<S: Store>(store: Arc<S>) {
    assert_eq!(store.log_state().await, Ok(LogState::default()));
    assert_eq!(store.log_tile(0, 0).await, Ok(None));
    let mut edge = TileEdge::new();
    for count in [1, 254, 1, 1, 300] {
        grow(&*store, &mut edge, count).await;
    }
    assert_eq!(store.log_state().await.expect("an answer").size, 557);
    let widths = [(0, 0, Some(256)), (0, 1, Some(256)), (0, 2, Some(45)), (0, 3, None), (1, 0, Some(2)), (2, 0, None)];
    for (level, index, width) in widths {
        let tile = store.log_tile(level, index).await.expect("an answer");
        assert_eq!(tile.map(|hashes| hashes.len()), width.map(|width| width * 32), "{level}/{index}");
    }
    assert_eq!(store.log_tile(0, u64::MAX).await, Ok(None));
    let mut tiles = Vec::new();
    for (level, index) in [(0, 2), (1, 0)] {
        tiles.push(store.log_tile(level, index).await.expect("an answer").expect("a partial tile"));
    }
    let mut tiles = tiles.into_iter();
    let again = TileEdge::load(557, |_| tiles.next().ok_or(())).expect("the tiles that were written");
    assert_eq!(again, edge);
}

/// Of two that integrate from the same size, one does.
pub async fn one_of_two_integrators_wins<S: Store>(store: Arc<S>) {
    let leaves = [leaf_hash(b"one"), leaf_hash(b"two")];
    let tiles = |count: usize| TileEdge::new().integrate(&leaves[..count]).expect("a small tree");
    let (one, two) = tokio::join!(store.integrate(0, 1, tiles(1)), store.integrate(0, 2, tiles(2)));
    let (one, two) = (one.expect("an answer"), two.expect("an answer"));
    assert!(one != two, "{one} {two}");
    let size = store.log_state().await.expect("an answer").size;
    assert_eq!(size, if one { 1 } else { 2 });
    let tile = store.log_tile(0, 0).await.expect("an answer").expect("a tile");
    assert_eq!(u64::try_from(tile.len()).expect("small"), size * 32);
}

/// Tiles are written again and deleted at the size that they are for, and at no other.
pub async fn tiles_are_mended<S: Store>(store: Arc<S>) {
    let mut edge = TileEdge::new();
    grow(&*store, &mut edge, 257).await;
    let again = || TileEdge::new().integrate(&[leaf_hash(b"another")]).expect("a small tree");
    let all = || async { (store.log_tile(0, 0).await, store.log_tile(0, 1).await, store.log_tile(1, 0).await) };
    let before = all().await;
    assert_eq!(store.integrate(256, 256, again()).await, Ok(false));
    assert_eq!(store.drop_tiles(256, vec![(0, 0)]).await, Ok(false));
    assert_eq!(all().await, before);
    assert_eq!(store.integrate(257, 257, again()).await, Ok(true));
    assert_eq!(store.log_tile(0, 0).await.expect("an answer"), Some(leaf_hash(b"another").to_vec()));
    assert_eq!(store.drop_tiles(257, vec![(0, 1), (1, 0), (7, 7)]).await, Ok(true));
    let after = all().await;
    assert_eq!((after.1, after.2), (Ok(None), Ok(None)));
    assert!(after.0.is_ok_and(|tile| tile.is_some()));
    assert_eq!(store.log_state().await.expect("an answer").size, 257);
}

/// A checkpoint is never replaced by an older one, and never ahead of the tree.
pub async fn checkpoints_only_go_forward<S: Store>(store: Arc<S>) {
    let published = |size: u64| Published { size, note: format!("note of {size}").into_bytes() };
    assert_eq!(store.publish(published(1)).await, Ok(false));
    let mut edge = TileEdge::new();
    grow(&*store, &mut edge, 5).await;
    assert_eq!(store.publish(published(6)).await, Ok(false));
    for (size, taken) in [(3, true), (3, false), (2, false), (5, true), (4, false)] {
        assert_eq!(store.publish(published(size)).await, Ok(taken), "{size}");
    }
    let state = store.log_state().await;
    assert_eq!(state, Ok(LogState { size: 5, published: Some(published(5)) }));
}

/// Everybody may see a fact's entry, whether its opening is there, never was, or was erased.
pub async fn entries_are_those_of_the_facts<S: Store>(store: Arc<S>) {
    store.append(append(1, 0)).await.expect("a new stream");
    store.append(append(2, 0)).await.expect("another stream");
    let words = vec![public(KIND, b"for all".to_vec())];
    store.append(Append { facts: words, ..append(3, 0) }).await.expect("another stream");
    store.append(erasing(2, 1)).await.expect("erased");
    let facts = store.facts(0, 10).await.expect("facts");
    let entries: Vec<_> = facts.iter().map(Fact::entry).collect();
    assert_eq!(entries.len(), 4);
    for (from, to, range) in [(0, 4, 0..4), (0, u64::MAX, 0..4), (1, 3, 1..3), (3, 3, 3..3), (4, 9, 4..4)] {
        assert_eq!(store.log_entries(from, to).await, Ok(entries[range].to_vec()), "{from} to {to}");
    }
}
