//! A client that signs: for the command line, demos and tests.

mod body;
mod connect;
mod evidence;
mod subscribe;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{
    Request, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use nostr::key::Keys;
use rustls::ClientConfig;
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tallystick_app::{Clock, SystemClock};
use tallystick_core::{Coded, NostrKey};
use tokio::time::timeout;

use self::body::Outgoing;
use crate::{error::EdgeError, sign};

pub use self::body::Progress;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longer than the edge itself takes to give up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(40);
/// Bytes of an answer.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Where everything is written that a client hears.
pub type Tap = Arc<Mutex<Vec<u8>>>;

/// What a client may do that it usually does not.
#[derive(Clone, Default)]
pub struct Options {
    /// Whether to speak without TLS to other machines.
    pub insecure: bool,
    /// Whether each request has a connection of its own.
    pub reconnect: bool,
    /// Certificates (X.509, DER) that are trusted as roots, besides the system's.
    pub roots: Vec<Vec<u8>>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code})")]
pub struct ClientError {
    /// The code of the edge's first error; or `client.unreachable` (not there, or the connection broke),
    /// `client.closed` (the node closed the WebSocket), `client.answer` (this is no GraphQL), `client.file`
    /// (a file is not served), `client.url`, `client.tls`, `client.sign`.
    pub code: String,
    /// A sentence.
    pub message: String,
}

impl ClientError {
    fn new(code: &str, message: impl ToString) -> Self {
        Self { code: code.to_owned(), message: message.to_string() }
    }

    fn is_before_start(&self) -> bool {
        self.code == EdgeError::BeforeStart.code().0
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
    uri: Uri,
    keys: Keys,
    tls: Arc<ClientConfig>,
    http: connect::Http,
    clock: Arc<dyn Clock>,
    tap: Option<Tap>,
}

impl Client {
    /// A client of the endpoint at `url`, such as `https://tally.example/graphql`, which must be one of the node's
    /// public URLs, letter by letter. Without TLS only this machine is asked.
    ///
    /// # Errors
    /// `client.url` if it is no such URL, `client.tls` if there are no root certificates.
    pub fn new(url: impl Into<String>, keys: Keys) -> Result<Self, ClientError> {
        Self::with_options(url, keys, &Options::default())
    }

    /// A client with options.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn with_options(url: impl Into<String>, keys: Keys, options: &Options) -> Result<Self, ClientError> {
        let url = url.into();
        let uri = connect::read_url(&url, options)?;
        let tls = connect::tls(&uri, options)?;
        let http = connect::http(&tls, options);
        Ok(Self { url, uri, keys, tls, http, clock: Arc::new(SystemClock), tap: None })
    }

    /// The same client, which also appends every answer and message to `tap`, byte by byte as it came.
    #[must_use]
    pub fn with_tap(self, tap: Tap) -> Self {
        Self { tap: Some(tap), ..self }
    }

    /// The same client, which signs with the time of another clock than the machine's.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Whose requests these are.
    pub fn author(&self) -> NostrKey {
        NostrKey::try_new(self.keys.public_key().to_bytes()).expect("the public half of a key pair is a key")
    }

    /// Runs a query or a mutation and answers its `data`.
    ///
    /// # Errors
    /// [`ClientError`] with the first error's code, also when there is data beside it.
    pub async fn query(&self, query: &str, variables: Value) -> Result<Value, ClientError> {
        let body = json!({ "query": query, "variables": variables }).to_string().into_bytes();
        match self.post(&body).await {
            // It was signed in the second before the node began.
            Err(error) if error.is_before_start() => self.post(&body).await,
            answer => answer,
        }
    }

    /// Signs a mutation once and sends it twice, one after the other, to see that the second changes nothing. Answers
    /// both.
    ///
    /// # Errors
    /// `client.sign`; what the node says is in the two answers.
    pub async fn query_twice(
        &self,
        query: &str,
        variables: Value,
    ) -> Result<[Result<Value, ClientError>; 2], ClientError> {
        let body = json!({ "query": query, "variables": variables }).to_string().into_bytes();
        let authorization = self.authorization("POST", Some(&body))?;
        let first = self.post_signed(&body, &authorization).await;
        Ok([first, self.post_signed(&body, &authorization).await])
    }

