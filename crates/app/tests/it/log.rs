//! The journal as a log: tree, checkpoints, witnesses and proofs.

use std::sync::Arc;
use tallystick_app::{
    log::{LogConfig, LogReader, LogWorker, TreeError},
    port::{
        journal::{Journal, StoreError},
        log::LogStore,
    },
};
use tallystick_core::{Duration, Fact};
use tallystick_log::{
    Checkpoint, KeyKind, KeyName, LogPath, SignedCheckpoint, SigningKey, TileEdge, WitnessPolicy, leaf_hash,
    parse_entries, parse_tile, root_of_entries, verify_consistency,
};
use tallystick_testkit::{MemoryStore, SimWitness, store_suite::fixture};

fn log_key() -> SigningKey {
    SigningKey::try_from_seed(KeyName::try_new("node.example/log").unwrap(), KeyKind::Note, &[7; 32]).unwrap()
}

fn witnesses(count: usize) -> Vec<Arc<SimWitness>> {
    let log = log_key().verifier().clone();
    (0..count).map(|n| Arc::new(SimWitness::new(&format!("witness.example/{n}"), log.clone()))).collect()
}

fn worker(store: &Arc<MemoryStore>, witnesses: &[Arc<SimWitness>], needed: usize) -> LogWorker {
    let witnesses = witnesses.iter().map(|witness| Arc::clone(witness) as _).collect();
    let config = LogConfig { key: log_key(), interval: Duration::from_secs(1), witnesses, witnesses_needed: needed };
    LogWorker::try_new(Arc::clone(store) as _, Arc::clone(store) as _, config).unwrap()
}

fn reader(store: &Arc<MemoryStore>) -> LogReader {
    LogReader::new(Arc::clone(store) as _, Arc::clone(store) as _)
}

async fn append(store: &MemoryStore, count: u64) {
    let begin = store.facts(0, 1_000).await.unwrap().len() as u64;
    for n in begin..begin + count {
        store.append(fixture::append(n, 0)).await.unwrap();
    }
}

async fn checkpoint(store: &Arc<MemoryStore>) -> SignedCheckpoint {
    SignedCheckpoint::parse(&reader(store).checkpoint().await.unwrap().expect("one is published")).unwrap()
}

#[tokio::test]
async fn every_fact_is_a_leaf_and_its_proof_needs_nothing_but_the_key() {
    let store = Arc::new(MemoryStore::new());
    let mut worker = worker(&store, &[], 0);
    assert_eq!(worker.run_once().await, Ok(true), "an empty journal has no checkpoint");
    assert_eq!(reader(&store).checkpoint().await, Ok(None));
    for count in [1, 2, 300, 1] {
        append(&store, count).await;
        assert_eq!(worker.run_once().await, Ok(true));
        let facts = store.facts(0, 1_000).await.unwrap();
        let entries: Vec<Vec<u8>> = facts.iter().map(Fact::entry).collect();
        let signed = checkpoint(&store).await;
        let told = signed.verify(log_key().verifier()).unwrap();
        assert_eq!(told.size(), entries.len() as u64);
        assert_eq!(*told.root(), root_of_entries(entries.iter().map(Vec::as_slice)));
        for seq in [1, told.size() / 2 + 1, told.size()] {
            let (fact, bundle) = reader(&store).prove(seq).await.unwrap();
            assert_eq!(fact.seq, seq);
            let verified = bundle.verify(&fact.entry(), log_key().verifier(), &WitnessPolicy::none()).unwrap();
            assert_eq!(verified.index, seq - 1);
            assert!(bundle.verify(b"another entry", log_key().verifier(), &WitnessPolicy::none()).is_err());
        }
        let not_yet = reader(&store).prove(told.size() + 1).await.unwrap_err();
        assert_eq!(not_yet, TreeError::NotYet { seq: told.size() + 1, size: told.size() });
    }
    assert!(matches!(reader(&store).prove(0).await, Err(TreeError::NotYet { seq: 0, .. })));
}

#[tokio::test]
async fn the_files_of_the_log_make_the_checkpoint() {
    let store = Arc::new(MemoryStore::new());
    append(&store, 700).await;
    worker(&store, &[], 0).run_once().await.unwrap();
    let (reader, signed) = (reader(&store), checkpoint(&store).await);
    let mut leaves = Vec::new();
    for path in ["tile/entries/000", "tile/entries/001", "tile/entries/002.p/188"] {
        let Ok(LogPath::Entries(id)) = LogPath::parse(path) else { panic!("{path}") };
        let bundle = reader.entries(id).await.unwrap().expect("it is there");
        leaves.extend(parse_entries(&bundle, id.width()).unwrap().into_iter().map(leaf_hash));
    }
    let mut edge = TileEdge::new();
    for tile in edge.integrate(&leaves).unwrap() {
        let bytes = reader.tile(tile.id).await.unwrap().expect("it is there");
        assert_eq!(parse_tile(tile.id, &bytes), Ok(tile.hashes));
    }
    assert_eq!(edge.root().unwrap(), *signed.unverified().root());
    // A partial tile that has grown since is still served as it was; what is not there yet is not.
    for (path, there) in [("tile/0/002.p/100", true), ("tile/0/002.p/189", false), ("tile/0/003.p/1", false)] {
        let Ok(LogPath::Tile(id)) = LogPath::parse(path) else { panic!("{path}") };
        assert_eq!(reader.tile(id).await.unwrap().is_some(), there, "{path}");
        assert_eq!(reader.entries(id).await.unwrap().is_some(), there, "{path}");
    }
}

