//! Errors with the numbers of Bitcoin Core's `rpc/protocol.h`.

use serde_json::{Value, json};

pub(super) const MISC: i64 = -1;
pub(super) const TYPE: i64 = -3;
pub(super) const INVALID_ADDRESS_OR_KEY: i64 = -5;
pub(super) const INVALID_PARAMETER: i64 = -8;
pub(super) const DESERIALIZATION: i64 = -22;
pub(super) const VERIFY: i64 = -25;
pub(super) const VERIFY_REJECTED: i64 = -26;
pub(super) const VERIFY_ALREADY_IN_UTXO_SET: i64 = -27;
pub(super) const INVALID_REQUEST: i64 = -32600;
pub(super) const METHOD_NOT_FOUND: i64 = -32601;
pub(super) const PARSE: i64 = -32700;

/// A failed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(super) code: i64,
    pub(super) message: String,
}

impl Failure {
    pub(super) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "code": self.code, "message": self.message })
    }
}

pub(super) type Outcome = Result<Value, Failure>;
