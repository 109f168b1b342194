//! Answers that are late, long, missing or nonsense.

use std::time::Duration;

use serde_json::json;
use tallystick_bitcoin::RpcError;
use tallystick_core::Coded;

use crate::server::{Answer, client, client_with_timeout};

#[tokio::test]
async fn reads_are_tried_again_and_writes_are_not() {
    let (patient, requests) =
        client(vec![Answer::HangUp, Answer::Http(503, "busy".to_owned()), Answer::result("5")]).await;
    assert_eq!(patient.get_block_count().await.expect("the third time"), 5);
    assert_eq!(requests.lock().expect("no panic holds it").len(), 3);

    let (hopeless, requests) = client(vec![Answer::HangUp, Answer::HangUp, Answer::HangUp, Answer::result("5")]).await;
    let error = hopeless.get_block_count().await.expect_err("three times are enough");
    assert_eq!((error.code().0, error.is_transient()), ("bitcoin.rpc_transport", true));
    assert_eq!(requests.lock().expect("no panic holds it").len(), 3);

    let (once, requests) = client(vec![Answer::HangUp, Answer::result("\"x\"")]).await;
    let error = once.call::<String>("stop", json!([])).await.expect_err("once only");
    assert!(matches!(error, RpcError::Transport(_)), "{error:?}");
    assert_eq!(requests.lock().expect("no panic holds it").len(), 1);
}

#[tokio::test]
async fn silence_ends() {
    let (client, _) = client_with_timeout(vec![Answer::Silence], Duration::from_millis(100)).await;
    let error = client.call::<u32>("getblockcount", json!([])).await.expect_err("too slow");
    assert!(matches!(&error, RpcError::Transport(cause) if cause.is_timeout()), "{error:?}");
}

#[tokio::test]
async fn long_answers_are_cut_off() {
    let (client, _) = client(vec![Answer::Flood(40 * 1024 * 1024)]).await;
    let error = client.call::<u32>("getblockcount", json!([])).await.expect_err("too long");
    assert_eq!(error.code().0, "bitcoin.rpc_too_large");
}

#[tokio::test]
async fn nonsense_is_told_apart() {
    let cases = [
        (Answer::Http(200, "nonsense".to_owned()), "bitcoin.rpc_decode"),
        (Answer::Http(200, String::new()), "bitcoin.rpc_decode"),
        (Answer::Http(404, "nonsense".to_owned()), "bitcoin.rpc_http"),
        (Answer::Http(302, String::new()), "bitcoin.rpc_http"),
        (Answer::Http(200, "{\"result\":1,\"id\":99999}".to_owned()), "bitcoin.rpc_decode"),
        (Answer::Http(200, "{\"result\":1}".to_owned()), "bitcoin.rpc_decode"),
        (Answer::Http(200, "[]".to_owned()), "bitcoin.rpc_decode"),
        (Answer::result("\"text\""), "bitcoin.rpc_decode"),
        (Answer::result("-1"), "bitcoin.rpc_decode"),
        (Answer::result("null"), "bitcoin.rpc_decode"),
    ];
    for (answer, code) in cases {
        let (client, _) = client(vec![answer]).await;
        let error = client.call::<u32>("getblockcount", json!([])).await.expect_err("nonsense");
        assert_eq!(error.code().0, code, "{error:?}");
    }
}

#[tokio::test]
async fn errors_of_both_versions_are_read() {
    let body = |code: i64| format!("{{\"result\":null,\"error\":{{\"code\":{code},\"message\":\"why\"}},\"id\":$ID}}");
    for status in [200, 404, 500] {
        let (client, _) = client(vec![Answer::Http(status, body(-5))]).await;
        let error = client.call::<u32>("getblock", json!([])).await.expect_err("an error");
        assert!(error.is_not_found() && error.rpc_code() == Some(-5), "{error:?}");
        assert_eq!((error.to_string().as_str(), error.code().0), ("Bitcoin Core: why (-5)", "bitcoin.rpc_error"));
    }
    let ask = async |code: i64| {
        let (client, _) = client(vec![Answer::Http(200, body(code))]).await;
        client.call::<u32>("getblock", json!([])).await.expect_err("an error")
    };
    assert!(ask(-28).await.is_warming_up() && ask(-28).await.is_transient());
    assert!(ask(-27).await.is_already_in_chain());
    assert!(ask(-26).await.is_rejected() && !ask(-26).await.is_transient());
    assert!(ask(-8).await.is_invalid_parameter());
    assert!(ask(-32601).await.is_method_not_found());
    assert!(!ask(-25).await.is_missing_inputs(), "-25 is also a fee above the caller's limit");
    let (client, _) = client(vec![Answer::Http(
        500,
        format!("{{\"error\":{{\"code\":-1,\"message\":\"{}\"}},\"id\":$ID}}", "x".repeat(9_000)),
    )])
    .await;
    let long = client.call::<u32>("getblock", json!([])).await.expect_err("an error");
    assert!(long.to_string().len() < 1_100);
}
