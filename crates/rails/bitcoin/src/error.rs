//! What can go wrong between us and Bitcoin Core.

use tallystick_core::{Code, Coded};

/// A failed request. No variant holds a credential or the address.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RpcError {
    /// The client cannot be built from this configuration.
    #[error("the Bitcoin RPC configuration is not usable: {0}")]
    Config(&'static str),
    /// No answer came: refused, reset or too slow. The request may have been executed nevertheless.
    #[error("Bitcoin Core did not answer: {0}")]
    Transport(#[source] reqwest::Error),
    /// Bitcoin Core refused the credentials (HTTP 401 or 403), or the cookie file cannot be read.
    #[error("Bitcoin Core refused the login: {0}")]
    Auth(String),
    /// An HTTP status without a JSON-RPC answer, such as 503 when its work queue is full.
    #[error("Bitcoin Core answered HTTP {0} without a JSON-RPC body")]
    Http(u16),
    /// Bitcoin Core's own error.
    #[error("Bitcoin Core: {message} ({code})")]
    Rpc {
        /// The number from Bitcoin Core's `rpc/protocol.h`.
        code: i64,
        /// Its message; for a refused transaction the reject reason.
        message: String,
    },
    /// The answer is longer than the limit.
    #[error("the answer is longer than {limit_bytes} bytes")]
    TooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The answer is not what the method promises.
    #[error("the answer to {method} cannot be read: {reason}")]
    Decode {
        /// The RPC method.
        method: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// `RPC_MISC_ERROR` and the others that callers branch on, from Bitcoin Core's `rpc/protocol.h`.
mod number {
    pub(super) const INVALID_ADDRESS_OR_KEY: i64 = -5;
    pub(super) const INVALID_PARAMETER: i64 = -8;
    pub(super) const VERIFY_ERROR: i64 = -25;
    pub(super) const VERIFY_REJECTED: i64 = -26;
    pub(super) const VERIFY_ALREADY_IN_UTXO_SET: i64 = -27;
    pub(super) const IN_WARMUP: i64 = -28;
    pub(super) const METHOD_NOT_FOUND: i64 = -32601;
}

impl RpcError {
    /// The number of Bitcoin Core's own error.
    #[must_use]
    pub fn rpc_code(&self) -> Option<i64> {
        match self {
            Self::Rpc { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The block or transaction is unknown (-5).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.rpc_code() == Some(number::INVALID_ADDRESS_OR_KEY)
    }

    /// A parameter is out of range (-8), such as a height above the tip.
    #[must_use]
    pub fn is_invalid_parameter(&self) -> bool {
        self.rpc_code() == Some(number::INVALID_PARAMETER)
    }

    /// The inputs of the transaction are unknown or spent (-25), or a fee is above the caller's limit (-25 too).
    #[must_use]
    pub fn is_missing_inputs(&self) -> bool {
        matches!(self, Self::Rpc { code: number::VERIFY_ERROR, message } if message.contains("missingorspent"))
    }

    /// The network's rules or the mempool's refuse the transaction or block (-26).
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.rpc_code() == Some(number::VERIFY_REJECTED)
    }

    /// The transaction is in the chain already (-27): for a broadcast that is a success.
    #[must_use]
    pub fn is_already_in_chain(&self) -> bool {
        self.rpc_code() == Some(number::VERIFY_ALREADY_IN_UTXO_SET)
    }

    /// Bitcoin Core is still starting (-28): ask again later.
    #[must_use]
    pub fn is_warming_up(&self) -> bool {
        self.rpc_code() == Some(number::IN_WARMUP)
    }

    /// Bitcoin Core does not have this method (-32601).
    #[must_use]
    pub fn is_method_not_found(&self) -> bool {
        self.rpc_code() == Some(number::METHOD_NOT_FOUND)
    }

    /// Asking again later may help: nothing says that the request itself is wrong.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transport(_) | Self::Http(_) | Self::Auth(_)) || self.is_warming_up()
    }

    pub(crate) fn decode(method: &str, reason: impl ToString) -> Self {
        Self::Decode { method: method.to_owned(), reason: reason.to_string() }
    }
}

impl Coded for RpcError {
    fn code(&self) -> Code {
        Code(match self {
            Self::Config(_) => "bitcoin.rpc_config",
            Self::Transport(_) => "bitcoin.rpc_transport",
            Self::Auth(_) => "bitcoin.rpc_auth",
            Self::Http(_) => "bitcoin.rpc_http",
            Self::Rpc { .. } => "bitcoin.rpc_error",
            Self::TooLarge { .. } => "bitcoin.rpc_too_large",
            Self::Decode { .. } => "bitcoin.rpc_decode",
        })
    }
}
