//! What verifying costs, and how large a proof is: `cargo bench -p tallystick-log`.
#![allow(missing_docs, unused_crate_dependencies, clippy::print_stdout, reason = "sizes are printed beside the times")]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tallystick_log::*;

/// Leaves of the tree that is built.
const LEAVES: u64 = 65_536;
/// Leaves of the tree whose proofs are measured: a log that has grown large, of which one path is made up.
const LARGE: u64 = 1 << 30;
const INDEX: u64 = 777;
const WITNESSES: u8 = 3;

fn key(name: &str, kind: KeyKind, seed: u8) -> SigningKey {
    SigningKey::try_from_seed(KeyName::try_new(name).expect("a name"), kind, &[seed; 32]).expect("a key")
}

fn entry() -> [u8; 8] {
    INDEX.to_be_bytes()
}

/// The path of one entry in a tree of [`LARGE`] leaves, and the root that it leads to.
fn path() -> (Vec<Hash>, Hash) {
    let path: Vec<Hash> = (0..LARGE.ilog2()).map(|level| leaf_hash(&level.to_be_bytes())).collect();
    let root = root_from_inclusion(&leaf_hash(&entry()), INDEX, LARGE, &path).expect("a root");
    (path, root)
}

fn bundle(bench: &mut Criterion) {
    let (path, root) = path();
    let log = key("log.example/journal", KeyKind::Note, 1);
    let checkpoint = Checkpoint::try_new("log.example/journal", LARGE, root).expect("a checkpoint");
    let mut signed = SignedCheckpoint::sign(checkpoint, &log).expect("signed");
    let witness = |seed| key(&format!("witness.example/w{seed}"), KeyKind::Cosignature, seed + 1);
    let witnesses: Vec<SigningKey> = (1..=WITNESSES).map(witness).collect();
    for witness in &witnesses {
        let line = witness.cosign(signed.unverified(), 1_700_000_000).expect("cosigned");
        signed.note_mut().add(line).expect("room");
    }
    let keys = witnesses.iter().map(|witness| witness.verifier().clone()).collect();
    let policy = WitnessPolicy::try_new(WITNESSES.into(), keys).expect("a policy");
    let checkpoint_bytes = signed.to_string().len();
    let bytes = ProofBundle::try_new(INDEX, path.clone(), signed).expect("a bundle").to_string().into_bytes();
    println!("inclusion proof: {} hashes, {} bytes", path.len(), path.len() * HASH_BYTES);
    println!("checkpoint with {WITNESSES} cosignatures: {checkpoint_bytes} bytes; bundle: {} bytes", bytes.len());
    bench.bench_function("verify an inclusion proof", |b| {
        let leaf = leaf_hash(&entry());
        b.iter(|| verify_inclusion(black_box(&leaf), INDEX, LARGE, &path, &root).expect("verified"));
    });
    bench.bench_function("parse and verify a bundle with 3 cosignatures", |b| {
        b.iter(|| {
            let bundle = ProofBundle::parse(black_box(&bytes)).expect("a bundle");
            bundle.verify(&entry(), log.verifier(), &policy).map(|verified| verified.index).expect("verified")
        });
    });
}

/// What the machine itself can do.
fn machine(bench: &mut Criterion) {
    let log = key("log.example/journal", KeyKind::Note, 1);
    let mut note = Note::try_new("a text\n").expect("a text");
    log.sign(&mut note).expect("signed");
    bench.bench_function("Ed25519: verify one signature", |b| {
        b.iter(|| black_box(&note).verify(log.verifier()).expect("verified"));
    });
    let (left, right) = ([1; 32], [2; 32]);
    bench.bench_function("SHA-256: hash one node", |b| b.iter(|| node_hash(black_box(&left), &right)));
}

fn integrate(bench: &mut Criterion) {
    let leaves: Vec<Hash> = (0..LEAVES).map(|i| leaf_hash(&i.to_be_bytes())).collect();
    let mut group = bench.benchmark_group("integrate");
    group.throughput(Throughput::Elements(LEAVES));
    group.bench_function("65536 leaves", |b| b.iter(|| TileEdge::new().integrate(black_box(&leaves)).expect("room")));
    group.finish();
}

criterion_group!(benches, bundle, machine, integrate);
criterion_main!(benches);
