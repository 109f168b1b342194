//! No secret outside of the Lightning node's own store: not in the journal, not in logs, not in replies.

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::StreamExt;
use memchr::memmem;
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use tally::{
    ask::{Api, documents},
    demo::{LOOK, PASSPHRASE, Stage},
    init,
};
use tallystick_app::port::operator::{NodeOperator, PaymentStatus};
use tallystick_core::{Msat, Sat};
use tallystick_graphql::client::Tap;
use tallystick_lightning::LightningNode;

use crate::support::Theatre;

const WAIT: tallystick_core::Duration = tallystick_core::Duration::from_secs(30);
/// Files that hold a secret because we have put it there for the node to read.
const GIVEN_TO_THE_NODE: [&str; 2] = ["passphrase", "cookie"];

/// Something that must not be found, under the name that a failure tells.
struct Secret {
    name: String,
    needles: Vec<Vec<u8>>,
}

impl Secret {
    /// Raw, hexadecimal, and base64 in both alphabets wherever it may begin.
    fn of_bytes(name: impl Into<String>, bytes: &[u8]) -> Self {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut needles = vec![bytes.to_vec(), hex.clone().into_bytes(), hex.to_uppercase().into_bytes()];
        for before in 0..3 {
            // Inside of a longer text its first and last digits hang on its neighbours: they are left out.
            let padded = [vec![0; before], bytes.to_vec()].concat();
            for text in [STANDARD_NO_PAD.encode(&padded), URL_SAFE_NO_PAD.encode(&padded)] {
                let digits = (before * 8).div_ceil(6)..padded.len() * 8 / 6;
                needles.push(text.as_bytes()[digits].to_vec());
            }
        }
        Self { name: name.into(), needles }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_found_anywhere() -> Result<()> {
    // Everything that the node can log, for the whole run.
    let mut theatre = Theatre::open(&[("TALLY_LOG", "trace".to_owned())]).await?;
    let tap = Tap::default();
    theatre.stage.tap(&tap);
    let listening = tokio::spawn(listen(theatre.stage.requester.api.clone()));
    let mut teller = theatre.teller();
    teller.paid_out().await?;
    teller.cancelled().await?;
    teller.killed().await?;
    teller.worker_offline().await?;
    teller.deadline().await?;
    let stage = &theatre.stage;
    pay_the_node(stage).await?;
    ask_for_everything(stage).await;
    pay_what_was_not_paid(stage).await?;
    let secrets = secrets(stage).await?;
    let dir = stage.platform.dir().to_owned();
    theatre.stage.platform.stop().await?;

    listening.abort();
    let replies = tap.lock().expect("whoever appends does nothing else").clone();
    for heard in [&br#""type":"next""#[..], b"fundingInvoice", b"nodeInvoice", b"auth.not_operator"] {
        assert!(memmem::find(&replies, heard).is_some(), "{} was not heard", String::from_utf8_lossy(heard));
    }
    let mut places = vec![("the replies".to_owned(), replies)];
    for file in files_below(&dir)? {
        let mode = fs::metadata(&file)?.permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is not its owner's alone", file.display());
        let given = GIVEN_TO_THE_NODE.iter().any(|name| file == dir.join(name));
        if !given && !file.starts_with(init::lightning_dir(&dir)) {
            places.push((file.display().to_string(), fs::read(&file)?));
        }
    }
    for written in ["journal.sqlite", "log", "the replies"] {
        assert!(places.iter().any(|(name, bytes)| name.ends_with(written) && bytes.len() > 10_000), "{written}");
    }
    for secret in &secrets {
        for (place, bytes) in &places {
            assert!(!is_in(bytes, secret), "{} is in {place}", secret.name);
        }
    }
    // In the Lightning node's store they are sealed: not in the clear even there.
    for file in files_below(&init::lightning_dir(&dir))? {
        let bytes = fs::read(&file)?;
        for secret in &secrets {
            assert!(!is_in(&bytes, secret), "{} is in the clear in {}", secret.name, file.display());
        }
    }
    theatre.close().await
}

#[test]
fn the_search_finds_what_is_there() {
    let bytes: Vec<u8> = (100..132).collect();
    let secret = Secret::of_bytes("x", &bytes);
    for before in 0..4 {
        let text = [vec![b'a'; before], bytes.clone(), b"more".to_vec()].concat();
        let hex: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
        for place in [text.clone(), hex.to_uppercase().into_bytes(), hex.into_bytes()] {
            assert!(is_in(&place, &secret), "{before}");
        }
        for place in [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)] {
            assert!(is_in(format!("x{place}x").as_bytes(), &secret), "{before} {place}");
        }
    }
    assert!(!is_in(&[7; 500], &secret));
    assert!(!is_in(&bytes[1..], &secret));
}

/// The node makes an invoice of its own, and is paid: it has that preimage from the beginning.
async fn pay_the_node(stage: &Stage) -> Result<()> {
    let ask = "mutation { nodeInvoice(amountMsat: \"5000000\", description: \"x\", expirySecs: 3600) }";
    let invoice = stage.platform.operator().ask("nodeInvoice", ask, json!({})).await?;
    pay(stage, invoice.as_str().context("an invoice is text")?).await
}

/// The invoices of tasks that ended without a payout, over a channel that goes past the node: so their preimages, which
/// the worker has had all the time, are known to the test.
async fn pay_what_was_not_paid(stage: &Stage) -> Result<()> {
    let (peer, address) = stage.worker.party.address().await?;
    let requester = &stage.requester.party;
    requester.open_channel((&peer, &address), Sat::try_new(1_000_000)?, Msat::ZERO).await?;
    stage.until("the channel is funded", async || Ok(!stage.chain.rpc().get_raw_mempool().await?.is_empty())).await?;
    stage.mine(6).await?;
    stage
        .until("the channel is usable", async || {
            let channels = requester.node().await?.channels().await;
            Ok(channels.iter().filter(|channel| channel.usable).count() == 2)
        })
        .await?;
    for task in tasks(stage).await? {
        if task["state"] == "REFUNDED" {
            pay(
                stage,
                task["milestones"][0]["tranches"][0]["payoutInvoice"]
                    .as_str()
                    .context("a taken task has an invoice")?,
            )
            .await?;
        }
    }
    Ok(())
}

async fn pay(stage: &Stage, invoice: &str) -> Result<()> {
    let payment = stage.requester.party.pay(invoice, Msat::ZERO, WAIT).await?;
    ensure!(payment.status == PaymentStatus::Succeeded, "the payment ended as {:?}", payment.status);
    Ok(())
}

async fn tasks(stage: &Stage) -> Result<Vec<Value>> {
    let variables = json!({ "filter": {}, "first": 100 });
    let page = stage.requester.api.ask("tasks", &documents::tasks(), variables).await?;
    page["nodes"].as_array().cloned().context("a page has tasks")
}

/// Hears of every change, over a new connection when the node comes back.
async fn listen(api: Api) {
    loop {
        if let Ok(mut updates) = api.client().subscribe(&documents::task_updates(), json!({ "id": null })).await {
            while updates.next().await.is_some() {}
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Asks for everything that happened, as everybody.
async fn ask_for_everything(stage: &Stage) {
    for (name, document, variables) in [
        ("tasks", documents::tasks(), json!({ "filter": {}, "first": 100 })),
        ("node", "{ node { payments(first: 100) { id paymentHash status } channels { id } } }".to_owned(), json!({})),
    ] {
        for api in [&stage.requester.api, &stage.worker.api, stage.platform.operator()] {
            // Parties may not see the node's payments: the refusal is searched as well.
            drop(api.ask(name, &document, variables.clone()).await);
        }
    }
}

/// Every secret that occurred: of the node, of its users, and what the payees revealed.
async fn secrets(stage: &Stage) -> Result<Vec<Secret>> {
    let preimages = stage.requester.party.revealed_preimages().await?;
    assert_eq!(preimages.len(), 6, "of five tasks and of the node's own invoice");
    let seed = LightningNode::reveal_seed(&init::lightning_dir(stage.platform.dir()), PASSPHRASE)?;
    let mut secrets = vec![
        Secret::of_bytes("the seed", seed.as_slice()),
        Secret::of_bytes("the passphrase", PASSPHRASE.as_bytes()),
        Secret::of_bytes("the operator's key", stage.platform.operator_keys().secret_key().as_secret_bytes()),
        Secret::of_bytes("the requester's key", stage.requester.keys.secret_key().as_secret_bytes()),
        Secret::of_bytes("the worker's key", stage.worker.keys.secret_key().as_secret_bytes()),
    ];
    for (number, preimage) in preimages.iter().enumerate() {
        secrets.push(Secret::of_bytes(format!("preimage {number}"), preimage.as_slice()));
    }
    Ok(secrets)
}

fn is_in(place: &[u8], secret: &Secret) -> bool {
    secret.needles.iter().any(|needle| memmem::find(place, needle).is_some())
}

fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}
