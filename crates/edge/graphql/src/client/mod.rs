//! A client that signs: for the command line, demos and tests. Plain HTTP; TLS ends at the proxy before the node.

mod subscribe;

use nostr::key::Keys;
use serde_json::{Value, json};
use std::time::Duration;
use tallystick_app::{Clock, SystemClock};

use crate::sign;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the edge itself takes to give up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct ClientError {
    /// The code of the edge's first error; or `client.unreachable` (not there, or the connection broke),
    /// `client.closed` (the node closed the WebSocket), `client.answer` (this is no GraphQL), `client.url`,
    /// `client.sign`.
    pub code: String,
    /// A sentence.
    pub message: String,
}

impl ClientError {
    fn new(code: &str, message: impl ToString) -> Self {
        Self { code: code.to_owned(), message: message.to_string() }
    }

    /// The node cannot be reached, or the connection broke: whether the request was heard is unknown.
    fn unreachable(error: impl ToString) -> Self {
        Self::new("client.unreachable", error)
    }

    /// The node answers something that is no GraphQL.
    fn answer(error: impl ToString) -> Self {
        Self::new("client.answer", error)
    }
}

/// A signing client of one node. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    url: String,
    keys: Keys,
    http: reqwest::Client,
}

impl Client {
    /// A client of the endpoint at `url`, such as `http://127.0.0.1:8080/graphql`, which must be one of the node's
    /// public URLs, letter by letter.
    ///
    /// # Errors
    /// `client.url` if it is no HTTP URL.
    pub fn new(url: impl Into<String>, keys: Keys) -> Result<Self, ClientError> {
        let url = url.into();
        if !url.starts_with("http://") {
            return Err(ClientError::new("client.url", "the node's URL must begin with http://"));
        }
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(REQUEST_TIMEOUT).build();
        let http = http.map_err(|error| ClientError::new("client.url", error))?;
        Ok(Self { url, keys, http })
    }

    /// Runs a query or a mutation and answers its `data`.
    ///
    /// # Errors
    /// [`ClientError`] with the first error's code, also when there is data beside it.
    pub async fn query(&self, query: &str, variables: Value) -> Result<Value, ClientError> {
        let body = json!({ "query": query, "variables": variables }).to_string().into_bytes();
        let authorization = self.authorization("POST", Some(&body))?;
        let request = self.http.post(&self.url).header(reqwest::header::AUTHORIZATION, authorization);
        let request = request.header(reqwest::header::CONTENT_TYPE, "application/json").body(body);
        let mut response = request.send().await.map_err(ClientError::unreachable)?;
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(ClientError::unreachable)? {
            if answer.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(ClientError::answer("the answer is too long"));
            }
            answer.extend_from_slice(&chunk);
        }
        data_of(serde_json::from_slice(&answer).map_err(ClientError::answer)?)
    }

    fn authorization(&self, method: &str, body: Option<&[u8]>) -> Result<String, ClientError> {
        sign::authorization(&self.keys, &self.url, method, body, SystemClock.now())
            .map_err(|error| ClientError::new("client.sign", error))
    }
}

/// The data of a GraphQL answer, if there is no error.
fn data_of(mut answer: Value) -> Result<Value, ClientError> {
    match answer["errors"].get(0) {
        Some(error) => Err(error_of(error)),
        None if answer.get("data").is_some() => Ok(answer["data"].take()),
        None => Err(ClientError::answer("the answer is no GraphQL")),
    }
}

fn error_of(error: &Value) -> ClientError {
    let code = error["extensions"]["code"].as_str().unwrap_or("client.answer");
    ClientError::new(code, error["message"].as_str().unwrap_or("an error without a message"))
}
