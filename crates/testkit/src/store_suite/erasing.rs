//! Erasing what is private in a stream.

use std::sync::Arc;
use tallystick_app::port::journal::{Append, AppendError, Appended};
use tallystick_core::Body;

use super::Store;
use super::fixture::{KIND, append, authority, effect, erasing, later, name, private, public, stream, task_id};

/// A stream with two private facts and a public one between them.
async fn three_facts<S: Store>(store: &S) {
    let mut first = append(1, 0);
    first.reservations = vec![name(1)];
    first.effects = vec![effect("pay", 0)];
    store.append(first).await.expect("a new stream");
    let open = Append { facts: vec![public(KIND, b"for all".to_vec())], ..append(1, 1) };
    store.append(Append { authority: authority("a public word"), ..open }).await.expect("the next version");
    store.append(append(1, 2)).await.expect("the next version");
    store.append(append(2, 0)).await.expect("another stream");
}

/// Openings, authorities, effects' bodies and the row are gone; hashes, names and all other streams stay.
pub async fn what_is_private_goes_and_every_hash_stays<S: Store>(store: Arc<S>) {
    three_facts(&*store).await;
    store.finish_effect("pay").await.expect("finished");
    let before = store.facts(0, 10).await.expect("facts");
    assert_eq!(store.append(erasing(1, 3)).await, Ok(Appended { seq: 5, version: 1 }));

    let after = store.facts(0, 10).await.expect("facts");
    for (old, new) in before.iter().zip(&after) {
        assert_eq!((old.entry(), old.hash), (new.entry(), new.hash));
        let kept = store.authority(new.authority).await.expect("an answer").is_some();
        match &old.body {
            Body::Private { .. } if old.stream == stream(1) => assert_eq!((new.body.content(), kept), (None, false)),
            body => assert_eq!((&new.body, kept), (body, true)),
        }
    }
    assert_eq!(store.task(task_id(1)).await.expect("an answer"), None);
    assert!(store.task(task_id(2)).await.expect("an answer").is_some());
    assert_eq!(store.holder("payment_hash", &[1; 32]).await.expect("an answer"), Some(stream(1)));
    // The key stays taken: what was done is never done again.
    store.append(Append { effects: vec![effect("pay", 0)], ..append(2, 1) }).await.expect("appended");
    assert_eq!(store.due_effects(later(10), 10).await.expect("effects"), []);
}

/// What has changed meanwhile, or has something under way, is left whole, and nothing is told.
pub async fn a_stream_that_goes_on_is_not_erased<S: Store>(store: Arc<S>) {
    three_facts(&*store).await;
    let before = store.facts(0, 10).await.expect("facts");
    let stale = store.append(erasing(1, 2)).await;
    assert_eq!(stale, Err(AppendError::Conflict { expected: 2, actual: 3 }));
    assert_eq!(store.append(erasing(1, 3)).await, Err(AppendError::UnderWay { stream: stream(1) }));
    assert_eq!(store.facts(0, 10).await.expect("facts"), before);
    assert!(store.task(task_id(1)).await.expect("an answer").is_some());
}

/// What was erased takes no more facts, shows no row, and is not erased again.
pub async fn what_was_erased_stays_as_it_is<S: Store>(store: Arc<S>) {
    three_facts(&*store).await;
    store.finish_effect("pay").await.expect("finished");
    store.append(erasing(1, 3)).await.expect("erased");
    store.scrub().await.expect("scrubbed");
    let first = store.facts(0, 10).await.expect("facts");
    let erased = Err(AppendError::Erased { stream: stream(1) });
    assert_eq!(store.append(Append { expected_version: 1, ..erasing(1, 3) }).await, erased);
    assert_eq!(store.append(append(1, 3)).await, erased);
    assert_eq!(store.facts(0, 10).await.expect("facts"), first);
    assert_eq!(store.task(task_id(1)).await.expect("an answer"), None);
    store.append(Append { facts: vec![private(KIND, vec![1])], ..append(3, 0) }).await.expect("the journal goes on");
}