    /// Fetches a file that the node serves to everybody, unsigned, of so many bytes at most; `path` begins with a slash.
    /// Nothing if there is none.
    ///
    /// # Errors
    /// `client.file` if the node answers with another status than 200 and 404; else as [`Client::query`].
    pub async fn file(&self, path: &str, bytes_max: usize) -> Result<Option<Vec<u8>>, ClientError> {
        let mut parts = self.uri.clone().into_parts();
        parts.path_and_query = Some(path.parse().map_err(|error| ClientError::new("client.url", error))?);
        let uri = Uri::from_parts(parts).map_err(|error| ClientError::new("client.url", error))?;
        let request = Request::get(uri).body(Outgoing::default());
        let request = request.map_err(|error| ClientError::new("client.url", error))?;
        match self.exchange(request, bytes_max).await? {
            (StatusCode::OK, bytes) => Ok(Some(bytes.to_vec())),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, _) => Err(ClientError::new("client.file", format!("{path}: {status}"))),
        }
    }

    /// The node has not answered in so long.
    pub fn silent(&self, waited: Duration) -> ClientError {
        ClientError::new("client.unreachable", format!("{}: no answer in {} s", self.address(), waited.as_secs()))
    }

    /// The node cannot be reached, or the connection broke: whether the request was heard is unknown. Names the address, and
    /// what lies below: the outer error says little.
    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> ClientError {
        let mut text = format!("{}: {error}", self.address());
        let causes = std::iter::successors(error.source(), |error| error.source()).map(ToString::to_string);
        // Some quote theirs.
        causes.for_each(|cause| text += &if text.ends_with(&cause) { String::new() } else { format!(": {cause}") });
        ClientError::new("client.unreachable", text)
    }

    /// Where the node is, without what may be secret: a user and a password, or what follows the path.
    fn address(&self) -> String {
        let (scheme, host) = (self.uri.scheme_str().unwrap_or_default(), self.uri.host().unwrap_or_default());
        let port = self.uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{scheme}://{host}{port}{}", self.uri.path())
    }

    async fn post(&self, body: &[u8]) -> Result<Value, ClientError> {
        let authorization = self.authorization("POST", Some(body))?;
        self.post_signed(body, &authorization).await
    }

    async fn post_signed(&self, body: &[u8], authorization: &str) -> Result<Value, ClientError> {
        let request = Request::post(self.uri.clone())
            .header(AUTHORIZATION, authorization)
            .header(CONTENT_TYPE, "application/json")
            .body(Outgoing::from(body.to_vec()))
            .map_err(|error| ClientError::new("client.url", error))?;
        let (_, answer) = self.exchange(request, ANSWER_BYTES_MAX).await?;
        self.heard(&answer);
        data_of(serde_json::from_slice(&answer).map_err(ClientError::answer)?)
    }

    async fn exchange(&self, request: Request<Outgoing>, bytes_max: usize) -> Result<(StatusCode, Bytes), ClientError> {
        self.exchange_in(REQUEST_TIMEOUT, request, bytes_max).await
    }

    async fn exchange_in(
        &self,
        limit: Duration,
        request: Request<Outgoing>,
        bytes_max: usize,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let answer = async {
            let response = self.http.request(request).await.map_err(|error| self.unreachable(&error))?;
            let status = response.status();
            match Limited::new(response.into_body(), bytes_max).collect().await {
                Ok(body) => Ok((status, body.to_bytes())),
                // What a failure says at length, nobody reads.
                Err(error) if error.is::<LengthLimitError>() && !status.is_success() => Ok((status, Bytes::new())),
                Err(error) if error.is::<LengthLimitError>() => Err(ClientError::answer("the answer is too long")),
                Err(error) => Err(self.unreachable(&*error)),
            }
        };
        timeout(limit, answer).await.map_err(|late| self.unreachable(&late))?
    }

    fn heard(&self, bytes: &[u8]) {
        if let Some(tap) = &self.tap {
            tap.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        }
    }

    fn authorization(&self, method: &str, body: Option<&[u8]>) -> Result<String, ClientError> {
        self.authorization_for(&self.url, method, body)
    }

    fn authorization_for(&self, url: &str, method: &str, body: Option<&[u8]>) -> Result<String, ClientError> {
        sign::authorization(&self.keys, url, method, body, self.clock.now())
            .map_err(|error| ClientError::new("client.sign", error))
    }
}

/// The data of a GraphQL answer, if there is no error.
fn data_of(mut answer: Value) -> Result<Value, ClientError> {
    match (answer["errors"].get(0), answer.get("data").is_some()) {
        (Some(error), _) => Err(error_of(error)),
        (None, true) => Ok(answer["data"].take()),
        (None, false) => Err(ClientError::answer("the answer is no GraphQL")),
    }
}

fn error_of(error: &Value) -> ClientError {
    let code = error["extensions"]["code"].as_str().unwrap_or("client.answer");
    ClientError::new(code, error["message"].as_str().unwrap_or("an error without a message"))
}
