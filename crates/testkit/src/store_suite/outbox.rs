//! Effects from the fact that asks for them to their end.

use std::sync::Arc;
use tallystick_app::port::journal::{Append, PendingEffect, StoreError};
use tallystick_app::port::limits::{EFFECT_PAUSE_MAX, TIME_MAX, check_time};
use tallystick_core::Timestamp;

use super::Store;
use super::fixture::{NOW, append, effect, later, stream};

async fn due<S: Store>(store: &S, now: Timestamp) -> Vec<(String, u32)> {
    let effects = store.due_effects(now, 100).await.expect("effects");
    effects.into_iter().map(|effect| (effect.key, effect.attempts)).collect()
}

/// Pending, put off with the tries counted, finished; and nothing brings it back.
pub async fn an_effect_lives_until_it_is_finished<S: Store>(store: Arc<S>) {
    assert_eq!(store.next_effect_due().await.expect("an answer"), None);
    store.append(Append { effects: vec![effect("pay", 10)], ..append(1, 0) }).await.expect("a new stream");
    assert_eq!(store.next_effect_due().await.expect("an answer"), Some(later(10)));
    assert_eq!(store.due_effects(later(9), 10).await.expect("effects"), []);
    let wanted = [PendingEffect {
        key: "pay".to_owned(),
        stream: stream(1),
        body: b"do pay".to_vec(),
        attempts: 0,
        due: later(10),
    }];
    assert_eq!(store.due_effects(later(10), 10).await.expect("effects"), wanted);
    assert_eq!(store.due_effects(Timestamp::from_millis(u64::MAX), 10).await.expect("effects"), wanted);

    store.defer_effect("pay", later(20)).await.expect("put off");
    assert_eq!(due(&*store, later(19)).await, []);
    assert_eq!(due(&*store, later(20)).await, [("pay".to_owned(), 1)]);
    store.defer_effect("pay", later(5)).await.expect("put off");
    assert_eq!(due(&*store, later(5)).await, [("pay".to_owned(), 2)]);
    assert_eq!(store.next_effect_due().await.expect("an answer"), Some(later(5)));

    store.finish_effect("pay").await.expect("finished");
    store.finish_effect("pay").await.expect("finished again");
    store.defer_effect("pay", NOW).await.expect("too late, and no harm");
    assert_eq!(due(&*store, later(100)).await, []);
    assert_eq!(store.next_effect_due().await.expect("an answer"), None);
}

/// A key that exists is left as it is: body, time, tries and end.
pub async fn a_key_is_unique_for_ever<S: Store>(store: Arc<S>) {
    store.append(Append { effects: vec![effect("pay", 10)], ..append(1, 0) }).await.expect("a new stream");
    store.defer_effect("pay", later(10)).await.expect("put off");
    let mut again = effect("pay", 0);
    again.body = b"another body".to_vec();
    let twice = Append { effects: vec![again.clone(), effect("new", 30), effect("new", 0)], ..append(2, 0) };
    store.append(twice).await.expect("the facts are taken all the same");

    let effects = store.due_effects(later(10), 10).await.expect("effects");
    assert_eq!(effects.len(), 1);
    assert_eq!((effects[0].stream.clone(), effects[0].attempts), (stream(1), 1));
    assert_eq!(effects[0].body, b"do pay");
    assert_eq!(due(&*store, later(30)).await, [("pay".to_owned(), 1), ("new".to_owned(), 0)]);

    store.finish_effect("pay").await.expect("finished");
    store.append(Append { effects: vec![again], ..append(2, 1) }).await.expect("the next version");
    assert_eq!(due(&*store, later(30)).await, [("new".to_owned(), 0)]);
}

/// Facts bring effects to an end: their own stream's and others', known and unknown, also one that they ask for.
pub async fn facts_finish_effects<S: Store>(store: Arc<S>) {
    let first = Append { effects: vec![effect("a", 0), effect("b", 0), effect("c", 0)], ..append(1, 0) };
    store.append(first).await.expect("a new stream");
    let finishes = vec!["a".to_owned(), "d".to_owned(), "nobody's".to_owned()];
    let second = Append { finishes, effects: vec![effect("d", 0), effect("e", 1)], ..append(1, 1) };
    store.append(second).await.expect("the next version");
    store.append(Append { finishes: vec!["b".to_owned()], ..append(2, 0) }).await.expect("another stream");
    assert_eq!(due(&*store, later(1)).await, [("c".to_owned(), 0), ("e".to_owned(), 0)]);
}

