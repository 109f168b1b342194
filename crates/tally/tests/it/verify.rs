//! `tally verify` on bundles of a log that lies: everything in it is signed, and nobody asked for what it says.

use anyhow::Result;
use std::{fs, process::Command};
use tallystick_bundle::FactBundle;
use tallystick_core::{
    Authority, BlockHeight, Blocks, Body, Digest32, Fact, NodeKey, NodeWord, canonical,
    fact::{CHAIN_START, authority_digest},
};
use tallystick_escrow::{Event, NodeCommand, ReleaseReason};
use tallystick_log::{Checkpoint, KeyKind, KeyName, ProofBundle, SignedCheckpoint, SigningKey, TileEdge, leaf_hash};
use tallystick_testkit::{escrow, signed_request};

use crate::support::BINARY;

const TASK: &str = "0193b1f4-7c3e-7000-8000-0123456789ab";
const OTHER: &str = "0193b1f4-7c3e-7000-8000-0123456789ac";

/// The first fact of a task and of a log.
fn fact(event: &Event, authority: Digest32) -> Fact {
    let mut fact = Fact {
        seq: 1,
        stream: format!("escrow/{TASK}"),
        version: 1,
        kind: event.kind().into(),
        body: Body::private([7; 32], canonical::encode(event)),
        authority,
        recorded_at: escrow::NOW,
        height: BlockHeight(800_000),
        prev: CHAIN_START,
        hash: CHAIN_START,
    };
    fact.hash = fact.link();
    fact
}

/// A log with one fact, and what `tally verify` says of its bundle.
fn said(log: &str, event: &Event, authority: Authority, more: &[&str]) -> Result<(bool, String)> {
    let fact = fact(event, authority_digest(&authority));
    let key = SigningKey::try_from_seed(KeyName::try_new(log)?, KeyKind::Note, &[7; 32])?;
    let mut tree = TileEdge::new();
    tree.integrate(&[leaf_hash(&fact.entry())])?;
    let checkpoint = SignedCheckpoint::sign(Checkpoint::try_new(log, 1, tree.root()?)?, &key)?;
    let proof = ProofBundle::try_new(0, Vec::new(), checkpoint)?;
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("fact.proof");
    fs::write(&file, FactBundle::try_new(fact, Some(authority), None, proof)?.to_string())?;
    let vkey = key.verifier().to_vkey();
    let output = Command::new(BINARY).arg("verify").arg(&file).args(["--log", &vkey]).args(more).output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), text))
}

fn asked(mutation: &str, task: &str) -> Authority {
    let query = format!("mutation {{ {mutation}(id: \"{task}\") {{ changed }} }}");
    let body = serde_json::json!({ "query": query }).to_string();
    Authority::Request(signed_request(1, body.as_bytes(), escrow::NOW))
}

/// A log in which a task is posted by the requester, and its work accepted by somebody: what `tally verify` says of these
/// of the two bundles.
fn approved_by(user: u8, which: &[usize]) -> Result<(bool, String)> {
    let query = format!("mutation {{ approveWork(id: \"{TASK}\") {{ changed }} }}");
    let body = serde_json::json!({ "query": query }).to_string();
    let approval = Authority::Request(signed_request(user, body.as_bytes(), escrow::NOW));
    let created = Event::TaskCreated {
        id: TASK.parse()?,
        requester: escrow::requester(),
        terms: escrow::terms(&[20_000]),
        policy: escrow::policy(),
        hold_blocks: Blocks(144),
        at: escrow::NOW,
    };
    let facts: Vec<(Fact, Option<Authority>)> = [
        (created, None),
        (Event::ReleaseBegun { milestone: 0, tranches: vec![0], reason: ReleaseReason::Approved }, Some(approval)),
    ]
    .into_iter()
    .zip(1..)
    .map(|((event, authority), number)| {
        let mut fact = fact(&event, authority.as_ref().map_or(CHAIN_START, authority_digest));
        (fact.seq, fact.version) = (number, number);
        fact.hash = fact.link();
        (fact, authority)
    })
    .collect();
    let leaves: Vec<_> = facts.iter().map(|(fact, _)| leaf_hash(&fact.entry())).collect();
    let key = SigningKey::try_from_seed(KeyName::try_new("node.example/log")?, KeyKind::Note, &[7; 32])?;
    let mut tree = TileEdge::new();
    tree.integrate(&leaves)?;
    let dir = tempfile::tempdir()?;
    let mut command = Command::new(BINARY);
    command.arg("verify").args(["--log", &key.verifier().to_vkey()]);
    for index in which {
        let (fact, authority) = facts[*index].clone();
        let checkpoint = SignedCheckpoint::sign(Checkpoint::try_new("node.example/log", 2, tree.root()?)?, &key)?;
        let proof = ProofBundle::try_new(*index as u64, vec![leaves[1 - index]], checkpoint)?;
        let file = dir.path().join(format!("{index}.proof"));
        fs::write(&file, FactBundle::try_new(fact, authority, None, proof)?.to_string())?;
        command.arg(file);
    }
    let output = command.output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Ok((output.status.success(), text))
}

