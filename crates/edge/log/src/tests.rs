use super::*;
use axum::{body::Body, http::Request};
use http_body_util::BodyExt;
use tallystick_app::{
    log::{LogConfig, LogWorker},
    port::journal::Journal,
};
use tallystick_core::{Duration, Fact};
use tallystick_log::{
    KeyKind, KeyName, ProofBundle, SignedCheckpoint, SigningKey, WitnessPolicy, leaf_hash, parse_entries,
};
use tallystick_testkit::{MemoryStore, store_suite::fixture};
use tower::ServiceExt;

fn key() -> SigningKey {
    SigningKey::try_from_seed(KeyName::try_new("node.example/log").unwrap(), KeyKind::Note, &[7; 32]).unwrap()
}

/// A log of 300 facts.
async fn log() -> (Router, Arc<MemoryStore>) {
    let store = Arc::new(MemoryStore::new());
    for n in 0..300 {
        store.append(fixture::append(n, 0)).await.unwrap();
    }
    publish(&store).await;
    (router(LogReader::new(Arc::clone(&store) as _, Arc::clone(&store) as _), key().verifier().clone()), store)
}

async fn publish(store: &Arc<MemoryStore>) {
    let config = LogConfig { key: key(), interval: Duration::from_secs(1), witnesses: Vec::new(), witnesses_needed: 0 };
    let mut worker = LogWorker::try_new(Arc::clone(store) as _, Arc::clone(store) as _, config).unwrap();
    assert_eq!(worker.run_once().await, Ok(true));
}

async fn get(router: &Router, path: &str, known: Option<&str>) -> (StatusCode, HeaderMap, Vec<u8>) {
    let mut request = Request::get(format!("/log/{path}"));
    if let Some(known) = known {
        request = request.header(header::IF_NONE_MATCH, known);
    }
    let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = answer.into_parts();
    (parts.status, parts.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test]
async fn files_are_served_with_how_long_they_hold() {
    let (router, store) = log().await;
    let cases = [
        ("checkpoint", "text/plain; charset=utf-8", A_SECOND),
        ("proof/300", "text/plain; charset=utf-8", ASK_AGAIN),
        ("tile/0/000", "application/octet-stream", FOR_EVER),
        ("tile/0/001.p/44", "application/octet-stream", FOR_EVER),
        ("tile/1/000.p/1", "application/octet-stream", FOR_EVER),
        ("tile/entries/000", "application/octet-stream", FOR_EVER),
        ("tile/entries/001.p/7", "application/octet-stream", FOR_EVER),
    ];
    for (path, content_type, cache) in cases {
        let (status, headers, body) = get(&router, path, None).await;
        assert_eq!((status, body.is_empty()), (StatusCode::OK, false), "{path}");
        assert_eq!(
            (&headers[header::CONTENT_TYPE], &headers[header::CACHE_CONTROL]),
            (&content_type.parse().unwrap(), &cache.parse().unwrap()),
            "{path}"
        );
        let tag = headers[header::ETAG].to_str().unwrap().to_owned();
        for known in [format!("\"other\", {tag}"), format!("W/{tag}")] {
            let (status, _, body) = get(&router, path, Some(&known)).await;
            assert_eq!((status, body.is_empty()), (StatusCode::NOT_MODIFIED, true), "{path}");
        }
        let head = Request::head(format!("/log/{path}")).body(Body::empty()).unwrap();
        let (head, body) = router.clone().oneshot(head).await.unwrap().into_parts();
        assert_eq!((head.status, &head.headers[header::ETAG]), (StatusCode::OK, &headers[header::ETAG]), "{path}");
        assert!(body.collect().await.unwrap().to_bytes().is_empty(), "{path}");
    }
    // The checkpoint changes, and with it its tag; a tile does not.
    let tags = async || {
        let of = async |path| get(&router, path, None).await.1[header::ETAG].clone();
        (of("checkpoint").await, of("tile/0/001.p/44").await)
    };
    let before = tags().await;
    store.append(fixture::append(300, 0)).await.unwrap();
    publish(&store).await;
    let after = tags().await;
    assert_ne!(before.0, after.0);
    assert_eq!(before.1, after.1);
}

#[tokio::test]
async fn what_is_served_proves_every_fact() {
    let (router, store) = log().await;
    assert_eq!(get(&router, "vkey", None).await.2, format!("{}\n", key().verifier().to_vkey()).into_bytes());
    let signed = SignedCheckpoint::parse(&get(&router, "checkpoint", None).await.2).unwrap();
    assert_eq!(signed.verify(key().verifier()).unwrap().size(), 300);
    let entries = get(&router, "tile/entries/001.p/44", None).await.2;
    let entries = parse_entries(&entries, 44).unwrap();
    assert_eq!(Fact::from_entry(entries[0]).unwrap().seq, 257);
    let hashes = get(&router, "tile/0/001.p/44", None).await.2;
    assert_eq!(hashes[..32], leaf_hash(entries[0]));
    let bundle = ProofBundle::parse(&get(&router, "proof/257", None).await.2).unwrap();
    bundle.verify(entries[0], key().verifier(), &WitnessPolicy::none()).unwrap();
    drop(store);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let (router, _store) = log().await;
    for path in [
        "",
        "checkpoint/",
        "tile/0/0",
        "tile/0/000.p/256",
        "tile/0/001",
        "tile/0/001.p/45",
        "tile/9/000",
        "tile/entries/001",
        "tile/entries/001.p/45",
        "tile/entries/x999/999",
        "proof/0",
        "proof/301",
        "proof/01",
        "proof/-1",
        "proof/99999999999999999999",
        "proof/18446744073709551615",
        "tile/0/..%2fcheckpoint",
        "tile/0/%30%30%30",
        "%63heckpoint",
        "proof/%31",
        "vkey?1",
        "tile/0/000?again",
        "tile/0/000?",
        "/tile/0/000",
        "private",
    ] {
        let (status, headers, _) = get(&router, path, None).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        if !path.is_empty() {
            assert_eq!(headers[header::CACHE_CONTROL], "no-store", "{path}");
        }
    }
}

/// Nothing private is in any file, and erasing changes none.
#[tokio::test]
async fn private_words_are_in_no_file() {
    let (router, store) = log().await;
    let words = store.facts(0, 1).await.unwrap().remove(0).body.content().unwrap().to_vec();
    for path in ["checkpoint", "tile/entries/000", "tile/0/000", "proof/1"] {
        let body = get(&router, path, None).await.2;
        assert!(!body.windows(words.len()).any(|window| window == words), "{path}");
    }
}
