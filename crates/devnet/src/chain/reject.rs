//! Why a transaction or a block is refused, in Bitcoin Core's words.

use std::borrow::Cow;
use std::fmt;

/// What may be done about a refused transaction; a coarse form of Bitcoin Core's `TxValidationResult`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectKind {
    /// It will not get better.
    Final,
    /// An input is unknown: it may be an orphan.
    MissingInputs,
    /// The fee does not suffice: a child may pay for it in a package.
    Reconsiderable,
}

/// A refused transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxReject {
    /// What may be done about it.
    pub kind: RejectKind,
    /// The reject reason, as Bitcoin Core spells it.
    pub reason: Cow<'static, str>,
    /// More about it; may be empty.
    pub details: String,
}

impl TxReject {
    pub(crate) fn new(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { kind: RejectKind::Final, reason: reason.into(), details: String::new() }
    }

    pub(crate) fn with(reason: impl Into<Cow<'static, str>>, details: impl Into<String>) -> Self {
        Self { kind: RejectKind::Final, reason: reason.into(), details: details.into() }
    }

    pub(crate) fn reconsiderable(reason: impl Into<Cow<'static, str>>, details: impl Into<String>) -> Self {
        Self { kind: RejectKind::Reconsiderable, reason: reason.into(), details: details.into() }
    }

    pub(crate) fn missing_inputs() -> Self {
        Self {
            kind: RejectKind::MissingInputs,
            reason: "bad-txns-inputs-missingorspent".into(),
            details: String::new(),
        }
    }
}

impl fmt::Display for TxReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_reject(f, &self.reason, &self.details)
    }
}

/// A refused block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockReject {
    /// The reject reason, as Bitcoin Core spells it (BIP 22).
    pub reason: Cow<'static, str>,
    /// More about it; may be empty.
    pub details: String,
    /// The body may have been changed on the way: another body under the same header may be good.
    pub mutated: bool,
}

impl BlockReject {
    pub(crate) fn new(reason: impl Into<Cow<'static, str>>, details: impl Into<String>) -> Self {
        Self { reason: reason.into(), details: details.into(), mutated: false }
    }

    pub(crate) fn mutated(reason: &'static str, details: &'static str) -> Self {
        Self { reason: reason.into(), details: details.into(), mutated: true }
    }
}

impl fmt::Display for BlockReject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_reject(f, &self.reason, &self.details)
    }
}

fn write_reject(f: &mut fmt::Formatter<'_>, reason: &str, details: &str) -> fmt::Result {
    f.write_str(reason)?;
    if details.is_empty() { Ok(()) } else { write!(f, ", {details}") }
}