#[tokio::test]
async fn checkpoints_extend_each_other_across_restarts() {
    let store = Arc::new(MemoryStore::new());
    let mut before: Option<SignedCheckpoint> = None;
    for count in [3, 255, 1, 600] {
        append(&store, count).await;
        // A new worker each time: what was in memory is gone.
        worker(&store, &[], 0).run_once().await.unwrap();
        let now = checkpoint(&store).await;
        if let Some(before) = before {
            let (old, new) = (before.unverified(), now.unverified());
            let proof = reader(&store).consistency(old.size(), new.size()).await.unwrap();
            verify_consistency(old.size(), new.size(), &proof, old.root(), new.root()).unwrap();
        }
        before = Some(now);
    }
}

#[tokio::test]
async fn two_workers_do_no_harm() {
    let store = Arc::new(MemoryStore::new());
    let (mut one, mut two) = (worker(&store, &[], 0), worker(&store, &[], 0));
    for count in [5, 300, 1] {
        append(&store, count).await;
        one.run_once().await.unwrap();
        append(&store, count).await;
        let (first, second) = tokio::join!(two.run_once(), one.run_once());
        assert_eq!((first, second), (Ok(true), Ok(true)));
        let entries: Vec<Vec<u8>> = store.facts(0, 1_000).await.unwrap().iter().map(Fact::entry).collect();
        let signed = checkpoint(&store).await;
        assert_eq!(*signed.unverified().root(), root_of_entries(entries.iter().map(Vec::as_slice)));
    }
}

#[tokio::test]
async fn a_checkpoint_is_published_with_enough_cosignatures_or_not_at_all() {
    let store = Arc::new(MemoryStore::new());
    let known = witnesses(3);
    let policy = WitnessPolicy::try_new(2, known.iter().map(|known| key_of(known)).collect()).unwrap();
    let mut worker = worker(&store, &known, 2);
    append(&store, 4).await;
    known[0].set_silent(true);
    assert_eq!(worker.run_once().await, Ok(true));
    let signed = checkpoint(&store).await;
    assert_eq!(policy.verify(signed.note()).unwrap().len(), 2);

    // One of three is not enough: the old checkpoint stays, and the new one comes when another witness is back.
    known[1].set_silent(true);
    append(&store, 300).await;
    assert_eq!(worker.run_once().await, Ok(false));
    assert_eq!(checkpoint(&store).await, signed);
    known[0].set_silent(false);
    assert_eq!(worker.run_once().await, Ok(true));
    let signed = checkpoint(&store).await;
    assert_eq!((signed.unverified().size(), policy.verify(signed.note()).unwrap().len()), (304, 2));
    // One that was away starts from what it knew.
    known[1].set_silent(false);
    append(&store, 1).await;
    assert_eq!(worker.run_once().await, Ok(true));
    assert_eq!(known[1].last().size, 305);
}

fn key_of(witness: &SimWitness) -> tallystick_log::VerifierKey {
    use tallystick_app::port::witness::Witness;
    witness.key().clone()
}

#[tokio::test]
async fn a_journal_that_was_put_back_is_told_by_a_witness() {
    let known = witnesses(1);
    let store = Arc::new(MemoryStore::new());
    append(&store, 10).await;
    worker(&store, &known, 1).run_once().await.unwrap();
    // Restored from a backup of before: the same history, but shorter.
    let older = Arc::new(MemoryStore::new());
    append(&older, 7).await;
    let refused = worker(&older, &known, 1).run_once().await;
    let rollback = TreeError::Rollback { witness: "witness.example/0".to_owned(), theirs: 10, ours: 7 };
    assert_eq!(refused, Err(rollback.clone()));
    assert_eq!(reader(&older).checkpoint().await, Ok(None));
    // Also when all that it holds had been published before, and as soon as the witness answers.
    assert_eq!(worker(&older, &[], 0).run_once().await, Ok(true));
    let mut worker = worker(&older, &known, 1);
    known[0].set_silent(true);
    assert_eq!(worker.run_once().await, Ok(false));
    known[0].set_silent(false);
    assert_eq!(worker.run_once().await, Err(rollback));
}

