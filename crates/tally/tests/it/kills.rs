//! Random SIGKILLs of the node alone, six escrows in flight each time.

use anyhow::{Context, Result};
use futures::future::try_join_all;
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use crate::{
    driver::{Driver, End, Gate, GateAt},
    support::{Theatre, assert_conserved},
};

pub const KILLS: u32 = 50;
pub const KILLS_VAR: &str = "TALLY_KILLS";
/// How long after the gate a kill comes, at most: at the beginning, and how far the harness may go to find escrows in
/// flight on machines that are faster or slower.
const PAUSE_MAX_MILLIS: u64 = 600;
const PAUSE_LIMITS_MILLIS: [u64; 2] = [40, 4_000];

/// What the six escrows of a round are: payouts in sats, and how they end.
pub const ROUND: [(End, &[u64]); 6] = [
    (End::Paid, &[11_000]),
    (End::Paid, &[12_000, 3_000]),
    (End::Paid, &[1_000]),
    (End::Paid, &[25_000]),
    (End::Cancelled, &[14_000]),
    (End::Rejected, &[15_000]),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_kill_closes_a_channel_or_loses_a_millisatoshi() -> Result<()> {
    let kills = std::env::var(KILLS_VAR).ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let mut random = Random::new();
    let mut theatre = Theatre::open(&[]).await?;
    let channels = theatre.channels().await?;
    let driver = Driver::new(&theatre.stage);
    let mut pause_max = [PAUSE_MAX_MILLIS; 2];
    let mut in_flight = Vec::new();
    for kill in 1..=kills {
        let before = theatre.stage.purses().await?;
        // All six are in flight together when the kill comes: about to be funded in one round, held in the next.
        let (at, pause_max) = match kill % 2 {
            0 => (GateAt::Held, &mut pause_max[0]),
            _ => (GateAt::Funding, &mut pause_max[1]),
        };
        let gate = Gate::new(at, ROUND.len() + 1);
        let unfinished = AtomicUsize::new(ROUND.len());
        let six = try_join_all(ROUND.map(|(end, payouts)| {
            let (driver, unfinished) = (driver.with_gate(gate.clone()), &unfinished);
            async move {
                let task = driver.run(end, payouts).await;
                unfinished.fetch_sub(1, Ordering::SeqCst);
                task
            }
        }));
        let pause = Duration::from_millis(random.below(*pause_max));
        let platform = &mut theatre.stage.platform;
        let killing = async {
            gate.barrier.wait().await;
            tokio::time::sleep(pause).await;
            let in_flight = unfinished.load(Ordering::SeqCst);
            platform.kill().await?;
            platform.start(&[]).await?;
            Ok(in_flight)
        };
        let (_, seen) = tokio::try_join!(six, killing)
            .with_context(|| format!("kill {kill} after {pause:?} (seed {})", random.seed))?;
        *pause_max = next_pause_max(*pause_max, seen);
        in_flight.push(seen);
        theatre.stage.until_usable().await?;
        let after = theatre.stage.purses().await?;
        let (paid, earned) = expected();
        assert_conserved(&before, &after, paid, earned);
        assert_eq!(theatre.channels().await?, channels, "kill {kill} closed a channel (seed {})", random.seed);
    }
    println!("{kills} kills, {} escrows, seed {}; in flight at each: {in_flight:?}", kills * 6, random.seed);
    let idle = in_flight.iter().filter(|seen| **seen == 0).count();
    assert!(idle * 5 <= in_flight.len(), "nothing was in flight at {idle} of {kills} kills: {in_flight:?}");
    theatre.close().await
}

/// Earlier when everything was over, later when nothing was.
fn next_pause_max(millis: u64, in_flight: usize) -> u64 {
    let next = match in_flight {
        0 => millis / 2,
        seen if seen == ROUND.len() => millis + millis / 8,
        _ => millis,
    };
    next.clamp(PAUSE_LIMITS_MILLIS[0], PAUSE_LIMITS_MILLIS[1])
}

/// What a round moves, in msat: paid by the requester, earned by the worker. The fee is 1 %, rounded up.
pub fn expected() -> (u64, u64) {
    let paid_out = ROUND.iter().filter(|(end, _)| *end == End::Paid).flat_map(|(_, payouts)| payouts.iter());
    paid_out.fold((0, 0), |(paid, earned), payout| {
        (paid + (payout + payout.div_ceil(100)) * 1_000, earned + payout * 1_000)
    })
}

/// Marsaglia's xorshift64: when the kills come must be told, and played again.
pub struct Random {
    pub seed: u64,
    state: u64,
}

impl Random {
    pub fn new() -> Self {
        let given = std::env::var("TALLY_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()) | (1 << 40));
        Self::of(seed)
    }

    /// A seed of 0 would stay 0 for ever.
    pub const fn of(seed: u64) -> Self {
        Self { seed, state: if seed == 0 { 1 } else { seed } }
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % limit
    }
}
