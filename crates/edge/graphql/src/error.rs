//! Errors as clients see them: a stable code, a sentence, and an HTTP status for those that come before GraphQL.

use async_graphql::{ErrorExtensionValues, ErrorExtensions, ServerError};
use axum::http::StatusCode;
use tallystick_app::{
    AppError,
    log::TreeError,
    port::{journal::StoreError, rail::RailError},
    vault::VaultError,
};
use tallystick_core::{Code, Coded};

/// The longest message that is sent: those of the GraphQL library quote the query.
const MESSAGE_CHARS_MAX: usize = 400;
/// What the GraphQL library says of a query above the schema's complexity. It has no code of its own.
const TOO_COMPLEX_FOR_LIBRARY: &str = "Query is too complex.";

/// Why the edge itself refuses a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EdgeError {
    /// No authorization.
    #[error("sign the request: header `Authorization: Nostr <base64 of a kind 27235 event>` (NIP-98)")]
    AuthMissing,
    /// No NIP-98 event.
    #[error("the authorization is no NIP-98 event: {0}")]
    AuthMalformed(&'static str),
    /// The event's id or signature does not fit.
    #[error("the event's id or signature does not match its content")]
    BadSignature,
    /// Signed for another address.
    #[error("the tag `u` names another URL than this endpoint's public one")]
    WrongUrl,
    /// Signed for another method.
    #[error("the tag `method` names another method than the request's")]
    WrongMethod,
    /// Signed for another body.
    #[error("the tag `payload` must be the SHA-256 of the body")]
    WrongPayload,
    /// Signed too long ago, or in the future.
    #[error("the event was signed too long ago or in the future; check the clock and sign anew")]
    Expired,
    /// Used before.
    #[error("this signed request was used before; sign a new one")]
    Replayed,
    /// A read that was signed before this process began.
    #[error("the node started after this was signed; sign again")]
    BeforeStart,
    /// The body is too long.
    #[error("the request's body is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// An upload that does not tell its length.
    #[error("tell the length of what you upload: header `Content-Length`")]
    LengthRequired,
    /// The body is no GraphQL request.
    #[error("the body must be one JSON object with `query`, and if wanted `variables` and `operationName`: {0}")]
    BadJson(String),
    /// GraphQL extensions.
    #[error("`extensions` are not taken; leave them out or empty")]
    Extensions,
    /// Several requests in one.
    #[error("send one request at a time: each needs a signature of its own")]
    Batch,
    /// More than one mutation.
    #[error("a signed request does one thing: put one field into the mutation")]
    OneMutation,
    /// A subscription in a POST request.
    #[error("subscriptions need a WebSocket (graphql-transport-ws)")]
    NeedsWebsocket,
    /// Anything else than a subscription on a WebSocket.
    #[error("only subscriptions go over the WebSocket; send queries and mutations by POST, signed")]
    OnlySubscriptions,
    /// Too many subscriptions.
    #[error("this connection has {limit} subscriptions already")]
    TooManySubscriptions {
        /// The limit.
        limit: usize,
    },
    /// Too much that was refused.
    #[error("{limit} subscriptions of this connection were refused; mend them, then open a new one")]
    TooManyRefused {
        /// The limit.
        limit: usize,
    },
    /// A subscription whose id is too long.
    #[error("a subscription's id has {limit} bytes at most")]
    LongSubscriptionId {
        /// The limit in bytes.
        limit: usize,
    },
    /// A subscription under the id of another.
    #[error("a subscription with this id runs already on this connection")]
    DuplicateSubscription,
    /// Updates were lost on the way to a subscriber.
    #[error("updates came faster than you read them and some were left out; read the tasks again")]
    Lagged,
    /// Too much to do.
    #[error("the node has too much to do; try again in a moment")]
    Busy,
    /// One key has too much under way.
    #[error("this key has its share under way ({limit}); wait for answers, or a minute, and try again")]
    TooMany {
        /// How many it has.
        limit: usize,
    },
    /// One key, or one address, asks too often.
    #[error("too many requests from {whom}; ask again in {retry_secs} s")]
    TooOften {
        /// A key, or an address.
        whom: &'static str,
        /// When there is room for one more, in seconds.
        retry_secs: u64,
    },
    /// It took too long.
    #[error("no answer in time; what was asked may still happen: read the task before you ask again")]
    Timeout,
    /// Nothing there.
    #[error("there is nothing at this address; the API is at /graphql")]
    NoSuchPage,
    /// Parts of an award that are none.
    #[error("`toWorker` names positions of disputed tranches, from 0 to 63, each once")]
    BadAward,
    /// A vote that takes other bonds than it names.
    #[error("the vote takes other bonds than `takeBonds` names; a worker's bond is taken by a vote without its part")]
    BondsUnnamed,
    /// A cursor that is none of ours.
    #[error("`after` must be an `endCursor` of an earlier page")]
    BadCursor,
    /// An id from the future.
    #[error("the id's time is in the future; make a new UUIDv7 with the right time")]
    IdFromFuture,
    /// An id from long ago.
    #[error("the id's time is more than an hour ago; make a new UUIDv7")]
    IdTooOld,
    /// A fault of the edge.
    #[error("something went wrong inside the node; it has been logged")]
    Internal,
    /// No GraphQL document.
    #[error("{0}")]
    Syntax(String),
    /// A document that does not fit the schema.
    #[error("{0}")]
    Invalid(String),
    /// Nested too deeply.
    #[error("the query is nested too deeply, {limit} levels are the limit")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// Asks for too much.
    #[error("the query asks for too much at once; ask for fewer fields or smaller pages (limit {limit})")]
    TooComplex {
        /// The limit.
        limit: usize,
    },
}

