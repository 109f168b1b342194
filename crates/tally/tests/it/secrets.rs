//! No secret outside of the Lightning node's own store: not in the journal, not in logs, not in replies.

use anyhow::{Context, Result};
use serde_json::json;
use std::{
    fs,
    path::{Path, PathBuf},
};
use tally::{ask::documents, init};
use tallystick_lightning::LightningNode;

use crate::support::Theatre;

#[tokio::test(flavor = "multi_thread")]
async fn no_preimage_and_no_seed_is_found_anywhere() -> Result<()> {
    // Everything that the node can log, for the whole run.
    let mut theatre = Theatre::open(&[("TALLY_LOG", "trace".to_owned())]).await?;
    let mut teller = theatre.teller();
    teller.paid_out().await?;
    teller.cancelled().await?;
    teller.killed().await?;
    teller.worker_offline().await?;
    teller.deadline().await?;
    let stage = &theatre.stage;
    let mut replies = Vec::new();
    for (name, document, variables) in [
        ("tasks", documents::tasks(), json!({ "filter": {}, "first": 100 })),
        ("node", "{ node { payments(first: 100) { id paymentHash status } channels { id } } }".to_owned(), json!({})),
    ] {
        for api in [&stage.requester.api, &stage.worker.api, stage.platform.operator()] {
            // Parties may not see the node's payments: that reply is searched as well.
            let reply = api.ask(name, &document, variables.clone()).await;
            replies.extend_from_slice(format!("{reply:?}").as_bytes());
        }
    }
    let preimages = stage.requester.party.revealed_preimages().await?;
    assert_eq!(preimages.len(), 3, "three tasks were paid out, and the payer holds the proof of each");
    let dir = stage.platform.dir().to_owned();
    let passphrase = fs::read_to_string(dir.join("passphrase"))?;
    let seed = LightningNode::reveal_seed(&init::lightning_dir(&dir), &passphrase)?;
    theatre.stage.platform.stop().await?;

    let mut places = vec![("the replies".to_owned(), replies)];
    for file in files_outside_lightning(&dir)? {
        places.push((file.display().to_string(), fs::read(&file)?));
    }
    assert!(places.iter().any(|(name, bytes)| name.ends_with("journal.sqlite") && bytes.len() > 10_000));
    assert!(places.iter().any(|(name, bytes)| name.ends_with("log") && bytes.len() > 10_000));
    let secrets = preimages.iter().map(|preimage| preimage.as_slice()).chain([seed.as_slice()]);
    for secret in secrets {
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        for (name, bytes) in &places {
            for needle in [secret, hex.as_bytes(), hex.to_uppercase().as_bytes()] {
                assert!(!contains(bytes, needle), "a secret is in {name}: {}", line_with(bytes, &hex));
            }
        }
    }
    // In the Lightning node's store they are sealed: not in the clear even there.
    for file in files_below(&init::lightning_dir(&dir))? {
        let bytes = fs::read(&file)?;
        assert!(!contains(&bytes, seed.as_slice()), "the seed is in the clear in {}", file.display());
    }
    theatre.close().await
}

#[test]
fn the_search_finds_what_is_there() {
    assert!(contains(b"xxabcxx", b"abc"));
    assert!(!contains(b"xxabxcx", b"abc"));
}

/// The line with the secret, for whoever must mend it; the secret itself cut out.
fn line_with(bytes: &[u8], hex: &str) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().find(|line| line.contains(hex)).unwrap_or("(not as text)").replace(hex, "<the secret>")
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

fn files_outside_lightning(dir: &Path) -> Result<Vec<PathBuf>> {
    let lightning = init::lightning_dir(dir);
    Ok(files_below(dir)?.into_iter().filter(|file| !file.starts_with(&lightning)).collect())
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
