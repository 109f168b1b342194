//! The vault's tables.

use std::sync::Arc;
use tallystick_app::port::{
    evidence::{Kept, Matter, Piece, Room, WRAPPED_BYTES_MAX, WRAPPED_MAX, Wrapped, WrappedKey},
    journal::StoreError,
};
use tallystick_core::{Id, canonical::sha256};

use super::Store;
use super::fixture::{NOW, key, later, task_id};

const ROOM: Room = Room { pieces: 3, bytes: 100_000 };

/// The `dispute`th dispute of the `task`th task.
pub fn matter(task: u64, dispute: u64) -> Matter {
    Matter { task: task_id(task), dispute: Id::from_parts(1_700_000_000_000 + dispute, [9; 10]) }
}

/// So many bytes, different for each `n`.
pub fn content(n: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| u8::try_from(at % 251).expect("small") ^ n).collect()
}

async fn keep<S: Store>(store: &S, matter: Matter, by: u8, content: &[u8]) -> Kept {
    store.keep(matter, key(by), content.to_vec(), NOW, ROOM).await.expect("an answer")
}

async fn the_piece<S: Store>(store: &S, matter: Matter) -> Piece {
    let pieces = store.pieces(matter).await.expect("an answer");
    assert_eq!(pieces.len(), 1);
    pieces[0]
}

/// Bytes of every length that matters come back as they were, and only where they were put.
pub async fn a_piece_reads_back<S: Store>(store: Arc<S>) {
    let part = 32 << 10;
    for (n, bytes) in (1u8..).zip([1, part - 1, part, part + 1, 2 * part, 3 * part + 7]) {
        let (matter, content) = (matter(u64::from(n), 1), content(n, bytes));
        let hash = sha256(&content);
        assert_eq!(keep(&*store, matter, 1, &content).await, Kept::Kept, "{bytes}");
        let bytes = u64::try_from(bytes).expect("small");
        let piece = Piece { matter, hash, uploader: key(1), bytes, touched_at: NOW, filed: false };
        assert_eq!(store.pieces(matter).await, Ok(vec![piece]));
        assert!(store.content(matter, hash).await == Ok(Some(content)), "{bytes}");
    }
    let hash = the_piece(&*store, matter(1, 1)).await.hash;
    assert_eq!(store.content(matter(1, 2), hash).await, Ok(None));
    assert_eq!(store.content(matter(2, 1), hash).await, Ok(None));
    assert_eq!(store.pieces(matter(1, 2)).await, Ok(Vec::new()));
}

/// Nobody keeps more than there is room for, and what is refused leaves nothing; others have room of their own.
pub async fn room_is_counted_for_each_uploader<S: Store>(store: Arc<S>) {
    let here = matter(1, 1);
    assert_eq!(keep(&*store, here, 1, &content(1, 60_000)).await, Kept::Kept);
    assert_eq!(keep(&*store, here, 1, &content(2, 40_001)).await, Kept::TooLarge { left: 40_000 });
    assert_eq!(store.pieces(here).await.expect("an answer").len(), 1);
    assert_eq!(keep(&*store, here, 1, &content(2, 30_000)).await, Kept::Kept);
    assert_eq!(keep(&*store, here, 1, &content(3, 10_000)).await, Kept::Kept);
    assert_eq!(keep(&*store, here, 1, &content(4, 1)).await, Kept::TooMany);
    // What is there needs no room.
    assert_eq!(keep(&*store, here, 1, &content(1, 60_000)).await, Kept::Kept);
    assert_eq!(keep(&*store, here, 2, &content(1, 60_000)).await, Kept::Foreign);
    assert_eq!(keep(&*store, here, 2, &content(4, 100_000)).await, Kept::Kept);
    assert_eq!(keep(&*store, matter(1, 2), 1, &content(4, 100_000)).await, Kept::Kept);
    assert_eq!(store.pieces(here).await.expect("an answer").len(), 4);
    for wrong in [Vec::new(), vec![0; (10 << 20) + 1]] {
        let refused = store.keep(here, key(2), wrong, NOW, ROOM).await;
        assert!(matches!(refused, Err(StoreError::Limit(_))), "{refused:?}");
    }
}

/// Of two uploads for which there is room for one, one is kept.
pub async fn two_at_once_share_the_room<S: Store>(store: Arc<S>) {
    let here = matter(1, 1);
    for round in 0..4 {
        let mut set = tokio::task::JoinSet::new();
        for n in 0..4 {
            let store = Arc::clone(&store);
            let content = content(round * 4 + n + 1, 30_000);
            set.spawn(async move { store.keep(here, key(1), content, NOW, ROOM).await.expect("an answer") });
        }
        set.join_all().await;
    }
    let pieces = store.pieces(here).await.expect("an answer");
    assert_eq!(pieces.len(), 3);
    for piece in pieces {
        assert!(store.content(here, piece.hash).await.expect("an answer").is_some());
    }
}

