//! HTTP, logins, JSON-RPC 1 and 2.

use reqwest::{Client, Response};
use serde_json::{Value, json};
use tallystick_bitcoin::{RpcAuth, RpcClient, RpcConfig, RpcError};

/// Requests as bytes.
struct Wire {
    http: Client,
    url: String,
    user: String,
    password: String,
}

impl Wire {
    async fn new(config: &RpcConfig) -> Self {
        let (user, password) = match &config.auth {
            RpcAuth::UserPass { user, password } => (user.clone(), password.clone()),
            RpcAuth::CookieFile(path) => {
                let cookie = tokio::fs::read_to_string(path).await.expect("the cookie file is there");
                let (user, password) = cookie.trim().split_once(':').expect("user and password");
                (user.to_owned(), password.to_owned())
            }
        };
        let http = Client::builder().no_proxy().build().expect("a client");
        Self { http, url: config.url.clone(), user, password }
    }

    async fn post(&self, body: impl Into<String>) -> Response {
        let request = self.http.post(&self.url).basic_auth(&self.user, Some(&self.password));
        request.body(body.into()).send().await.expect("an answer")
    }

    /// The status and the JSON of an answer.
    async fn exchange(&self, body: impl ToString) -> (u16, Value) {
        let response = self.post(body.to_string()).await;
        let status = response.status().as_u16();
        assert_eq!(response.headers()["content-type"], "application/json");
        (status, response.json().await.expect("JSON"))
    }
}

/// Only who knows the password gets in.
pub async fn logins(config: RpcConfig) {
    let wire = Wire::new(&config).await;
    let body = json!({ "method": "getblockcount", "id": 1 }).to_string();
    let response = wire.http.post(&wire.url).body(body.clone()).send().await.expect("an answer");
    assert_eq!(response.status().as_u16(), 401);
    assert!(response.headers()["www-authenticate"].to_str().is_ok_and(|value| value.starts_with("Basic ")));
    for (user, password) in [(wire.user.as_str(), "wrong"), ("wrong", wire.password.as_str()), ("", "")] {
        let request = wire.http.post(&wire.url).basic_auth(user, Some(password)).body(body.clone());
        assert_eq!(request.send().await.expect("an answer").status().as_u16(), 401);
    }
    let request = wire.http.post(&wire.url).bearer_auth(&wire.password).body(body);
    assert_eq!(request.send().await.expect("an answer").status().as_u16(), 401);
    let request = wire.http.get(&wire.url).basic_auth(&wire.user, Some(&wire.password));
    assert_eq!(request.send().await.expect("an answer").status().as_u16(), 405);

    let auth = RpcAuth::UserPass { user: wire.user.clone(), password: "wrong".to_owned() };
    let stranger = RpcClient::try_new(RpcConfig { auth, ..config.clone() }).expect("the configuration is usable");
    let refused = stranger.get_block_count().await;
    assert!(matches!(refused, Err(RpcError::Auth(_))), "{refused:?}");
    let friend = RpcClient::try_new(config).expect("the configuration is usable");
    assert_eq!(friend.get_block_count().await.expect("a height"), 0);
}

/// Version 1 has both members and speaks by HTTP status; version 2 has one and is always fine.
pub async fn versions_and_status(config: RpcConfig) {
    let wire = Wire::new(&config).await;
    for version in [json!(null), json!("1.0")] {
        let call =
            |method: &str, params: Value| json!({ "jsonrpc": version, "method": method, "params": params, "id": "a" });
        let good = wire.exchange(call("getblockcount", json!([]))).await;
        assert_eq!(good, (200, json!({ "result": 0, "error": null, "id": "a" })));
        let error = json!({ "code": -8, "message": "Block height out of range" });
        let bad = wire.exchange(call("getblockhash", json!([9]))).await;
        assert_eq!(bad, (500, json!({ "result": null, "error": error, "id": "a" })));
        let error = json!({ "code": -32601, "message": "Method not found" });
        let unknown = wire.exchange(call("nothing", json!([]))).await;
        assert_eq!(unknown, (404, json!({ "result": null, "error": error, "id": "a" })));
    }
    let call = |method: &str, params: Value| json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 7 });
    let good = wire.exchange(call("getblockcount", json!([]))).await;
    assert_eq!(good, (200, json!({ "jsonrpc": "2.0", "result": 0, "id": 7 })));
    let error = json!({ "code": -8, "message": "Block height out of range" });
    let bad = wire.exchange(call("getblockhash", json!([9]))).await;
    assert_eq!(bad, (200, json!({ "jsonrpc": "2.0", "error": error, "id": 7 })));
    let unknown = wire.exchange(call("nothing", json!({}))).await;
    assert_eq!((unknown.0, &unknown.1["error"]["code"]), (200, &json!(-32601)));
    // Without an id nobody waits for an answer.
    let silent = wire.post(json!({ "jsonrpc": "2.0", "method": "getblockcount" }).to_string()).await;
    assert_eq!(silent.status().as_u16(), 204);
    assert!(silent.bytes().await.expect("a body").is_empty());

    let malformed = [
        ("", 500, -32700, "Parse error"),
        ("{", 500, -32700, "Parse error"),
        ("7", 500, -32700, "Top-level object parse error"),
        ("{}", 400, -32600, "Missing method"),
        (r#"{"method":7}"#, 400, -32600, "Method must be a string"),
        (r#"{"method":"getblockcount","params":7}"#, 400, -32600, "Params must be an array or object"),
        (r#"{"method":"getblockcount","jsonrpc":"3.0"}"#, 400, -32600, "JSON-RPC version not supported"),
        (r#"{"method":"getblockcount","jsonrpc":2}"#, 400, -32600, "jsonrpc field must be a string"),
    ];
    for (body, status, code, message) in malformed {
        let answer = wire.exchange(body).await;
        let error = json!({ "code": code, "message": message });
        assert_eq!((answer.0, &answer.1["error"]), (status, &error), "{body}");
    }
}

/// Several requests in one.
pub async fn batches(config: RpcConfig) {
    let wire = Wire::new(&config).await;
    let batch = json!([
        { "method": "getblockcount", "id": 1 },
        { "jsonrpc": "2.0", "method": "getblockhash", "params": [5], "id": "two" },
        { "jsonrpc": "2.0", "method": "getblockcount" },
        { "method": "nothing", "id": null },
        3,
        { "jsonrpc": "2.0", "method": "uptime", "params": [], "id": 5 },
    ]);
    let (status, answers) = wire.exchange(batch).await;
    assert_eq!(status, 200);
    assert_eq!(answers.as_array().map(Vec::len), Some(5), "{answers}");
    assert_eq!(answers[0], json!({ "result": 0, "error": null, "id": 1 }));
    let error = json!({ "code": -8, "message": "Block height out of range" });
    assert_eq!(answers[1], json!({ "jsonrpc": "2.0", "error": error, "id": "two" }));
    assert_eq!((&answers[2]["error"]["code"], &answers[2]["id"]), (&json!(-32601), &json!(null)));
    assert_eq!(answers[3]["error"], json!({ "code": -32600, "message": "Invalid Request object" }));
    assert_eq!((&answers[4]["id"], answers[4]["result"].is_u64()), (&json!(5), true));
    assert_eq!(wire.exchange(json!([])).await, (200, json!([])));
    let silent = json!([{ "jsonrpc": "2.0", "method": "uptime" }, { "jsonrpc": "2.0", "method": "uptime" }]);
    let silent = wire.post(silent.to_string()).await;
    assert_eq!(silent.status().as_u16(), 204);
}
