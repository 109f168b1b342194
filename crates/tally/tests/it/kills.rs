//! Random SIGKILLs of the node alone, six escrows in flight each time.

use anyhow::{Context, Result};
use futures::future::try_join_all;
use std::{sync::Arc, time::Duration};
use tokio::sync::Barrier;

use crate::{
    driver::{Driver, End, Gate, GateAt},
    support::{Theatre, assert_conserved},
};

const KILLS: u32 = 50;
const KILLS_VAR: &str = "TALLY_KILLS";
/// From the gate, six escrows take about this long to be funded, or to be decided and settled; the kill comes in it.
const KILL_WITHIN_MILLIS: u64 = 600;

/// What the six escrows of a round are: payouts in sats, and how they end.
const ROUND: [(End, &[u64]); 6] = [
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
    for kill in 1..=kills {
        let before = theatre.stage.purses().await?;
        // All six are in flight together when the kill comes: about to be funded in one round, held in the next.
        let at = if kill % 2 == 0 { GateAt::Held } else { GateAt::Funding };
        let barrier = Arc::new(Barrier::new(ROUND.len() + 1));
        let gate = Gate { barrier: Arc::clone(&barrier), at };
        let six = try_join_all(ROUND.map(|(end, payouts)| {
            let driver = driver.with_gate(gate.clone());
            async move { driver.run(end, payouts).await }
        }));
        let pause = Duration::from_millis(random.below(KILL_WITHIN_MILLIS));
        let platform = &mut theatre.stage.platform;
        let killing = async {
            barrier.wait().await;
            tokio::time::sleep(pause).await;
            platform.kill().await?;
            platform.start(&[]).await
        };
        tokio::try_join!(six, killing)
            .with_context(|| format!("kill {kill} after {pause:?} (seed {})", random.seed))?;
        theatre.stage.until_usable().await?;
        let after = theatre.stage.purses().await?;
        let (paid, earned) = expected();
        assert_conserved(&before, &after, paid, earned);
        assert_eq!(theatre.channels().await?, channels, "kill {kill} closed a channel (seed {})", random.seed);
    }
    println!("{kills} kills, {} escrows, seed {}", kills * 6, random.seed);
    theatre.close().await
}

/// What a round moves, in msat: paid by the requester, earned by the worker. The fee is 1 %, rounded up.
fn expected() -> (u64, u64) {
    let paid_out = ROUND.iter().filter(|(end, _)| *end == End::Paid).flat_map(|(_, payouts)| payouts.iter());
    paid_out.fold((0, 0), |(paid, earned), payout| {
        (paid + (payout + payout.div_ceil(100)) * 1_000, earned + payout * 1_000)
    })
}

/// Marsaglia's xorshift64: when the kills come must be told, and played again.
struct Random {
    seed: u64,
    state: u64,
}

impl Random {
    fn new() -> Self {
        let given = std::env::var("TALLY_SEED").ok().and_then(|text| text.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from(std::process::id()) | (1 << 40));
        Self { seed, state: seed }
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % limit
    }
}
