//! One request: sent, limited, checked.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::{StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::debug;

use crate::{RpcAuth, RpcConfig, RpcError};

/// The longest answer that is read. A full block in hex is 8 MB; a mempool of 300 MB as ids is about the same.
const RESPONSE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// How often a request that changes nothing is sent before giving up.
const READ_ATTEMPTS_MAX: u32 = 3;
/// The pause after the first failed attempt; it doubles after each.
const READ_RETRY_PAUSE: Duration = Duration::from_millis(100);
/// The longest part of a foreign error message that is kept.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// A client of Bitcoin Core's JSON-RPC. Cloning is cheap, and clones share their connections.
#[derive(Clone)]
pub struct RpcClient {
    inner: Arc<Inner>,
}

struct Inner {
    http: reqwest::Client,
    url: Url,
    auth: RpcAuth,
    /// What the cookie file said when it was last read: a process that can open no more files can still ask.
    cookie: Mutex<Option<Login>>,
    next_id: AtomicU64,
}

/// User and password as they go into the header.
#[derive(Clone, PartialEq, Eq)]
struct Login {
    user: String,
    password: String,
}

impl fmt::Debug for RpcClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcClient")
            .field("url", &self.inner.url.as_str())
            .field("auth", &self.inner.auth)
            .finish_non_exhaustive()
    }
}

/// A JSON-RPC answer. Version 1 always has both members, version 2 only one of them.
#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error: Option<AnswerError>,
    id: Value,
}

#[derive(Deserialize)]
struct AnswerError {
    code: i64,
    message: String,
}

impl RpcClient {
    /// A client for one Bitcoin Core. Nothing is sent yet.
    ///
    /// # Errors
    /// [`RpcError::Config`] when the address is not a plain `http` one, or holds credentials.
    pub fn try_new(config: RpcConfig) -> Result<Self, RpcError> {
        let url = Url::parse(&config.url).map_err(|_| RpcError::Config("the address is not a URL"))?;
        if url.scheme() != "http" {
            return Err(RpcError::Config("the address must begin with http://; Bitcoin Core speaks nothing else"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(RpcError::Config("the address must not hold credentials; give them as the login"));
        }
        let http = reqwest::Client::builder()
            .timeout(config.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|_| RpcError::Config("the HTTP client cannot be built"))?;
        let (cookie, next_id) = (Mutex::new(None), AtomicU64::new(1));
        Ok(Self { inner: Arc::new(Inner { http, url, auth: config.auth, cookie, next_id }) })
    }

    /// Sends one request, once. `params` is an array (by position) or an object (by name).
    ///
    /// # Errors
    /// Any [`RpcError`]. After [`RpcError::Transport`] the request may have been executed nevertheless.
    pub async fn call<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, RpcError> {
        let result = self.inner.exchange(method, &params).await?;
        serde_json::from_value(result).map_err(|e| RpcError::decode(method, e))
    }

    /// Sends a request that changes nothing, and sends it again a few times if no answer comes.
    ///
    /// # Errors
    /// Any [`RpcError`], that of the last attempt.
    pub async fn read<T: DeserializeOwned>(&self, method: &str, params: Value) -> Result<T, RpcError> {
        let mut pause = READ_RETRY_PAUSE;
        for attempt in 1..READ_ATTEMPTS_MAX {
            match self.call(method, params.clone()).await {
                Err(error @ (RpcError::Transport(_) | RpcError::Http(503))) => {
                    debug!(method, attempt, %error, "no answer from Bitcoin Core, asking again");
                }
                outcome => return outcome,
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
        }
        self.call(method, params).await
    }
}

impl Inner {
    async fn exchange(&self, method: &str, params: &Value) -> Result<Value, RpcError> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        let response = self.send_logged_in(&request).await?;
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(RpcError::Auth(format!("HTTP {}", status.as_u16())));
        }
        let body = body_limited(response).await?;
        // Errors of version 1 come with status 404 or 500 and a body; without a body the status is all there is.
        let answer: Answer = match serde_json::from_slice(&body) {
            Ok(answer) => answer,
            Err(_) if !status.is_success() => return Err(RpcError::Http(status.as_u16())),
            Err(e) => return Err(RpcError::decode(method, e)),
        };
        if let Some(AnswerError { code, message }) = answer.error {
            return Err(RpcError::Rpc { code, message: message.chars().take(MESSAGE_CHARS_MAX).collect() });
        }
        if answer.id != json!(id) {
            return Err(RpcError::decode(method, "the id is not that of the request"));
        }
        Ok(answer.result)
    }

    /// Sends with the login that is known. If it is refused and the cookie file has another one, Bitcoin Core was
    /// started anew: sends once more, since what is refused was not executed.
    async fn send_logged_in(&self, request: &Value) -> Result<reqwest::Response, RpcError> {
        let login = self.login().await?;
        let response = self.send(request, &login).await?;
        let RpcAuth::CookieFile(path) = &self.auth else { return Ok(response) };
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let renewed = read_cookie(path).await?;
        if renewed == login {
            return Ok(response);
        }
        *self.known_cookie() = Some(renewed.clone());
        self.send(request, &renewed).await
    }

    async fn send(&self, request: &Value, login: &Login) -> Result<reqwest::Response, RpcError> {
        let post = self.http.post(self.url.clone()).basic_auth(&login.user, Some(&login.password));
        post.json(request).send().await.map_err(transport)
    }

    async fn login(&self) -> Result<Login, RpcError> {
        let path = match &self.auth {
            RpcAuth::UserPass { user, password } => {
                return Ok(Login { user: user.clone(), password: password.clone() });
            }
            RpcAuth::CookieFile(path) => path,
        };
        if let Some(known) = self.known_cookie().clone() {
            return Ok(known);
        }
        let read = read_cookie(path).await?;
        *self.known_cookie() = Some(read.clone());
        Ok(read)
    }

    fn known_cookie(&self) -> MutexGuard<'_, Option<Login>> {
        // Nothing can break between taking it and writing it.
        self.cookie.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read_cookie(path: &Path) -> Result<Login, RpcError> {
    let cookie = tokio::fs::read_to_string(path)
        .await
        .map_err(|e| RpcError::Auth(format!("the cookie file {} cannot be read: {}", path.display(), e.kind())))?;
    let (user, password) = cookie
        .trim_end()
        .split_once(':')
        .ok_or_else(|| RpcError::Auth(format!("the cookie file {} has no user and password", path.display())))?;
    Ok(Login { user: user.to_owned(), password: password.to_owned() })
}

async fn body_limited(mut response: reqwest::Response) -> Result<Vec<u8>, RpcError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if body.len() + chunk.len() > RESPONSE_BYTES_MAX {
            return Err(RpcError::TooLarge { limit_bytes: RESPONSE_BYTES_MAX });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The address is the operator's business, not that of whoever reads the error.
fn transport(error: reqwest::Error) -> RpcError {
    RpcError::Transport(error.without_url())
}
