//! Facts, versions, the chain, authorities and reserved names.

use std::sync::Arc;
use tallystick_app::port::journal::{Append, AppendError, Appended, StoreError};
use tallystick_app::port::limits::{
    APPEND_BYTES_MAX, BODY_BYTES_MAX, EFFECT_PAUSE_MAX, ITEMS_MAX, NAME_BYTES_MAX, PAGE_MAX, TIME_MAX,
};
use tallystick_core::fact::{CHAIN_START, PUBLIC_BODY_BYTES_MAX, authority_digest};
use tallystick_core::{Authority, Body, Digest32, NodeWord, Timestamp};

use super::Store;
use super::fixture::{
    HEIGHT, KIND, NOW, append, authority, effect, later, name, private, public, row_mut, stream, task_id,
};

/// What was appended is read back, field by field, and only from its own stream.
pub async fn facts_read_back<S: Store>(store: Arc<S>) {
    let mut wanted = append(1, 0);
    wanted.facts = vec![private(KIND, vec![0, 255]), public("test.more", Vec::new())];
    let appended = store.append(wanted.clone()).await.expect("a new stream");
    assert_eq!(appended, Appended { seq: 2, version: 2 });
    store.append(append(2, 0)).await.expect("another new stream");

    let facts = store.stream(&stream(1), 0).await.expect("facts");
    assert_eq!(facts.len(), 2);
    for (index, (fact, new)) in (1u64..).zip(facts.iter().zip(&wanted.facts)) {
        assert_eq!((fact.seq, fact.version), (index, index));
        assert_eq!((fact.stream.as_str(), fact.recorded_at, fact.height), (wanted.stream.as_str(), NOW, HEIGHT));
        assert_eq!((fact.kind.as_str(), &fact.body), (new.kind, &new.body));
        assert_eq!(fact.authority, authority_digest(&wanted.authority));
    }
    assert_eq!(store.stream(&stream(1), 1).await.expect("facts"), facts[1..]);
    assert_eq!(store.stream(&stream(1), 2).await.expect("facts"), []);
    assert_eq!(store.stream(&stream(1), u64::MAX).await.expect("facts"), []);
    assert_eq!(store.stream(&stream(9), 0).await.expect("facts"), []);
}

/// The facts of all streams below a prefix, in the order of the journal, and of no other stream.
pub async fn facts_below_a_prefix_come_in_order<S: Store>(store: Arc<S>) {
    let below = |name: &str, version| Append { stream: name.to_owned(), row: None, ..append(9, version) };
    for (name, version) in [("judge/b", 0), ("judge", 0), ("judge/a", 0), ("judge0", 0), ("judg/c", 0), ("judge/b", 1)]
    {
        let words = format!("{name} {version}");
        let one = Append { authority: authority(&words), ..below(name, version) };
        store.append(one).await.expect("the next version");
    }
    let found = async |after, limit| {
        let facts = store.facts_below("judge/", after, limit).await.expect("facts");
        facts.into_iter().map(|fact| (fact.seq, fact.stream)).collect::<Vec<_>>()
    };
    let all = [(1, "judge/b".to_owned()), (3, "judge/a".to_owned()), (6, "judge/b".to_owned())];
    assert_eq!(found(0, 10).await, all);
    assert_eq!(found(0, 2).await, all[..2]);
    assert_eq!(found(1, 10).await, all[1..]);
    assert_eq!(found(6, 10).await, []);
    assert_eq!(store.facts_below("nobody/", 0, 10).await.expect("facts"), []);
}

/// A stream goes on at its version, whatever other streams do in between.
pub async fn versions_go_on<S: Store>(store: Arc<S>) {
    for version in 0..3 {
        for task in [1, 2] {
            let appended = store.append(append(task, version)).await.expect("the next version");
            assert_eq!(appended, Appended { seq: version * 2 + task, version: version + 1 });
        }
    }
    let versions: Vec<u64> =
        store.stream(&stream(2), 0).await.expect("facts").iter().map(|fact| fact.version).collect();
    assert_eq!(versions, [1, 2, 3]);
}

/// A decision made on another version than the last is refused, with both numbers.
pub async fn a_stale_version_is_a_conflict<S: Store>(store: Arc<S>) {
    store.append(append(1, 0)).await.expect("a new stream");
    store.append(append(1, 1)).await.expect("its second version");
    for expected in [0, 1, 3, u64::MAX - 1] {
        let refused = store.append(append(1, expected)).await;
        assert_eq!(refused, Err(AppendError::Conflict { expected, actual: 2 }));
    }
    assert_eq!(store.append(append(2, 1)).await, Err(AppendError::Conflict { expected: 1, actual: 0 }));
    assert_eq!(store.facts(0, 10).await.expect("facts").len(), 2);
}