/// The longest due first, in pages of the size asked for.
pub async fn effects_come_by_due_time<S: Store>(store: Arc<S>) {
    let effects = vec![effect("late", 30), effect("early", 10), effect("middle", 20)];
    store.append(Append { effects, ..append(1, 0) }).await.expect("a new stream");
    let keys = |effects: Vec<PendingEffect>| effects.into_iter().map(|effect| effect.key).collect::<Vec<_>>();
    assert_eq!(keys(store.due_effects(later(30), 2).await.expect("effects")), ["early", "middle"]);
    store.defer_effect("early", later(25)).await.expect("put off");
    assert_eq!(keys(store.due_effects(later(30), 10).await.expect("effects")), ["middle", "early", "late"]);
    assert_eq!(keys(store.due_effects(later(30), 0).await.expect("effects")), [""; 0]);
    assert_eq!(store.next_effect_due().await.expect("an answer"), Some(later(20)));
}

/// What a clock that was ahead has put off far away is due once the clock is right again; no pause is that long.
pub async fn a_clock_that_jumps_back_delays_nothing<S: Store>(store: Arc<S>) {
    const DAY: u64 = 86_400;
    let effects = vec![effect("pay", 0), effect("soon", 20), effect("slow", EFFECT_PAUSE_MAX.as_secs())];
    store.append(Append { effects, ..append(1, 0) }).await.expect("a new stream");
    store.defer_effect("pay", later(DAY)).await.expect("put off by a clock that is a day ahead");
    assert_eq!(due(&*store, NOW).await, [("pay".to_owned(), 1)]);
    assert_eq!(due(&*store, later(20)).await, [("soon".to_owned(), 0), ("pay".to_owned(), 1)]);
    // The longest pause before its time it waits, as everything does; then it is due by itself.
    assert_eq!(due(&*store, later(DAY - EFFECT_PAUSE_MAX.as_secs())).await.len(), 2);
    assert_eq!(due(&*store, later(DAY)).await.len(), 3);
}

/// Keys that nobody asked for do no harm.
pub async fn unknown_keys_are_passed_over<S: Store>(store: Arc<S>) {
    store.defer_effect("nobody's", later(1)).await.expect("nothing happens");
    store.finish_effect("nobody's").await.expect("nothing happens");
    assert_eq!(due(&*store, later(100)).await, []);
    store.append(Append { effects: vec![effect("nobody's", 0)], ..append(1, 0) }).await.expect("a new stream");
    assert_eq!(due(&*store, later(0)).await, [("nobody's".to_owned(), 0)]);
}

/// A time that cannot be stored is refused, and the effect stays as it was.
pub async fn times_beyond_the_largest_are_refused<S: Store>(store: Arc<S>) {
    store.append(Append { effects: vec![effect("pay", 0)], ..append(1, 0) }).await.expect("a new stream");
    let late = Timestamp::from_millis(TIME_MAX.as_millis() + 1);
    assert!(check_time(late).is_err());
    assert!(matches!(store.defer_effect("pay", late).await, Err(StoreError::Limit(_))));
    assert_eq!(due(&*store, NOW).await, [("pay".to_owned(), 0)]);
    store.defer_effect("pay", TIME_MAX).await.expect("exactly at the limit");
    assert_eq!(store.next_effect_due().await.expect("an answer"), Some(TIME_MAX));
}

async fn claim<S: Store>(store: &S, secs: u64, until: u64, epoch: u64, limit: u32) -> Vec<String> {
    let claimed = store.claim_effects(later(secs), later(until), epoch, limit).await.expect("effects");
    claimed.into_iter().map(|effect| effect.key).collect()
}