/// Who may accept work another fact tells: alone a bundle says that it does not know, and with that fact it does.
#[test]
fn who_signed_is_the_party_that_the_tasks_first_facts_name() -> Result<()> {
    const UNKNOWN: &str = "not checked  whether";
    let (proven, text) = approved_by(1, &[1])?;
    assert!(proven && text.contains("is a party of the task and may ask for it"), "{text}");
    let (proven, text) = approved_by(1, &[1, 0])?;
    assert!(proven && text.contains("a party") && !text.contains("is a party of the task"), "{text}");
    assert_eq!(text.matches(UNKNOWN).count(), 3, "witnesses, twice, and an address: {text}");
    // The log holds what the rules refuse.
    assert!(approved_by(2, &[1])?.0);
    let (proven, text) = approved_by(2, &[0, 1])?;
    assert!(!proven && text.contains("bundle.not_party") && !text.contains("proven  "), "{text}");
    Ok(())
}

#[test]
fn a_request_for_something_else_proves_nothing() -> Result<()> {
    let cancelled = Event::TaskCancelled { by: escrow::requester() };
    let (proven, text) = said("node.example/log", &cancelled, asked("cancelTask", TASK), &[])?;
    assert!(proven && text.contains("a request for it that"), "{text}");
    assert!(text.contains("not checked  whether witnesses"), "{text}");
    assert!(text.contains("signed       2027-01-15T08:00:00Z, for http://localhost:8080/graphql"), "{text}");
    assert!(text.contains("not checked  whether the address"), "{text}");
    for (mutation, task) in [("approveWork", TASK), ("cancelTask", OTHER), ("eraseTask", TASK)] {
        let (proven, text) = said("node.example/log", &cancelled, asked(mutation, task), &[])?;
        assert!(!proven && text.contains("bundle.other_request"), "{mutation} {task}: {text}");
    }
    let stranger = Event::TaskCancelled { by: escrow::stranger() };
    let (proven, text) = said("node.example/log", &stranger, asked("cancelTask", TASK), &[])?;
    assert!(!proven && text.contains("bundle.other_request"), "{text}");
    Ok(())
}

#[test]
fn the_nodes_word_is_by_the_nodes_key() -> Result<()> {
    let key = NodeKey::try_new(&[8; 32])?;
    let stream = format!("escrow/{TASK}");
    let word = |command: NodeCommand| {
        key.authorise(&NodeWord {
            stream: &stream,
            expected_version: 0,
            recorded_at: escrow::NOW,
            height: BlockHeight(800_000),
            command: &canonical::encode(&command),
        })
    };
    let (own, other) = (key.public().to_string(), escrow::stranger().to_string());
    let wake = || word(NodeCommand::Wake);
    let named = format!("tallystick/{own}");
    for (log, more, code) in [
        ("node.example/log", &["--node-key", own.as_str()][..], None),
        ("node.example/log", &["--node-key", other.as_str()], Some("bundle.other_node")),
        ("node.example/log", &[], None),
        // A log that is named after its node's key pins it.
        (named.as_str(), &[], None),
        (&format!("tallystick/{other}"), &[], Some("bundle.other_node")),
    ] {
        let (proven, text) = said(log, &Event::TaskExpired, wake(), more)?;
        assert_eq!(proven, code.is_none(), "{log} {more:?}: {text}");
        assert!(code.is_none_or(|code| text.contains(code)), "{log} {more:?}: {text}");
        let unpinned = log == "node.example/log" && more.is_empty();
        assert_eq!(text.contains("not checked  whether that is the node's own key"), unpinned, "{text}");
    }
    let claim = word(NodeCommand::RecordHoldLost { hash: tallystick_core::PaymentHash([1; 32]) });
    let (proven, text) = said("node.example/log", &Event::TaskExpired, claim, &[])?;
    assert!(!proven && text.contains("bundle.other_word"), "{text}");
    Ok(())
}

/// A request for another server, or one that somebody kept, is no reason for this server's fact.
#[test]
fn a_request_is_signed_for_the_node_and_its_time() -> Result<()> {
    const OWN: &str = "http://localhost:8080/graphql";
    let cancelled = Event::TaskCancelled { by: escrow::requester() };
    for (urls, holds) in [
        (&["--url", OWN][..], true),
        (&["--url", "https://node.example/graphql", "--url", OWN], true),
        (&["--url", "https://node.example/graphql"], false),
    ] {
        let (proven, text) = said("node.example/log", &cancelled, asked("cancelTask", TASK), urls)?;
        assert_eq!((proven, text.contains("bundle.other_url")), (holds, !holds), "{text}");
        assert!(!text.contains("not checked  whether the address"), "{text}");
    }
    Ok(())
}

/// Headers are asked for to see the fact in Bitcoin: without an anchor it is not.
#[test]
fn a_bundle_without_an_anchor_is_in_no_block() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let headers = dir.path().join("headers");
    let genesis = bitcoin::constants::genesis_block(bitcoin::Network::Regtest).header;
    fs::write(&headers, bitcoin::consensus::serialize(&genesis))?;
    let path = headers.display().to_string();
    let more = ["--headers", path.as_str(), "--headers-from", "0", "--network", "regtest"];
    let cancelled = Event::TaskCancelled { by: escrow::requester() };
    let (proven, text) = said("node.example/log", &cancelled, asked("cancelTask", TASK), &more)?;
    assert!(!proven && text.contains("anchor.not_attested"), "{text}");
    Ok(())
}
