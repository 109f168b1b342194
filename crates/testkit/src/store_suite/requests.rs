//! The register of seen requests.

use std::sync::Arc;
use tallystick_app::port::journal::StoreError;
use tallystick_core::Timestamp;

use super::Store;
use super::fixture::{NOW, later, request};

/// The same request is admitted once, also at the last moment that it is remembered.
pub async fn a_replay_is_refused<S: Store>(store: Arc<S>) {
    assert!(store.admit(request(1), NOW, later(60)).await.expect("an answer"));
    assert!(!store.admit(request(1), NOW, later(60)).await.expect("an answer"));
    assert!(!store.admit(request(1), later(60), later(120)).await.expect("an answer"));
    assert!(store.admit(request(2), later(60), later(120)).await.expect("an answer"));
    let never = store.admit(request(3), NOW, Timestamp::from_millis(u64::MAX)).await;
    assert!(matches!(never, Err(StoreError::Limit(_))), "{never:?}");
}

/// After its time a request counts as new, and is remembered again.
pub async fn a_request_is_forgotten_after_its_time<S: Store>(store: Arc<S>) {
    assert!(store.admit(request(1), NOW, later(60)).await.expect("an answer"));
    assert!(store.admit(request(1), later(61), later(200)).await.expect("an answer"));
    assert!(!store.admit(request(1), later(62), later(200)).await.expect("an answer"));
    assert!(!store.admit(request(1), later(200), later(300)).await.expect("an answer"));
}

/// Forgetting the old keeps the young.
pub async fn other_requests_do_not_disturb<S: Store>(store: Arc<S>) {
    for n in 0..100 {
        let until = if n % 2 == 0 { later(10) } else { later(1_000) };
        assert!(store.admit(request(n), NOW, until).await.expect("an answer"));
    }
    for n in 100..150 {
        assert!(store.admit(request(n), later(500), later(1_000)).await.expect("an answer"));
    }
    for n in 0..100 {
        let admitted = store.admit(request(n), later(500), later(1_000)).await.expect("an answer");
        assert_eq!(admitted, n % 2 == 0, "request {n}");
    }
}