impl Coded for EdgeError {
    fn code(&self) -> Code {
        Code(match self {
            Self::AuthMissing => "auth.missing",
            Self::AuthMalformed(_) => "auth.malformed",
            Self::BadSignature => "auth.bad_signature",
            Self::WrongUrl => "auth.wrong_url",
            Self::WrongMethod => "auth.wrong_method",
            Self::WrongPayload => "auth.wrong_payload",
            Self::Expired => "auth.expired",
            Self::Replayed => "auth.replayed",
            Self::BeforeStart => "auth.before_start",
            Self::TooLarge { .. } => "request.too_large",
            Self::LengthRequired => "request.length_required",
            Self::BadJson(_) => "request.bad_json",
            Self::Extensions => "request.extensions",
            Self::Batch => "request.batch",
            Self::OneMutation => "request.one_mutation",
            Self::NeedsWebsocket => "request.needs_websocket",
            Self::OnlySubscriptions => "request.only_subscriptions",
            Self::TooManySubscriptions { .. } => "request.too_many_subscriptions",
            Self::TooManyRefused { .. } => "request.too_many_refused",
            Self::LongSubscriptionId { .. } => "request.long_subscription_id",
            Self::DuplicateSubscription => "request.duplicate_subscription",
            Self::Lagged => "request.lagged",
            Self::Busy => "request.busy",
            Self::TooMany { .. } => "request.too_many",
            Self::TooOften { .. } => "request.too_often",
            Self::Timeout => "request.timeout",
            Self::NoSuchPage => "request.no_such_page",
            Self::BadAward => "request.bad_award",
            Self::BondsUnnamed => "request.bonds_unnamed",
            Self::BadCursor => "request.bad_cursor",
            Self::IdFromFuture => "request.id_from_future",
            Self::IdTooOld => "request.id_too_old",
            Self::Internal => "request.internal",
            Self::Syntax(_) => "graphql.syntax",
            Self::Invalid(_) => "graphql.invalid",
            Self::TooDeep { .. } => "graphql.too_deep",
            Self::TooComplex { .. } => "graphql.too_complex",
        })
    }
}

impl EdgeError {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Self::NoSuchPage => StatusCode::NOT_FOUND,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooMany { .. } | Self::TooOften { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            other if other.code().0.starts_with("auth.") => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// In how many seconds it is worth asking again (RFC 9110, section 10.2.3), if that is known.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        match self {
            Self::TooOften { retry_secs, .. } => Some(*retry_secs),
            Self::TooMany { .. } | Self::Busy => Some(1),
            _ => None,
        }
    }

    /// The error as it stands in an answer.
    pub(crate) fn to_server_error(&self) -> ServerError {
        let mut error = ServerError::new(shortened(self.to_string()), None);
        set_code(&mut error, self.code());
        error
    }
}