/// What is claimed is given to nobody else of the epoch, in the order of due times, until it is put off or finished.
pub async fn a_claimed_effect_is_nobody_elses<S: Store>(store: Arc<S>) {
    let effects = vec![effect("c", 3), effect("a", 1), effect("b", 2), effect("late", 50)];
    store.append(Append { effects, ..append(1, 0) }).await.expect("a new stream");
    assert_eq!(claim(&*store, 10, 40, 1, 0).await, [""; 0]);
    assert_eq!(claim(&*store, 10, 40, 1, 2).await, ["a", "b"]);
    assert_eq!(claim(&*store, 10, 40, 1, 10).await, ["c"]);
    assert_eq!(claim(&*store, 39, 60, 1, 10).await, [""; 0]);
    // It is due all the same, for whoever only looks.
    assert_eq!(due(&*store, later(10)).await.len(), 3);
    assert_eq!(store.next_effect_due().await.expect("an answer"), Some(later(1)));

    store.defer_effect("a", later(12)).await.expect("put off");
    store.finish_effect("b").await.expect("finished");
    store.append(Append { finishes: vec!["c".to_owned()], ..append(1, 1) }).await.expect("the next version");
    assert_eq!(claim(&*store, 11, 40, 1, 10).await, [""; 0]);
    let again = store.claim_effects(later(12), later(40), 1, 10).await.expect("effects");
    assert_eq!(again.iter().map(|effect| (effect.key.as_str(), effect.attempts)).collect::<Vec<_>>(), [("a", 1)]);
    assert_eq!(again[0].body, b"do a");
    let late = Timestamp::from_millis(TIME_MAX.as_millis() + 1);
    assert!(matches!(store.claim_effects(later(60), late, 1, 10).await, Err(StoreError::Limit(_))));
}

/// A claim ends by itself, and one that a clock far ahead made counts for nothing.
pub async fn a_claim_that_ran_out_is_taken_again<S: Store>(store: Arc<S>) {
    store.append(Append { effects: vec![effect("pay", 0)], ..append(1, 0) }).await.expect("a new stream");
    assert_eq!(claim(&*store, 0, 30, 1, 10).await, ["pay"]);
    assert_eq!(claim(&*store, 29, 60, 1, 10).await, [""; 0]);
    assert_eq!(claim(&*store, 30, 60, 1, 10).await, ["pay"]);
    assert_eq!(claim(&*store, 31, 90, 1, 10).await, [""; 0]);
    assert_eq!(claim(&*store, 60, 100_000, 1, 10).await, ["pay"]);
    assert_eq!(claim(&*store, 61, 90, 1, 10).await, ["pay"]);
}

/// Whoever begins a new epoch need not wait for the claims of the one before; the other is given nothing of his.
pub async fn a_later_epoch_takes_over<S: Store>(store: Arc<S>) {
    store.append(Append { effects: vec![effect("pay", 0)], ..append(1, 0) }).await.expect("a new stream");
    assert_eq!(claim(&*store, 0, 30, 1, 10).await, ["pay"]);
    assert_eq!(claim(&*store, 1, 30, 2, 10).await, ["pay"]);
    assert_eq!(claim(&*store, 2, 30, 2, 10).await, [""; 0]);
    assert_eq!(claim(&*store, 2, 30, 1, 10).await, [""; 0]);
}

/// Many who claim at once never hold the same effect, and miss none.
pub async fn claimers_at_once_share_what_is_due<S: Store>(store: Arc<S>) {
    const EFFECTS: usize = 60;
    let effects = (0..EFFECTS).map(|n| effect(&format!("{n:03}"), 0)).collect();
    store.append(Append { effects, ..append(1, 0) }).await.expect("a new stream");
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let store = Arc::clone(&store);
        set.spawn(async move {
            let mut mine = Vec::new();
            // What another has locked is passed over: nothing for one look is no end.
            for _ in 0..EFFECTS {
                mine.extend(claim(&*store, 1, 30, 1, 3).await);
            }
            mine
        });
    }
    let mut all: Vec<String> = set.join_all().await.into_iter().flatten().collect();
    all.sort();
    assert_eq!(all, (0..EFFECTS).map(|n| format!("{n:03}")).collect::<Vec<_>>());
}
