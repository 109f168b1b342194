//! Anchors of the real binary: killed around its facts, exported, and checked by a stranger.

use anyhow::{Context, Result, ensure};
use bitcoin::{CompactTarget, consensus::serialize};
use std::{fs, io::Write, os::unix::process::ExitStatusExt, process::Command};
use tallystick_log::{
    CONSISTENCY_HASHES_MAX,
    anchor::{AnchorChain, AnchorError, AnchorProof, Headers, OtsFile, OutPoint, Target},
    parse_hashes,
};

use crate::support::{BINARY, Theatre};

/// What `abort` ends a process with.
const SIGABRT: i32 = 6;
/// Where the node dies, once for each anchor after the first.
const DEATHS: [&str; 4] = [
    "before append anchor.made",
    "after append anchor.made",
    "before append anchor.confirmed",
    "after append anchor.confirmed",
];

fn tally(theatre: &Theatre, arguments: &[&str]) -> Result<String> {
    let dir = theatre.stage.platform.dir();
    let output = Command::new(BINARY).arg("anchor").args(arguments).arg("--data-dir").arg(dir).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

/// What the status tells of an anchor: its transaction, and where it is.
fn told(theatre: &Theatre, number: usize) -> Result<Option<(String, String)>> {
    let status = tally(theatre, &["status"])?;
    let begin = format!("{number}  ");
    let line = status.lines().find_map(|line| line.strip_prefix(&begin));
    let parts = line.map(|line| line.split("  ").map(str::to_owned).collect::<Vec<_>>());
    parts
        .map(|parts| Ok((parts.get(1).context("an id")?.clone(), parts.last().context("a place")?.clone())))
        .transpose()
}

async fn until_dead(theatre: &mut Theatre) -> Result<()> {
    let ended = tokio::time::timeout(tally::demo::STEP_MAX, theatre.stage.platform.wait_until_ended()).await;
    let status = ended.context("the node does not come to the point where it is to die")??;
    ensure!(status.signal() == Some(SIGABRT), "the node ended by itself: {status}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_dies_around_a_fact_goes_on_with_the_same_anchors() -> Result<()> {
    let mut theatre = Theatre::open(&[]).await?;
    theatre.stage.platform.stop().await?;
    let config = theatre.stage.platform.dir().join("tally.toml");
    fs::OpenOptions::new().append(true).open(config)?.write_all(b"\n[anchor]\nfacts_max = 1\n")?;
    // The first is of what founded the node's roles.
    theatre.stage.platform.start(&[]).await?;
    let stage = &theatre.stage;
    stage
        .until("the first anchor is sent", async || Ok(!stage.chain.rpc().get_raw_mempool().await?.is_empty()))
        .await?;
    stage.mine(6).await?;
    let counts = async || Ok(told(&theatre, 1)?.is_some_and(|(_, place)| place.starts_with("block")));
    stage.until("the first anchor counts", counts).await?;
    theatre.stage.platform.stop().await?;
    for (number, death) in (2..).zip(DEATHS) {
        let confirming = death.ends_with("confirmed");
        theatre.stage.platform.start(&[("TALLY_CRASH_AT", death.to_owned())]).await?;
        theatre.stage.post("Something to anchor", &[10_000], "REFUND").await?;
        if confirming {
            let stage = &theatre.stage;
            stage
                .until("the anchor is out", async || Ok(!stage.chain.rpc().get_raw_mempool().await?.is_empty()))
                .await?;
            stage.chain.miner().mine(6).await?;
        }
        until_dead(&mut theatre).await?;
        let made = told(&theatre, number)?;
        match death {
            "before append anchor.made" => assert_eq!(made, None),
            "after append anchor.confirmed" => {
                assert!(made.as_ref().is_some_and(|(_, place)| place.starts_with("block")))
            }
            _ => assert!(made.as_ref().is_some_and(|(_, place)| place == "waiting, version 1"), "{made:?}"),
        }
        if !confirming {
            assert!(theatre.stage.chain.rpc().get_raw_mempool().await?.is_empty(), "the fact comes first");
        }
        theatre.stage.platform.start(&[]).await?;
        let stage = &theatre.stage;
        if !confirming {
            stage
                .until("the anchor is sent", async || Ok(!stage.chain.rpc().get_raw_mempool().await?.is_empty()))
                .await?;
            let sent = stage.chain.rpc().get_raw_mempool().await?;
            let now = told(&theatre, number)?.context("it is made")?;
            assert_eq!(sent.iter().map(ToString::to_string).collect::<Vec<_>>(), std::slice::from_ref(&now.0));
            assert!(made.is_none_or(|made| made == now), "the same one");
            stage.mine(6).await?;
        }
        stage
            .until("the anchor counts", async || {
                Ok(told(&theatre, number)?.is_some_and(|(_, place)| place.starts_with("block")))
            })
            .await?;
        theatre.stage.platform.stop().await?;
    }
    check(&theatre).await?;
    theatre.stage.platform.start(&[]).await?;
    theatre.close().await
}

/// What a stranger does with the exported files.
async fn check(theatre: &Theatre) -> Result<()> {
    let rpc = theatre.stage.chain.rpc();
    let mut bytes = Vec::new();
    for height in 0..=rpc.get_block_count().await? {
        bytes.extend(serialize(&rpc.get_block_header(&rpc.get_block_hash(height).await?).await?.header));
    }
    let headers = Headers::parse(0, &bytes, Target::from(CompactTarget::from_consensus(0x207f_ffff)))?;
    let status = tally(theatre, &["status"])?;
    let genesis = status.lines().next().and_then(|line| line.strip_prefix("genesis ")).context("a genesis")?;
    let mut chain = AnchorChain::new(genesis.parse::<OutPoint>()?);
    let out = tempfile::tempdir()?;
    for number in 1..=DEATHS.len() + 1 {
        let folder = out.path().display().to_string();
        tally(theatre, &["export", &number.to_string(), "--out", &folder])?;
        let read = |name: String| fs::read(out.path().join(name));
        let text = String::from_utf8(read(format!("anchor-{number}.txt"))?)?;
        let proof = AnchorProof::parse(&read(format!("anchor-{number}.proof"))?)?;
        let mut history = match number {
            1 => Vec::new(),
            _ => parse_hashes(&read(format!("anchor-{number}.consistency"))?, CONSISTENCY_HASHES_MAX)?,
        };
        history.push([1; 32]);
        assert_eq!(chain.extend(&text, &proof, &history, &headers), Err(AnchorError::OtherHistory));
        history.pop();
        let anchored = chain.extend(&text, &proof, &history, &headers)?;
        let ots = OtsFile::parse(&read(format!("anchor-{number}.txt.ots"))?)?;
        assert_eq!(ots.verify(text.as_bytes(), &headers)?.0, anchored.height);
    }
    assert!(tally(theatre, &["export", "99"]).is_err());
    Ok(())
}