/// What is being filed, or is, stays; what nobody touched since it was looked at goes.
pub async fn only_what_nobody_files_is_dropped<S: Store>(store: Arc<S>) {
    let here = matter(1, 1);
    keep(&*store, here, 1, &content(1, 40_000)).await;
    let seen = the_piece(&*store, here).await;
    assert_eq!(store.touch(here, seen.hash, later(5)).await, Ok(true));
    assert_eq!(store.drop_unfiled(&seen).await, Ok(false));
    // A clock that went back moves nothing back.
    assert_eq!(store.touch(here, seen.hash, later(3)).await, Ok(true));
    let touched = the_piece(&*store, here).await;
    assert_eq!(touched, Piece { touched_at: later(5), ..seen });
    // Uploading again touches as well.
    assert_eq!(store.keep(here, key(1), content(1, 40_000), later(6), ROOM).await, Ok(Kept::Kept));
    assert_eq!(store.drop_unfiled(&touched).await, Ok(false));
    store.set_filed(here, seen.hash).await.expect("noted");
    let filed = the_piece(&*store, here).await;
    assert!(filed.filed);
    assert_eq!(store.drop_unfiled(&filed).await, Ok(false));
    assert!(store.content(here, seen.hash).await.expect("an answer").is_some());

    keep(&*store, matter(1, 2), 1, &content(2, 40_000)).await;
    let unfiled = the_piece(&*store, matter(1, 2)).await;
    assert_eq!(store.drop_unfiled(&unfiled).await, Ok(true));
    assert_eq!(store.drop_unfiled(&unfiled).await, Ok(false));
    assert_eq!(store.content(matter(1, 2), unfiled.hash).await, Ok(None));
    assert_eq!(store.touch(matter(1, 2), unfiled.hash, NOW).await, Ok(false));
    store.set_filed(matter(1, 2), unfiled.hash).await.expect("nothing to note");
    // And its room is free again.
    assert_eq!(keep(&*store, matter(1, 2), 1, &content(3, 100_000)).await, Kept::Kept);
}

/// A reader's newest key counts, and goes with its piece.
pub async fn keys_are_wrapped_to_readers<S: Store>(store: Arc<S>) {
    let here = matter(1, 1);
    keep(&*store, here, 1, &content(1, 10)).await;
    let hash = the_piece(&*store, here).await.hash;
    let wrapped = |reader: u8, text: &str| WrappedKey { reader: key(reader), wrapped: text.into() };
    assert_eq!(store.wrap(here, hash, vec![wrapped(1, "a"), wrapped(2, "b")]).await, Ok(Wrapped::Kept));
    assert_eq!(store.wrap(here, hash, vec![wrapped(2, "c"), wrapped(3, "d")]).await, Ok(Wrapped::Kept));
    let mut all = vec![wrapped(1, "a"), wrapped(2, "c"), wrapped(3, "d")];
    all.sort_by_key(|key| key.reader);
    assert_eq!(store.wrapped(here, hash).await, Ok(all.clone()));
    assert_eq!(store.wrap(matter(1, 2), hash, vec![wrapped(1, "a")]).await, Ok(Wrapped::NoPiece));
    let long = "x".repeat(WRAPPED_BYTES_MAX + 1);
    let many = (0..=u8::try_from(WRAPPED_MAX).expect("small")).map(|n| wrapped(n, "a")).collect();
    for wrong in [
        vec![wrapped(4, &long)],
        vec![wrapped(4, "")],
        vec![wrapped(4, "a\0")],
        vec![wrapped(4, "a"), wrapped(4, "b")],
        many,
    ] {
        let refused = store.wrap(here, hash, wrong).await;
        assert!(matches!(refused, Err(StoreError::Limit(_))), "{refused:?}");
    }
    assert_eq!(store.wrapped(here, hash).await, Ok(all));
    assert_eq!(store.drop_unfiled(&the_piece(&*store, here).await).await, Ok(true));
    assert_eq!(store.wrapped(here, hash).await, Ok(Vec::new()));
}

/// Matters are found in order, and are erased one by one.
pub async fn matters_are_listed_and_erased<S: Store>(store: Arc<S>) {
    let all = [matter(1, 1), matter(1, 2), matter(2, 1)];
    for (n, matter) in (1..).zip(all.iter().rev()) {
        keep(&*store, *matter, 1, &content(n, 40_000)).await;
        keep(&*store, *matter, 1, &content(n + 10, 10)).await;
    }
    assert_eq!(store.matters(None, 10).await, Ok(all.to_vec()));
    assert_eq!(store.matters(None, 2).await, Ok(all[..2].to_vec()));
    assert_eq!(store.matters(Some(all[0]), 10).await, Ok(all[1..].to_vec()));
    assert_eq!(store.matters(Some(all[2]), 10).await, Ok(Vec::new()));
    let hash = store.pieces(all[0]).await.expect("an answer")[0].hash;
    let gone = vec![WrappedKey { reader: key(2), wrapped: "a".into() }];
    assert_eq!(store.wrap(all[0], hash, gone).await, Ok(Wrapped::Kept));
    store.erase(all[0]).await.expect("erased");
    store.erase(all[0]).await.expect("there is nothing left");
    store.scrub().await.expect("scrubbed");
    assert_eq!(store.matters(None, 10).await, Ok(all[1..].to_vec()));
    assert_eq!((store.pieces(all[0]).await, store.content(all[0], hash).await), (Ok(Vec::new()), Ok(None)));
    assert_eq!(store.wrapped(all[0], hash).await, Ok(Vec::new()));
    assert_eq!(store.pieces(all[1]).await.expect("an answer").len(), 2);
}
