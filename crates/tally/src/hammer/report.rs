//! What a run found.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{
    ledger::Step,
    numbers::{per_second, percentile},
    run::Run,
};

/// What a run without a violation measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// Requests that were answered, without those that were sent again on purpose.
    pub answered: usize,
    /// For how long tasks were posted.
    pub took: Duration,
    /// Half of the answers took no longer.
    pub answer_p50: Duration,
    /// 99 of 100 answers took no longer.
    pub answer_p99: Duration,
    /// Requests that the node had no room for or that did not reach it, by code; each was sent again.
    pub refused: Vec<(String, u64)>,
    /// Requests that were sent again on purpose, and changed nothing.
    pub repeated: u64,
    /// Tasks posted.
    pub posted: usize,
    /// Tasks cancelled.
    pub cancelled: usize,
    /// Entries of the log that were checked.
    pub entries: u64,
    /// Checkpoints that were checked, each against the one before.
    pub checkpoints: u64,
    /// Facts under the last of them.
    pub size: u64,
    /// Half of what was acknowledged was published within this time after the reply.
    pub lag_p50: Duration,
    /// 99 of 100 changes were.
    pub lag_p99: Duration,
    /// Facts whose proofs were verified.
    pub proven: usize,
}

impl Report {
    pub(super) fn new(run: &Run, took: Duration, proven: usize) -> Self {
        let (mut answers, mut lags) = (run.numbers.answers(), run.ledger.lags());
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Self {
            answered: answers.len(),
            took,
            answer_p50: percentile(&mut answers, 50),
            answer_p99: percentile(&mut answers, 99),
            refused: run.numbers.refusals().into_iter().collect(),
            repeated: read(&run.numbers.repeats),
            posted: run.ledger.count(Step::Created),
            cancelled: run.ledger.count(Step::Cancelled),
            entries: read(&run.numbers.entries),
            checkpoints: read(&run.numbers.checkpoints),
            size: read(&run.numbers.size),
            lag_p50: percentile(&mut lags, 50),
            lag_p99: percentile(&mut lags, 99),
            proven,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = per_second(self.answered, self.took);
        let millis = |time: Duration| format!("{}.{} ms", time.as_micros() / 1_000, time.as_micros() % 1_000 / 100);
        writeln!(f, "requests     {} answered in {} ms: {rate}/s", self.answered, self.took.as_millis())?;
        writeln!(f, "answers      p50 {}, p99 {}", millis(self.answer_p50), millis(self.answer_p99))?;
        let refused: u64 = self.refused.iter().map(|(_, count)| count).sum();
        let codes = self.refused.iter().map(|(code, count)| format!("{count} {code}")).collect::<Vec<_>>();
        let codes = if codes.is_empty() { String::new() } else { format!(": {}", codes.join(", ")) };
        writeln!(f, "refused      {refused}{codes}")?;
        writeln!(f, "sent twice   {}, and nothing changed twice", self.repeated)?;
        writeln!(f, "tasks        {} posted, {} of them cancelled", self.posted, self.cancelled)?;
        writeln!(
            f,
            "log          {} entries checked under {} checkpoints, the last of {} facts",
            self.entries, self.checkpoints, self.size
        )?;
        writeln!(
            f,
            "log lag      p50 {}, p99 {} from reply to published checkpoint",
            millis(self.lag_p50),
            millis(self.lag_p99)
        )?;
        write!(f, "proofs       {} facts\nno violation", self.proven)
    }
}
