//! Why facts are refused.

use tallystick_core::{Code, Coded, Timestamp};

/// Facts that no score can be made from. They are the host's mistake, or a forged export.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReputationError {
    /// Not in the journal's order, or twice the same.
    #[error("fact {seq} comes after fact {last}: sort the facts by number, each once")]
    Unsorted {
        /// The fact.
        seq: u64,
        /// The one before it.
        last: u64,
    },
    /// Later than the time that is asked about.
    #[error("fact {seq} is of {at}, later than the time asked about, {now}: leave later facts out")]
    Future {
        /// The fact.
        seq: u64,
        /// Its time.
        at: Timestamp,
        /// The time asked about.
        now: Timestamp,
    },
    /// A fact that cannot be.
    #[error("fact {seq} contradicts itself: {why}")]
    Contradiction {
        /// The fact.
        seq: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Limits that contradict each other.
    #[error("{0}")]
    Limits(&'static str),
    /// Thresholds that contradict each other.
    #[error("{0}")]
    Thresholds(&'static str),
}

impl Coded for ReputationError {
    fn code(&self) -> Code {
        Code(match self {
            Self::Unsorted { .. } => "reputation.unsorted",
            Self::Future { .. } => "reputation.future",
            Self::Contradiction { .. } => "reputation.contradiction",
            Self::Limits(_) => "reputation.limits",
            Self::Thresholds(_) => "reputation.thresholds",
        })
    }
}
