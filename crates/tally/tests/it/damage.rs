//! A journal's file that is damaged while money is held.

use anyhow::{Context, Result, ensure};
use rusqlite::Connection;
use std::{fs, path::Path};
use tally::{demo::STEP_MAX, store::JOURNAL};

use crate::driver::{Driver, End, Gate, GateAt, code_of};
use crate::support::Theatre;

const PAYOUT_SAT: u64 = 20_000;

/// It publishes nothing more and begins nothing new, and tells so; but whoever's money is held is paid.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_log_keeps_no_money() -> Result<()> {
    let mut theatre = Box::pin(Theatre::open(&[])).await?;
    pays_in_spite_of(&mut theatre, |journal| {
        let journal = Connection::open(journal)?;
        ensure!(journal.execute("UPDATE log_tiles SET hashes = zeroblob(length(hashes))", [])? > 0);
        Ok(())
    })
    .await?;
    theatre.close().await
}

/// Old effects that cannot be read keep no node from its money either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_outbox_keeps_no_money() -> Result<()> {
    let mut theatre = Box::pin(Theatre::open(&[])).await?;
    // Enough of them for pages of their own.
    Box::pin(Driver::new(&theatre.stage).run(End::Paid, &[PAYOUT_SAT; 6])).await?;
    pays_in_spite_of(&mut theatre, break_oldest_effects).await?;
    theatre.close().await
}

/// Breaks a journal while money is held, between two lives of the node: it comes up, pays, and begins nothing new.
async fn pays_in_spite_of(theatre: &mut Theatre, damage: fn(&Path) -> Result<()>) -> Result<()> {
    let gate = Gate::new(GateAt::Held, 2);
    let driver = Driver::new(&theatre.stage).with_gate(gate.clone());
    let platform = &mut theatre.stage.platform;
    let breaking = async {
        tokio::time::timeout(STEP_MAX, gate.barrier.wait()).await.context("the money is held")?;
        platform.stop().await?;
        damage(&platform.dir().join(JOURNAL))?;
        platform.start(&[]).await
    };
    tokio::try_join!(Box::pin(driver.run(End::Paid, &[PAYOUT_SAT])), breaking)?;
    let health = theatre.stage.platform.url().replace("/graphql", "/health");
    assert!(reqwest::get(&health).await?.text().await?.contains("\"damaged\""), "the start found it");
    assert_eq!(code_of(theatre.stage.post("One more", &[PAYOUT_SAT], "REFUND").await), "app.damaged");
    Ok(())
}

/// The outbox's first page, which has its oldest effects, says that it is of no kind that there is (SQLite's file format, 1.6).
fn break_oldest_effects(journal: &Path) -> Result<()> {
    let conn = Connection::open(journal)?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    let size: usize = conn.query_row("PRAGMA page_size", [], |row| row.get(0))?;
    let root: usize =
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'outbox'", [], |row| row.get(0))?;
    drop(conn);
    let mut bytes = fs::read(journal)?;
    let root = (root - 1) * size;
    ensure!(bytes[root] == 5, "the table has more than one page");
    let cell = root + usize::from(u16::from_be_bytes([bytes[root + 12], bytes[root + 13]]));
    let leaf = u32::from_be_bytes(bytes[cell..cell + 4].try_into()?);
    bytes[(usize::try_from(leaf)? - 1) * size] ^= 0x40;
    Ok(fs::write(journal, &bytes)?)
}
