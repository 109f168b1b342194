//! A log that is damaged while money is held.

use anyhow::{Context, Result};
use rusqlite::Connection;
use tally::{demo::STEP_MAX, store::JOURNAL};

use crate::driver::{Driver, End, Gate, GateAt, code_of};
use crate::support::Theatre;

const PAYOUT_SAT: u64 = 20_000;

/// It publishes nothing more and begins nothing new, and tells so; but whoever's money is held is paid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_keeps_no_money() -> Result<()> {
    let mut theatre = Box::pin(Theatre::open(&[])).await?;
    let gate = Gate::new(GateAt::Held, 2);
    let driver = Driver::new(&theatre.stage).with_gate(gate.clone());
    let platform = &mut theatre.stage.platform;
    let breaking = async {
        tokio::time::timeout(STEP_MAX, gate.barrier.wait()).await.context("the money is held")?;
        platform.stop().await?;
        let journal = Connection::open(platform.dir().join(JOURNAL))?;
        assert!(journal.execute("UPDATE log_tiles SET hashes = zeroblob(length(hashes))", [])? > 0);
        drop(journal);
        platform.start(&[]).await
    };
    tokio::try_join!(Box::pin(driver.run(End::Paid, &[PAYOUT_SAT])), breaking)?;
    let health = theatre.stage.platform.url().replace("/graphql", "/health");
    assert!(reqwest::get(&health).await?.text().await?.contains("\"damaged\""), "the start found it");
    assert_eq!(code_of(theatre.stage.post("One more", &[PAYOUT_SAT], "REFUND").await), "app.damaged");
    theatre.close().await
}
