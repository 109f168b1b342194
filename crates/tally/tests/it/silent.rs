//! Witnesses that are away when a node starts: its channels stay closed, unless its operator wants them open.

use anyhow::{Context, Result, ensure};
use std::fs;
use tally::{
    config::{Config, FILE},
    demo::PASSPHRASE,
    init::lightning_dir,
    restore::log_key,
    store::JOURNAL,
};
use tallystick_store::StoreStatus;

use crate::{mark::refuses, support::Theatre, witness::Home};

const PAYOUT_SAT: u64 = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_stay_closed_while_witnesses_are_silent() -> Result<()> {
    let mut theatre = Box::pin(Theatre::open(&[])).await?;
    theatre.stage.platform.stop().await?;
    let dir = theatre.stage.platform.dir().to_owned();
    let key = log_key(&Config::read(&dir)?, &lightning_dir(&dir), PASSPHRASE)?;
    let home = Home::of("witness.example/w1", key.verifier().name().as_str(), &key.verifier().to_vkey()).await?;
    let witness = home.start("").await?.context("it lives")?;
    let named = format!("[[log.witnesses]]\nurl = \"{}\"\nvkey = \"{}\"\n", witness.prefix, home.vkey.to_vkey());
    let text = fs::read_to_string(dir.join(FILE))?;
    let configure = |goes_on: bool| {
        let start = format!("start_wait_secs = 2\nstart_without_witnesses = {goes_on}\n");
        let text = text.replace("# witnesses_needed = 2\n", &start);
        let text = text.replace("# [[log.witnesses]]\n", &named).replace("# interval_ms = 1000", "interval_ms = 100");
        fs::write(dir.join(FILE), text)
    };
    configure(false)?;
    // Of an empty journal nobody is asked, and of any other whoever is there answers.
    theatre.stage.platform.start(&[]).await?;
    theatre.stage.until_usable().await?;
    theatre.stage.post("One more", &[PAYOUT_SAT], "REFUND").await?;
    let seen = async || Ok(home.size().await? == StoreStatus::of_sqlite(&dir.join(JOURNAL))?.facts);
    theatre.stage.until("the witness has seen it", seen).await?;
    theatre.stage.platform.stop().await?;

    witness.stop().await?;
    let words = ["the channels stay closed, and they are asked again", "start_without_witnesses = true"];
    refuses(&mut theatre.stage.platform, &words).await?;
    configure(true)?;
    theatre.stage.platform.start(&[]).await?;
    theatre.stage.until_usable().await?;
    let said = fs::read_to_string(theatre.stage.platform.log_file())?;
    ensure!(said.contains("the channels are opened although"), "{said}");
    theatre.close().await
}