/// A size is no proof: one witness of three that tells a large one, lying or somebody on the way to it, stops nothing.
/// A log that was wiped is made again only if it goes on from what the node knows that it published.
#[tokio::test]
async fn a_log_that_is_made_again_goes_on_from_what_is_known_of_it() {
    let store = Arc::new(MemoryStore::new());
    append(&store, 5).await;
    worker(&store, &[], 0).run_once().await.unwrap();
    let kept = checkpoint(&store).await.unverified().clone();
    let other = Checkpoint::try_new(kept.origin(), 5, [7; 32]).unwrap();
    let remade = async |facts: u64, known: &Checkpoint| {
        let store = Arc::new(MemoryStore::new());
        append(&store, facts).await;
        let mut worker = worker(&store, &[], 0).going_on_from("the directory", known.clone());
        let made = worker.run_once().await;
        (made, reader(&store).checkpoint().await.unwrap().is_some(), worker.run_once().await.is_ok())
    };
    assert_eq!(remade(5, &kept).await, (Ok(true), true, true));
    assert_eq!(remade(9, &kept).await, (Ok(true), true, true));
    let witness = || "the directory".to_owned();
    let behind = |ours| Err(TreeError::Rollback { witness: witness(), theirs: 5, ours });
    assert_eq!(remade(4, &kept).await, (behind(4), false, false));
    assert_eq!(remade(0, &kept).await, (behind(0), false, false));
    let forked = Err(TreeError::Fork { witness: witness(), theirs: 5, ours: 9 });
    assert_eq!(remade(9, &other).await, (forked, false, false), "nothing is published");
}

#[tokio::test]
async fn one_liar_among_the_witnesses_stops_nothing() {
    let known = witnesses(3);
    let ahead = Arc::new(MemoryStore::new());
    append(&ahead, 20).await;
    worker(&ahead, &known[2..], 1).run_once().await.unwrap();
    let store = Arc::new(MemoryStore::new());
    append(&store, 10).await;
    assert_eq!(worker(&store, &known, 2).run_once().await, Ok(true));
    assert_eq!(checkpoint(&store).await.unverified().size(), 10);
    // Two of three are more than may lie.
    worker(&ahead, &known[1..], 1).run_once().await.unwrap();
    append(&store, 1).await;
    worker(&ahead, &known[..2], 1).run_once().await.unwrap();
    let refused = worker(&store, &known, 2).run_once().await;
    assert!(matches!(refused, Err(TreeError::Rollback { theirs: 20, ours: 11, .. })), "{refused:?}");
}

/// Three witnesses, two of which cosigned 20 facts, and a journal that was put back to 10 of them.
async fn put_back() -> (Vec<Arc<SimWitness>>, Arc<MemoryStore>) {
    let known = witnesses(3);
    let store = Arc::new(MemoryStore::new());
    append(&store, 20).await;
    worker(&store, &known[..2], 2).run_once().await.unwrap();
    let older = Arc::new(MemoryStore::new());
    append(&older, 10).await;
    (known, older)
}

/// One witness that is new, or was put back as well, knows of nothing: its word does not end the asking.
#[tokio::test]
async fn one_witness_that_knows_nothing_does_not_vouch_for_a_journal_that_was_put_back() {
    let (known, older) = put_back().await;
    // All that it holds had been published before.
    assert_eq!(worker(&older, &[], 0).run_once().await, Ok(true));
    let mut worker = worker(&older, &known, 2);
    known[1].set_silent(true);
    for _ in 0..3 {
        assert_eq!(worker.run_once().await, Ok(false), "one says more, one says nothing, one says no more");
        assert!(!worker.is_newest());
    }
    known[1].set_silent(false);
    assert!(matches!(worker.run_once().await, Err(TreeError::Rollback { theirs: 20, ours: 10, .. })));
}

/// A witness that never answers does not keep the others from being heard.
#[tokio::test(start_paused = true)]
async fn a_rollback_is_told_though_a_witness_never_answers() {
    let (known, older) = put_back().await;
    known[2].set_hanging(true);
    let mut worker = worker(&older, &known, 2);
    let begin = tokio::time::Instant::now();
    assert!(matches!(worker.run_once().await, Err(TreeError::Rollback { theirs: 20, ours: 10, .. })));
    assert!(begin.elapsed() < std::time::Duration::from_secs(1), "{:?}", begin.elapsed());
}

