//! Several writers at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use tallystick_app::port::journal::{Append, AppendError, Appended};
use tallystick_core::fact::CHAIN_START;
use tokio::task::JoinSet;

use super::Store;
use super::fixture::{NOW, append, later, name, request, stream};

/// Starts all appends at once, each on a task of its own.
async fn race<S: Store>(store: &Arc<S>, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
    let mut set = JoinSet::new();
    for append in appends {
        let store = Arc::clone(store);
        set.spawn(async move { store.append(append).await });
    }
    set.join_all().await
}

/// Many decide on one version: one wins, the others get a conflict with the version that they find.
pub async fn one_of_two_writers_wins<S: Store>(store: Arc<S>) {
    for version in 0..20 {
        let answers = race(&store, vec![append(1, version); 8]).await;
        let wins = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(wins, 1, "{answers:?}");
        for answer in answers.iter().filter(|answer| answer.is_err()) {
            assert_eq!(*answer, Err(AppendError::Conflict { expected: version, actual: version + 1 }));
        }
    }
    assert_eq!(store.facts(0, 100).await.expect("facts").len(), 20);
}

/// Two streams want one name: one gets it, the other is not begun.
pub async fn one_of_two_streams_gets_the_name<S: Store>(store: Arc<S>) {
    for round in 0..20u8 {
        let streams = [u64::from(round) * 2, u64::from(round) * 2 + 1];
        let appends = streams.map(|n| Append { reservations: vec![name(round)], ..append(n, 0) });
        let answers = race(&store, appends.to_vec()).await;
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "{answers:?}");
        assert!(answers.contains(&Err(AppendError::Taken { space: "payment_hash" })), "{answers:?}");
        let holder = store.holder("payment_hash", &[round; 32]).await.expect("an answer").expect("a holder");
        for n in streams {
            let facts = store.stream(&stream(n), 0).await.expect("facts").len();
            assert_eq!(facts, usize::from(stream(n) == holder));
        }
    }
}

/// A request that comes several times at once is admitted once.
pub async fn one_of_two_replays_is_admitted<S: Store>(store: Arc<S>) {
    for n in 0..20 {
        let mut set = JoinSet::new();
        for _ in 0..8 {
            let store = Arc::clone(&store);
            set.spawn(async move { store.admit(request(n), NOW, later(60)).await.expect("an answer") });
        }
        assert_eq!(set.join_all().await.into_iter().filter(|admitted| *admitted).count(), 1);
    }
}

/// Many streams at once: every answer names the fact that is there, numbers have no gap, and the chain holds.
pub async fn many_streams_share_one_gapless_sequence<S: Store>(store: Arc<S>) {
    let mut set = JoinSet::new();
    for n in 0..16u64 {
        let store = Arc::clone(&store);
        set.spawn(async move {
            let mut answers = Vec::new();
            for version in 0..10 {
                // Every other time a second writer loses, so that refusals happen in the same transactions.
                if version % 2 == 1 {
                    let lost = store.append(append(n, 0)).await;
                    assert_eq!(lost, Err(AppendError::Conflict { expected: 0, actual: version }));
                }
                answers.push((stream(n), store.append(append(n, version)).await.expect("the next version")));
            }
            answers
        });
    }
    let answers: BTreeMap<u64, (String, u64)> =
        set.join_all().await.into_iter().flatten().map(|(stream, at)| (at.seq, (stream, at.version))).collect();
    let facts = store.facts(0, 1_000).await.expect("facts");
    assert_eq!((facts.len(), answers.len()), (160, 160));
    let mut prev = CHAIN_START;
    for (seq, fact) in (1u64..).zip(&facts) {
        assert_eq!((fact.seq, fact.prev, fact.hash), (seq, prev, fact.link()));
        assert_eq!(answers.get(&seq), Some(&(fact.stream.clone(), fact.version)));
        prev = fact.hash;
    }
}