/// Gives every error that the GraphQL library itself made a code, and shortens what quotes the query.
pub(crate) fn complete(errors: &mut [ServerError], complexity_max: usize) {
    for error in errors {
        if error.extensions.is_none() && error.message == TOO_COMPLEX_FOR_LIBRARY {
            *error = EdgeError::TooComplex { limit: complexity_max }.to_server_error();
        }
        if error.extensions.as_ref().is_none_or(|values| values.get("code").is_none()) {
            set_code(error, EdgeError::Invalid(String::new()).code());
        }
        error.message = shortened(std::mem::take(&mut error.message));
    }
}

fn set_code(error: &mut ServerError, code: Code) {
    error.extensions.get_or_insert_with(ErrorExtensionValues::default).set("code", code.0);
}

fn shortened(message: String) -> String {
    match message.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    }
}

/// An error inside a GraphQL answer, or of an upload or download.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    code: Code,
    sentence: String,
}

impl Failure {
    /// The error as it stands in an answer.
    pub(crate) fn to_server_error(&self) -> ServerError {
        let mut error = ServerError::new(shortened(self.sentence.clone()), None);
        set_code(&mut error, self.code);
        error
    }
}

impl From<Failure> for async_graphql::Error {
    fn from(failure: Failure) -> Self {
        Self::new(shortened(failure.sentence)).extend_with(|_, values| values.set("code", failure.code.0))
    }
}

impl From<EdgeError> for Failure {
    fn from(error: EdgeError) -> Self {
        Self { code: error.code(), sentence: error.to_string() }
    }
}

impl From<AppError> for Failure {
    /// What the rules refuse is told as it is. What broke inside is logged, and told in general words.
    fn from(error: AppError) -> Self {
        let code = error.code();
        let sentence = match &error {
            AppError::Store(inner) => {
                tracing::error!(%code, "the store failed a request: {inner}");
                match inner {
                    StoreError::ErasingWaits(_) => {
                        "the task is erased and that is recorded; its bytes leave the node's files once whoever reads them, \
                         such as a check or a backup, has ended: give the same command again then"
                    }
                    StoreError::Limit(_) => "this is more than the node stores",
                    _ => "the node's store does not answer; read the task before you ask again",
                }
                .to_owned()
            }
            AppError::Rail(inner) => {
                tracing::error!(%code, "the Lightning node failed a request: {inner}");
                "the Lightning node cannot do this now; try again in a moment".to_owned()
            }
            told => told.to_string(),
        };
        Self { code, sentence }
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Self {
        match error {
            VaultError::App(error) => error.into(),
            told => Self { code: told.code(), sentence: told.to_string() },
        }
    }
}

impl From<TreeError> for Failure {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::Store(error) => AppError::Store(error).into(),
            other => {
                let code = other.code();
                tracing::error!(%code, "the log failed a request: {other}");
                Self { code, sentence: "the node's log does not answer; try again later".to_owned() }
            }
        }
    }
}

impl From<RailError> for Failure {
    /// Only operators talk to the Lightning node itself: they see what it says.
    fn from(error: RailError) -> Self {
        Self { code: error.code(), sentence: error.to_string() }
    }
}

/// Every code that the edge adds to those of the app, with its sentence.
pub fn codes() -> Vec<(Code, String)> {
    use EdgeError as E;
    let errors = [
        E::AuthMissing,
        E::AuthMalformed("…"),
        E::BadSignature,
        E::WrongUrl,
        E::WrongMethod,
        E::WrongPayload,
        E::Expired,
        E::Replayed,
        E::BeforeStart,
        E::TooLarge { limit: 8_192 },
        E::LengthRequired,
        E::BadJson("…".into()),
        E::Extensions,
        E::Batch,
        E::OneMutation,
        E::NeedsWebsocket,
        E::OnlySubscriptions,
        E::TooManySubscriptions { limit: 16 },
        E::TooManyRefused { limit: 32 },
        E::LongSubscriptionId { limit: 128 },
        E::DuplicateSubscription,
        E::Lagged,
        E::Busy,
        E::TooMany { limit: 256 },
        E::TooOften { whom: "this key", retry_secs: 1 },
        E::Timeout,
        E::NoSuchPage,
        E::BadAward,
        E::BondsUnnamed,
        E::BadCursor,
        E::IdFromFuture,
        E::IdTooOld,
        E::Internal,
        E::Syntax("what the parser says".into()),
        E::Invalid("what the schema's checks say".into()),
        E::TooDeep { limit: 15 },
        E::TooComplex { limit: 12_000 },
    ];
    errors.iter().map(|error| (error.code(), error.to_string())).collect()
}
