//! What requester and worker agree on.

use borsh::{BorshDeserialize, BorshSerialize};
use serde::{Deserialize, Serialize};
use tallystick_core::{Blocks, Code, Coded, Digest32, Duration, Sat, Timestamp};

use crate::Policy;

/// The longest title, in bytes of UTF-8.
const TITLE_BYTES_MAX: usize = 200;
/// The shortest review window: nobody can look at work in less.
const REVIEW_WINDOW_MIN: Duration = Duration::from_secs(1);

/// What happens when the requester neither approves nor rejects in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnSilence {
    /// The worker is paid.
    Release,
    /// The requester gets the money back.
    Refund,
}

/// The terms of a task, as its requester wrote them.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Terms {
    /// What it is about, in one line.
    pub title: String,
    /// SHA-256 of the full description, which the parties keep.
    pub description_hash: Digest32,
    /// What the worker gets, tranche by tranche.
    pub payouts: Vec<Sat>,
    /// Until when work must be submitted.
    pub work_deadline: Timestamp,
    /// How long the requester may look at it.
    pub review_window: Duration,
    /// What happens when the requester says nothing in that time.
    pub on_silence: OnSilence,
    /// For how many blocks the hold must be usable; work and review decide if it is absent.
    pub hold_blocks: Option<Blocks>,
}

/// Why terms are refused. Each carries the limit that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TermsError {
    /// The title is empty, too long, or has control characters.
    #[error("the title must have 1 to {TITLE_BYTES_MAX} bytes and no control characters")]
    Title,
    /// No tranche, or too many.
    #[error("a task has 1 to {limit} tranches, not {count}")]
    Tranches {
        /// How many were asked for.
        count: usize,
        /// How many are allowed.
        limit: u32,
    },
    /// A payout that this node does not do.
    #[error("a payout of {payout} is outside of {min} to {max}")]
    Payout {
        /// The payout asked for.
        payout: Sat,
        /// The smallest.
        min: Sat,
        /// The largest.
        max: Sat,
    },
    /// The work deadline is not in the future.
    #[error("the work deadline ({deadline}) must be later than now ({now})")]
    DeadlinePast {
        /// The deadline asked for.
        deadline: Timestamp,
        /// The time of the request.
        now: Timestamp,
    },
    /// The review window is too short or too long.
    #[error("the review window must be {min} to {max}, not {window}")]
    ReviewWindow {
        /// The window asked for.
        window: Duration,
        /// The shortest.
        min: Duration,
        /// The longest.
        max: Duration,
    },
}

impl Coded for TermsError {
    fn code(&self) -> Code {
        match self {
            Self::Title => Code("terms.title"),
            Self::Tranches { .. } => Code("terms.tranches"),
            Self::Payout { .. } => Code("terms.payout"),
            Self::DeadlinePast { .. } => Code("terms.deadline_past"),
            Self::ReviewWindow { .. } => Code("terms.review_window"),
        }
    }
}

impl Terms {
    /// Checks the terms against a node's policy.
    ///
    /// # Errors
    /// [`TermsError`] names the first term that does not fit, and the limit.
    pub fn check(&self, policy: &Policy, now: Timestamp) -> Result<(), TermsError> {
        let title_fits = !self.title.trim().is_empty() && self.title.len() <= TITLE_BYTES_MAX;
        if !title_fits || self.title.chars().any(char::is_control) {
            return Err(TermsError::Title);
        }
        let count = self.payouts.len();
        if count == 0 || u32::try_from(count).map_or(true, |count| count > policy.tranches_max) {
            return Err(TermsError::Tranches { count, limit: policy.tranches_max });
        }
        let (min, max) = (policy.payout_min, policy.payout_max);
        if let Some(&payout) = self.payouts.iter().find(|payout| !(min..=max).contains(payout)) {
            return Err(TermsError::Payout { payout, min, max });
        }
        if self.work_deadline <= now {
            return Err(TermsError::DeadlinePast { deadline: self.work_deadline, now });
        }
        let (min, max) = (REVIEW_WINDOW_MIN, policy.review_window_max);
        if !(min..=max).contains(&self.review_window) {
            return Err(TermsError::ReviewWindow { window: self.review_window, min, max });
        }
        Ok(())
    }
}
