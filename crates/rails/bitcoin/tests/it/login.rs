//! Logins and what is never shown.

use std::time::Duration;

use tallystick_bitcoin::{RpcAuth, RpcClient, RpcConfig, RpcError};
use tallystick_core::Coded;

use crate::server::{Answer, client, serve, serve_on_one_connection};

fn config(url: &str, auth: RpcAuth) -> RpcConfig {
    RpcConfig { url: url.to_owned(), auth, timeout: Duration::from_millis(500) }
}

fn user_pass() -> RpcAuth {
    RpcAuth::UserPass { user: "user".to_owned(), password: "hunter2hunter2".to_owned() }
}

#[tokio::test]
async fn the_password_goes_into_the_header() {
    let (client, requests) = client(vec![Answer::result("7")]).await;
    assert_eq!(client.get_block_count().await.expect("a height"), 7);
    let request = requests.lock().expect("no panic holds it")[0].clone();
    // user:pass
    assert!(request.to_lowercase().contains("authorization: basic dxnlcjpwyxnz"), "{request}");
}

#[tokio::test]
async fn a_cookie_is_kept_until_it_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(".cookie");
    let refusal = || Answer::Http(401, String::new());
    let answers = vec![Answer::result("1"), Answer::result("2"), refusal(), Answer::result("3"), refusal(), refusal()];
    let (url, requests) = serve(answers).await;
    let client = RpcClient::try_new(config(&url, RpcAuth::CookieFile(path.clone()))).expect("usable");
    let missing = client.get_block_count().await.expect_err("no cookie yet");
    assert!(matches!(missing, RpcError::Auth(_)), "{missing:?}");

    std::fs::write(&path, "__cookie__:a\n").expect("writes");
    assert_eq!(client.get_block_count().await.expect("a height"), 1);
    // A process without a free descriptor cannot open it either.
    std::fs::remove_file(&path).expect("removes");
    assert_eq!(client.get_block_count().await.expect("the login is known"), 2);
    // Bitcoin Core was started anew.
    std::fs::write(&path, "__cookie__:b").expect("writes");
    assert_eq!(client.get_block_count().await.expect("the new login"), 3);

    let unchanged = client.get_block_count().await.expect_err("refused, and there is no other login");
    assert!(matches!(unchanged, RpcError::Auth(_)), "{unchanged:?}");
    std::fs::write(&path, "nonsense").expect("writes");
    let broken = client.get_block_count().await.expect_err("no colon");
    assert!(matches!(broken, RpcError::Auth(_)), "{broken:?}");
    let (a, b) = ("X19jb29raWVfXzph", "X19jb29raWVfXzpi");
    let requests = requests.lock().expect("no panic holds it");
    assert_eq!(requests.len(), 6);
    for (request, login) in requests.iter().zip([a, a, a, b, b, b]) {
        assert!(request.contains(login), "{request}");
    }
}

/// A new connection needs a descriptor too, and there may be none.
#[tokio::test]
async fn requests_share_a_connection() {
    let (url, _) = serve_on_one_connection(vec![Answer::result("1"), Answer::result("2")]).await;
    let client = RpcClient::try_new(config(&url, user_pass())).expect("usable");
    assert_eq!(client.get_block_count().await.expect("a height"), 1);
    assert_eq!(client.get_block_count().await.expect("a height on the same connection"), 2);
}

#[tokio::test]
async fn a_refused_login_has_its_own_error() {
    for status in [401, 403] {
        let (client, _) = client(vec![Answer::Http(status, String::new())]).await;
        let error = client.get_block_count().await.expect_err("refused");
        assert_eq!(error.code().0, "bitcoin.rpc_auth");
    }
}

#[tokio::test]
async fn nothing_shows_the_password() {
    let (url, _) = serve(vec![Answer::HangUp]).await;
    let config = config(&url, user_pass());
    let client = RpcClient::try_new(config.clone()).expect("usable");
    let error = client.call::<u32>("getblockcount", serde_json::json!([])).await.expect_err("hangs up");
    for text in [format!("{config:?}"), format!("{client:?}"), format!("{error:?}"), error.to_string()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(!format!("{error:?}").contains(&url), "{error:?}");
}

#[test]
fn only_plain_http_without_credentials_is_an_address() {
    for url in ["https://127.0.0.1:1", "http://user:hunter2@127.0.0.1:1", "http://user@127.0.0.1", "127.0.0.1", ""] {
        let error = RpcClient::try_new(config(url, user_pass())).expect_err("not usable");
        assert_eq!(error.code().0, "bitcoin.rpc_config");
        assert!(!error.to_string().contains("hunter2"));
    }
}