/// `prev` and `hash` are what `Fact::link` says, from the first fact on.
pub async fn the_chain_links_every_fact<S: Store>(store: Arc<S>) {
    for (task, version) in [(1, 0), (2, 0), (1, 1), (3, 0), (2, 1)] {
        let mut wanted = append(task, version);
        wanted.facts.push(public(KIND, b"second".to_vec()));
        wanted.expected_version = version * 2;
        store.append(wanted).await.expect("the next version");
    }
    let facts = store.facts(0, 100).await.expect("facts");
    assert_eq!(facts.len(), 10);
    let mut prev = CHAIN_START;
    for (seq, fact) in (1u64..).zip(&facts) {
        assert_eq!((fact.seq, fact.prev), (seq, prev));
        assert_eq!(fact.hash, fact.link());
        prev = fact.hash;
    }
}

/// The whole journal is read in pages that neither overlap nor leave out.
pub async fn the_journal_reads_in_pages<S: Store>(store: Arc<S>) {
    assert_eq!(store.facts(0, 10).await.expect("facts"), []);
    let mut wanted = append(1, 0);
    wanted.facts = (0..ITEMS_MAX).map(|n| private(KIND, n.to_le_bytes().to_vec())).collect();
    store.append(wanted).await.expect("a long append");
    store.append(append(2, 0)).await.expect("another stream");

    let (mut seqs, mut after) = (Vec::new(), 0);
    loop {
        let page = store.facts(after, 300).await.expect("facts");
        assert!(page.len() <= 300);
        let Some(last) = page.last() else { break };
        after = last.seq;
        seqs.extend(page.iter().map(|fact| fact.seq));
    }
    assert!(seqs.iter().copied().eq(1..=1_001), "{seqs:?}");
    assert_eq!(store.facts(0, 0).await.expect("facts"), []);
    assert_eq!(store.facts(u64::MAX, 10).await.expect("facts"), []);
    assert_eq!(store.facts(0, u32::MAX).await.expect("facts").len(), usize::try_from(PAGE_MAX).expect("it fits"));
}

/// The authority behind a fact is found by the fact's digest; one may stand behind several.
pub async fn authorities_read_back<S: Store>(store: Arc<S>) {
    let signed = authority("please");
    let key = tallystick_core::NodeKey::try_new(&[5; 32]).expect("a valid key");
    let node = key.authorise(&NodeWord {
        stream: &stream(3),
        expected_version: 0,
        recorded_at: NOW,
        height: HEIGHT,
        command: b"timer",
    });
    for (task, authority) in [(1, &signed), (2, &signed), (3, &node)] {
        store.append(Append { authority: authority.clone(), ..append(task, 0) }).await.expect("a new stream");
    }
    let facts = store.facts(0, 10).await.expect("facts");
    assert_eq!(facts[0].authority, facts[1].authority);
    let mut found: Vec<Option<Authority>> = Vec::new();
    for fact in &facts {
        found.push(store.authority(fact.authority).await.expect("an answer"));
    }
    assert_eq!(found, [Some(signed.clone()), Some(signed), Some(node)]);
    assert_eq!(store.authority(Digest32([9; 32])).await.expect("an answer"), None);
}

/// A name is taken once; its own stream may take it again.
pub async fn a_name_belongs_to_one_stream<S: Store>(store: Arc<S>) {
    assert_eq!(store.holder("payment_hash", &[1; 32]).await.expect("an answer"), None);
    store.append(Append { reservations: vec![name(1)], ..append(1, 0) }).await.expect("a free name");
    store.append(Append { reservations: vec![name(1), name(2), name(2)], ..append(1, 1) }).await.expect("its own name");
    let refused = store.append(Append { reservations: vec![name(3), name(1)], ..append(2, 0) }).await;
    assert_eq!(refused, Err(AppendError::Taken { space: "payment_hash" }));

    for (n, holder) in [(1, Some(stream(1))), (2, Some(stream(1))), (3, None)] {
        assert_eq!(store.holder("payment_hash", &[n; 32]).await.expect("an answer"), holder);
    }
    assert_eq!(store.holder("invoice", &[1; 32]).await.expect("an answer"), None);
}

/// A taken name leaves no fact, effect, finish, name or row behind, and the journal goes on without a gap.
pub async fn a_refusal_leaves_nothing<S: Store>(store: Arc<S>) {
    let first = Append { reservations: vec![name(1)], effects: vec![effect("one", 0)], ..append(1, 0) };
    store.append(first).await.expect("a new stream");
    let mut refused = append(2, 0);
    refused.effects = vec![effect("two", 0)];
    refused.finishes = vec!["one".to_owned()];
    refused.reservations = vec![name(2), name(1)];
    row_mut(&mut refused).wake_at = Some(NOW);
    assert_eq!(store.append(refused.clone()).await, Err(AppendError::Taken { space: "payment_hash" }));
    assert_untouched(&*store, &refused, &["one"]).await;

    let appended = store.append(append(2, 0)).await.expect("the same without the name");
    assert_eq!(appended, Appended { seq: 2, version: 1 });
    let facts = store.facts(0, 10).await.expect("facts");
    assert_eq!(facts[1].prev, facts[0].hash);
}

