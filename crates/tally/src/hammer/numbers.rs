//! What a run measures.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Counted while it runs.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    answers: Mutex<Vec<Duration>>,
    refused: Mutex<BTreeMap<String, u64>>,
    /// Requests sent a second time on purpose.
    pub repeats: AtomicU64,
    /// Checkpoints that were new.
    pub checkpoints: AtomicU64,
    /// Entries checked.
    pub entries: AtomicU64,
    /// Facts under the newest checkpoint.
    pub size: AtomicU64,
}

impl Numbers {
    /// A request was answered.
    pub fn answered(&self, took: Duration) {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(took);
    }

    /// The node had no room for a request, or could not be reached.
    pub fn refused(&self, code: &str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(code.to_owned()).or_default() += 1;
    }

    /// How long answers took, so far.
    pub fn answers(&self) -> Vec<Duration> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many answers there are so far.
    pub fn answer_count(&self) -> usize {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// How many requests were refused, by code.
    pub fn refusals(&self) -> BTreeMap<String, u64> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Adds to a counter.
pub(super) fn add(counter: &AtomicU64, more: usize) {
    counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// The time within which so many percent of them were; zero if there are none.
pub(super) fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    let rank = times.len().saturating_mul(percent).div_ceil(100);
    times.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// How many in a second.
pub(super) fn per_second(count: usize, took: Duration) -> u128 {
    let count = u128::try_from(count).unwrap_or(u128::MAX);
    count.saturating_mul(1_000) / took.as_millis().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let mut times: Vec<_> = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut times, 50), Duration::from_millis(100));
        assert_eq!(percentile(&mut times, 99), Duration::from_millis(198));
        assert_eq!(percentile(&mut times[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&mut [], 50), Duration::ZERO);
        assert_eq!(per_second(300, Duration::from_millis(1_500)), 200);
        assert_eq!(per_second(0, Duration::ZERO), 0);
    }
}
