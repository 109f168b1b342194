//! How fast the whole house is: decision to settled, and signed mutations per second, on the release binary with fsync.
//!
//! `cargo bench -p tally`. Beside each number stands what the machine itself can do.
#![allow(clippy::print_stdout, reason = "a bench prints what it measured")]

use anyhow::{Context, Result};
use futures::future::try_join_all;
use nostr::key::Keys;
use std::{
    path::Path,
    time::{Duration, Instant},
};
use tally::{
    ask::Api,
    demo::{Stage, task_input},
};
use tallystick_app::port::operator::PaymentStatus;
use tallystick_devnet::RegtestChain;
use tallystick_testkit::machine::{machine, quantiles};

const TASKS: usize = 50;
const PAYOUT_SAT: u64 = 1_000;
const MUTATIONS: usize = 2_000;
const MUTATIONS_PER_KEY: usize = 100;
const CLIENTS: [usize; 3] = [1, 16, 64];

#[tokio::main]
async fn main() -> Result<()> {
    // `cargo test` runs benches too, with this flag: nothing is measured then.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    println!("{}", machine(folder.path()));
    let stage =
        Stage::start(RegtestChain::start().await?, Path::new(env!("CARGO_BIN_EXE_tally")), folder.path(), &[]).await?;
    settle(&stage).await?;
    for clients in CLIENTS {
        mutate(&stage, clients).await?;
    }
    Ok(())
}

/// From sending the approval to the moment at which the payer's wallet has its proof of payment.
async fn settle(stage: &Stage) -> Result<()> {
    let (mut answered, mut settled) = (Vec::new(), Vec::new());
    for number in 0..TASKS {
        let task = stage.post(&format!("Task {number}"), &[PAYOUT_SAT], "REFUND").await?;
        let id = task["id"].as_str().context("a task has an id")?;
        stage.take(id, &[PAYOUT_SAT]).await?;
        let payments = stage.pay(&stage.requester.api.fund(id).await?)?;
        stage.until_state(id, "HELD").await?;
        stage.worker.api.submit(id, 0, &"ab".repeat(32)).await?;
        let start = Instant::now();
        stage.requester.api.approve(id, 0, None).await?;
        answered.push(start.elapsed());
        for payment in payments {
            let payment = payment.await??;
            anyhow::ensure!(payment.status == PaymentStatus::Succeeded, "a payment ended as {:?}", payment.status);
        }
        settled.push(start.elapsed());
    }
    println!("approval answered, {TASKS} tasks one after the other: {}", quantiles(answered));
    println!("decision to payer's HTLC settled, {TASKS} tasks: {}", quantiles(settled));
    Ok(())
}

/// `createTask`, signed, checked and on disk, by several clients at once. Each is a crowd of users, since one user may
/// not ask without end.
async fn mutate(stage: &Stage, clients: usize) -> Result<()> {
    let url = stage.platform.url();
    let start = Instant::now();
    let work = (0..clients).map(|_| async {
        let mut times = Vec::new();
        let mut api = Api::new(&url, Keys::generate())?;
        for number in 0..MUTATIONS / clients {
            if number % MUTATIONS_PER_KEY == 0 {
                api = Api::new(&url, Keys::generate())?;
            }
            let before = Instant::now();
            api.create(task_input(&format!("Mutation {number}"), &[PAYOUT_SAT], "REFUND", None)?).await?;
            times.push(before.elapsed());
        }
        anyhow::Ok(times)
    });
    let times: Vec<Duration> = try_join_all(work).await?.into_iter().flatten().collect();
    let per_second = times.len() * 1_000 / usize::try_from(start.elapsed().as_millis().max(1))?;
    println!("signed mutations, {clients} clients: {per_second}/s, each {}", quantiles(times));
    Ok(())
}