/// Nor does one that tells of another history.
#[tokio::test]
async fn one_liar_that_tells_of_another_history_stops_nothing() {
    let known = witnesses(3);
    let other = Arc::new(MemoryStore::new());
    other.append(fixture::append(77, 0)).await.unwrap();
    worker(&other, &known[2..], 1).run_once().await.unwrap();
    let store = Arc::new(MemoryStore::new());
    append(&store, 10).await;
    assert_eq!(worker(&store, &known, 2).run_once().await, Ok(true));
    assert_eq!(checkpoint(&store).await.unverified().size(), 10);
}

/// A witness that refuses a proof made from a damaged tile has not seen another history.
#[tokio::test]
async fn a_wrong_proof_of_our_own_is_damage() {
    let (known, store) = (witnesses(2), Arc::new(MemoryStore::new()));
    let mut worker = worker(&store, &known, 1);
    append(&store, 100).await;
    assert_eq!(worker.run_once().await, Ok(true));
    known[1].set_silent(true);
    append(&store, 200).await;
    assert_eq!(worker.run_once().await, Ok(true));
    let mut leaves: Vec<_> = store.facts(0, 256).await.unwrap().iter().map(|fact| leaf_hash(&fact.entry())).collect();
    leaves[150][0] ^= 1;
    let tiles = TileEdge::new().integrate(&leaves).unwrap().into_iter().filter(|tile| tile.id.level() == 0).collect();
    assert_eq!(store.integrate(300, 300, tiles).await, Ok(true));
    known[1].set_silent(false);
    append(&store, 1).await;
    let found = worker.run_once().await;
    assert!(matches!(found, Err(TreeError::Tree(_))), "{found:?}");
}

/// Nothing is signed on a tree that does not go on from what was published.
#[tokio::test]
async fn a_damaged_edge_is_found_before_it_is_signed() {
    for published in [true, false] {
        let store = Arc::new(MemoryStore::new());
        append(&store, 4).await;
        worker(&store, &[], 0).run_once().await.unwrap();
        let leaves: Vec<_> = store.facts(0, 10).await.unwrap().iter().map(|fact| leaf_hash(&fact.entry())).collect();
        let mut turned = leaves.clone();
        turned[2][0] ^= 1;
        // As a disk would turn it: in the place of the tile that is there.
        let more = if published { 0 } else { 1 };
        turned.extend([leaf_hash(b"more")].iter().take(more));
        let tiles = TileEdge::new().integrate(&turned).unwrap();
        assert_eq!(store.integrate(4, 4 + more as u64, tiles).await, Ok(true));
        append(&store, 3).await;
        let found = worker(&store, &[], 0).run_once().await;
        assert!(matches!(found, Err(TreeError::Tree(_))), "{found:?}");
        assert_eq!(checkpoint(&store).await.unverified().size(), 4);
    }
}

/// A node that tells another history to somebody else finds no witness for it, whether it is longer or not, and is told
/// so: it was put back, perhaps, and had gone on before its witnesses were asked.
#[tokio::test]
async fn a_second_history_finds_no_witness() {
    let known = witnesses(3);
    let store = Arc::new(MemoryStore::new());
    append(&store, 10).await;
    worker(&store, &known, 2).run_once().await.unwrap();
    for more in [10, 12] {
        let other = Arc::new(MemoryStore::new());
        for n in 0..more {
            let mut another = fixture::append(n, 0);
            another.facts = vec![fixture::public("test.other", vec![1])];
            other.append(another).await.unwrap();
        }
        let refused = worker(&other, &known, 2).run_once().await;
        assert!(matches!(refused, Err(TreeError::Fork { theirs: 10, ours, .. }) if ours == more), "{refused:?}");
        assert_eq!(reader(&other).checkpoint().await, Ok(None));
    }
}

#[tokio::test]
async fn a_tree_that_got_ahead_of_its_journal_is_damage() {
    let store = Arc::new(MemoryStore::new());
    append(&store, 3).await;
    let tiles = TileEdge::new().integrate(&[leaf_hash(b"x"); 5]).unwrap();
    assert_eq!(store.integrate(0, 5, tiles).await, Ok(true));
    let error = worker(&store, &[], 0).run_once().await.unwrap_err();
    assert!(matches!(&error, TreeError::Store(StoreError::Corrupt(why)) if why.contains("lost its end")), "{error}");
}

#[test]
fn what_is_needed_must_be_there() {
    let store = Arc::new(MemoryStore::new());
    let config = |known: Vec<Arc<SimWitness>>, witnesses_needed| LogConfig {
        key: log_key(),
        interval: Duration::from_secs(1),
        witnesses: known.into_iter().map(|witness| witness as _).collect(),
        witnesses_needed,
    };
    let made = |config| LogWorker::try_new(Arc::clone(&store) as _, Arc::clone(&store) as _, config).is_ok();
    assert!(made(config(witnesses(2), 2)));
    assert!(!made(config(witnesses(2), 3)));
    assert!(!made(config([witnesses(1), witnesses(1)].concat(), 1)), "one witness twice");
}
