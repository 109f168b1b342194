//! What can go wrong: a request that is refused, and a state that nothing can be built on.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use std::io;
use tallystick_core::{Code, Coded};
use tallystick_log::{LogError, REQUEST_BYTES_MAX, witness::print_size};

/// The type of a body that tells a size (C2SP tlog-witness).
const SIZE_TYPE: HeaderValue = HeaderValue::from_static("text/x.tlog.size");
const TEXT_TYPE: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Why a request is not answered with a cosignature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The body is no request, or its old size is above the checkpoint's.
    #[error("this is no add-checkpoint request: {0}")]
    BadRequest(LogError),
    /// The body is longer than any request.
    #[error("a request has {REQUEST_BYTES_MAX} bytes at most")]
    TooLarge,
    /// The body did not come in time.
    #[error("the request took too long")]
    Timeout,
    /// No log of this origin is cosigned here.
    #[error("this witness does not know the log")]
    UnknownLog,
    /// No trusted key of the log signed the checkpoint.
    #[error("the checkpoint is not signed by a key of the log that this witness trusts")]
    NotSigned,
    /// The request starts from another size than was last cosigned.
    #[error("the checkpoint that was last cosigned has {known} leaves")]
    OldSize {
        /// Leaves in the tree that was last cosigned; 0 if none was.
        known: u64,
    },
    /// The log signed another tree of the size that was last cosigned.
    #[error("another tree of {size} leaves was cosigned: the log shows two histories")]
    TwoHistories {
        /// Leaves in both trees.
        size: u64,
    },
    /// The proof does not lead from the tree that was last cosigned to this one.
    #[error("the consistency proof does not verify: {0}")]
    NotConsistent(LogError),
    /// A write failed. Nothing is cosigned for this log until the witness is started again.
    #[error("the witness cannot write its record; its operator must look after it")]
    Stopped,
}

impl Refusal {
    /// The HTTP status, as C2SP tlog-witness has it.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::REQUEST_TIMEOUT,
            Self::UnknownLog => StatusCode::NOT_FOUND,
            Self::NotSigned => StatusCode::FORBIDDEN,
            Self::OldSize { .. } | Self::TwoHistories { .. } => StatusCode::CONFLICT,
            Self::NotConsistent(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Stopped => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Coded for Refusal {
    fn code(&self) -> Code {
        match self {
            Self::BadRequest(_) => Code("witness.bad_request"),
            Self::TooLarge => Code("witness.too_large"),
            Self::Timeout => Code("witness.timeout"),
            Self::UnknownLog => Code("witness.unknown_log"),
            Self::NotSigned => Code("witness.not_signed"),
            Self::OldSize { .. } => Code("witness.old_size"),
            Self::TwoHistories { .. } => Code("witness.two_histories"),
            Self::NotConsistent(_) => Code("witness.not_consistent"),
            Self::Stopped => Code("witness.stopped"),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            // The standard's own body: a number, for programs.
            Self::OldSize { known } => {
                (self.status(), [(header::CONTENT_TYPE, SIZE_TYPE)], print_size(known)).into_response()
            }
            _ => {
                let body = format!("{}: {self}\n", self.code());
                (self.status(), [(header::CONTENT_TYPE, TEXT_TYPE)], body).into_response()
            }
        }
    }
}

/// Why a witness does not start, or cannot tell its state.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A file cannot be read or written.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Another process has the directory.
    #[error("{0} is in use by another process; stop it first")]
    Locked(String),
    /// A log is configured, and there is no record of it.
    #[error(
        "there is no record of what was cosigned for {0}: somebody removed it, or put the log into witness.toml by hand. \
         Bring it back from where it went; beginning anew lets the log show another history. If it never was cosigned \
         here, or you want that, `tally witness add-log --begin-anew` does it"
    )]
    Missing(String),
    /// A record is not as this witness wrote it.
    #[error("the record of {origin} is damaged or not this witness's ({why}); do not go on without knowing why")]
    Damaged {
        /// The log.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
    /// A log, or the witness's own key, that makes no sense.
    #[error("{0}")]
    Config(String),
}

impl StateError {
    /// Puts what was tried beside what the system says.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

impl Coded for StateError {
    fn code(&self) -> Code {
        match self {
            Self::Io { .. } => Code("witness.io"),
            Self::Locked(_) => Code("witness.locked"),
            Self::Missing(_) => Code("witness.no_record"),
            Self::Damaged { .. } => Code("witness.damaged"),
            Self::Config(_) => Code("witness.config"),
        }
    }
}