/// A conflict leaves nothing behind either.
pub async fn a_conflict_leaves_nothing<S: Store>(store: Arc<S>) {
    store.append(Append { effects: vec![effect("one", 0)], ..append(1, 0) }).await.expect("a new stream");
    let mut refused = append(2, 1);
    refused.effects = vec![effect("two", 0)];
    refused.finishes = vec!["one".to_owned()];
    refused.reservations = vec![name(2)];
    row_mut(&mut refused).wake_at = Some(NOW);
    assert_eq!(store.append(refused.clone()).await, Err(AppendError::Conflict { expected: 1, actual: 0 }));
    assert_untouched(&*store, &refused, &["one"]).await;
}

/// Nothing of `refused` is there, and `effects` are still to be done.
async fn assert_untouched<S: Store>(store: &S, refused: &Append, effects: &[&str]) {
    assert_eq!(store.stream(&refused.stream, 0).await.expect("facts"), []);
    assert_eq!(store.facts(0, 10).await.expect("facts").len(), 1);
    assert_eq!(store.authority(authority_digest(&refused.authority)).await.expect("an answer"), None);
    assert_eq!(store.holder("payment_hash", &[2; 32]).await.expect("an answer"), None);
    assert_eq!(store.task(refused.row.as_ref().expect("a row").id).await.expect("an answer"), None);
    assert_eq!(store.next_wake_after(NOW).await.expect("an answer"), None);
    let due = store.due_effects(later(10), 10).await.expect("effects");
    assert_eq!(due.iter().map(|effect| effect.key.as_str()).collect::<Vec<_>>(), effects);
}

/// What is over a limit is refused as such; what is exactly at it is taken.
pub async fn limits_are_refused<S: Store>(store: Arc<S>) {
    let body = |bytes| private(KIND, vec![7; bytes]);
    let late = Timestamp::from_millis(TIME_MAX.as_millis() + 1);
    let mut without_opening = private(KIND, vec![7]);
    if let Body::Private { opening, .. } = &mut without_opening.body {
        *opening = None;
    }
    let mut refused = vec![
        Append { facts: Vec::new(), ..append(1, 0) },
        Append { facts: vec![body(BODY_BYTES_MAX + 1)], ..append(1, 0) },
        Append { facts: vec![body(BODY_BYTES_MAX); APPEND_BYTES_MAX / BODY_BYTES_MAX + 1], ..append(1, 0) },
        Append { facts: vec![body(1); ITEMS_MAX + 1], ..append(1, 0) },
        Append { finishes: vec!["k".to_owned(); ITEMS_MAX + 1], ..append(1, 0) },
        Append { reservations: vec![name(1); ITEMS_MAX + 1], ..append(1, 0) },
        Append { effects: vec![effect(&"k".repeat(NAME_BYTES_MAX + 1), 0)], ..append(1, 0) },
        Append { stream: "s".repeat(NAME_BYTES_MAX + 1), ..append(1, 0) },
        Append { authority: authority(&"w".repeat(BODY_BYTES_MAX / 2 + 1)), ..append(1, 0) },
        Append { facts: vec![public(KIND, vec![7; PUBLIC_BODY_BYTES_MAX + 1])], ..append(1, 0) },
        Append { facts: vec![without_opening], ..append(1, 0) },
        Append { recorded_at: late, ..append(1, 0) },
        Append { effects: vec![effect("late", EFFECT_PAUSE_MAX.as_secs() + 1)], ..append(1, 0) },
    ];
    let mut view = append(1, 0);
    row_mut(&mut view).view = "v".repeat(BODY_BYTES_MAX + 1);
    let mut wake = append(1, 0);
    row_mut(&mut wake).wake_at = Some(late);
    refused.extend([view, wake]);
    for append in refused {
        let answer = store.append(append).await;
        assert!(matches!(answer, Err(AppendError::Store(StoreError::Limit(_)))), "{answer:?}");
    }
    assert_eq!(store.facts(0, 10).await.expect("facts"), []);

    let largest = Append { facts: vec![body(BODY_BYTES_MAX)], recorded_at: TIME_MAX, ..append(1, 0) };
    store.append(largest).await.expect("exactly at the limits");
    let slowest = vec![effect("slow", EFFECT_PAUSE_MAX.as_secs())];
    store.append(Append { effects: slowest, ..append(1, 1) }).await.expect("exactly at the limit");
    let facts = store.stream(&stream(1), 0).await.expect("facts");
    assert_eq!((facts[0].body.content().map(<[u8]>::len), facts[0].recorded_at), (Some(BODY_BYTES_MAX), TIME_MAX));
    assert!(store.task(task_id(1)).await.expect("an answer").is_some());
}
