//! A small log of facts with real signatures.

use nostr::event::{EventBuilder, FinalizeEvent, Kind, Tag};
use nostr::key::Keys;
use tallystick_bundle::FactBundle;
use tallystick_core::fact::{CHAIN_START, authority_digest};
use tallystick_core::{
    Authority, BlockHeight, Body, Digest32, Fact, NodeKey, NodeWord, NostrKey, SignedRequest, Timestamp, canonical,
};
use tallystick_log::{
    Checkpoint, KeyKind, KeyName, ProofBundle, SignedCheckpoint, SigningKey, TileEdge, VerifierKey, WitnessPolicy,
    leaf_hash,
};

pub const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_123);

pub fn signing_key(name: &str, kind: KeyKind) -> SigningKey {
    SigningKey::try_from_seed(KeyName::try_new(name).unwrap(), kind, &canonical::sha256(name.as_bytes()).0).unwrap()
}

pub fn log() -> SigningKey {
    signing_key("node.example/log", KeyKind::Note)
}

pub fn witnesses() -> Vec<SigningKey> {
    ["w.example/1", "w.example/2", "w.example/3"].map(|name| signing_key(name, KeyKind::Cosignature)).into()
}

/// Two of the three.
pub fn policy() -> (VerifierKey, WitnessPolicy) {
    let keys = witnesses().iter().map(|key| key.verifier().clone()).collect();
    (log().verifier().clone(), WitnessPolicy::try_new(2, keys).unwrap())
}

/// A request that somebody really signed (NIP-98), now.
pub fn request(body: &[u8]) -> Authority {
    request_at(body, NOW)
}

/// A request signed at some time.
pub fn request_at(body: &[u8], at: Timestamp) -> Authority {
    let keys = Keys::parse(&"11".repeat(32)).unwrap();
    let tags = [
        Tag::parse(["u", "http://localhost/graphql"]).unwrap(),
        Tag::parse(["method", "POST"]).unwrap(),
        Tag::parse(["payload", &canonical::sha256(body).to_string()]).unwrap(),
    ];
    let event = EventBuilder::new(Kind::HttpAuth, "")
        .tags(tags)
        .custom_created_at(nostr::types::Timestamp::from_secs(at.as_secs()))
        .finalize(&keys)
        .unwrap();
    Authority::Request(SignedRequest {
        author: NostrKey::try_new(event.pubkey.to_bytes()).unwrap(),
        id: Digest32(event.id.to_bytes()),
        event: event.as_json(),
        body: body.to_vec(),
    })
}

/// The node's own word, on a version of the stream `s`.
pub fn word(expected_version: u64) -> Authority {
    NodeKey::try_new(&[8; 32]).unwrap().authorise(&NodeWord {
        stream: "s",
        expected_version,
        recorded_at: NOW,
        height: BlockHeight(800_000),
        command: b"paid",
    })
}

/// Facts of the stream `s`, chained.
pub fn facts(bodies: &[(Body, &Authority)]) -> Vec<Fact> {
    let mut prev = CHAIN_START;
    (1..)
        .zip(bodies)
        .map(|(seq, (body, authority))| {
            let mut fact = Fact {
                seq,
                stream: "s".into(),
                version: seq,
                kind: "test.noted".into(),
                body: body.clone(),
                authority: authority_digest(authority),
                recorded_at: NOW,
                height: BlockHeight(800_000),
                prev,
                hash: CHAIN_START,
            };
            fact.hash = fact.link();
            prev = fact.hash;
            fact
        })
        .collect()
}

/// The proof of one of the facts, under a checkpoint that all witnesses cosigned.
pub fn prove(facts: &[Fact], index: usize) -> ProofBundle {
    let leaves: Vec<_> = facts.iter().map(|fact| leaf_hash(&fact.entry())).collect();
    let mut edge = TileEdge::new();
    let tiles = edge.integrate(&leaves).unwrap();
    let checkpoint = Checkpoint::try_new("node.example/log", edge.size(), edge.root().unwrap()).unwrap();
    let mut signed = SignedCheckpoint::sign(checkpoint.clone(), &log()).unwrap();
    for witness in witnesses() {
        signed.note_mut().add(witness.cosign(&checkpoint, 1_800_000_000).unwrap()).unwrap();
    }
    let read = |id| tiles.iter().find(|tile| tile.id == id).map(|tile| tile.to_bytes()).ok_or(());
    let proof = tallystick_log::Prover::new(edge.size(), read).inclusion(index as u64).unwrap();
    ProofBundle::try_new(index as u64, proof, signed).unwrap()
}

/// A log of 200 facts and the bundle of one that a user signed.
pub fn bundle() -> FactBundle {
    let authority = request(b"create a task");
    let bodies: Vec<_> = (0..200).map(|n: u8| (Body::private([n; 32], vec![n; 100]), &authority)).collect();
    let facts = facts(&bodies);
    FactBundle::try_new(facts[77].clone(), Some(authority), None, prove(&facts, 77)).unwrap()
}
