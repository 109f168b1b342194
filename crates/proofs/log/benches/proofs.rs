//! Verifying a bundle, and integrating leaves into tiles: `cargo bench -p tallystick-log`.
#![allow(missing_docs, unused_crate_dependencies)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use tallystick_log::*;

const LEAVES: u64 = 65_536;

fn bench(c: &mut Criterion) {
    let key = |name: &str, kind, seed| {
        SigningKey::try_from_seed(KeyName::try_new(name).expect("a name"), kind, &[seed; 32]).expect("a key")
    };
    let leaves: Vec<Hash> = (0..LEAVES).map(|i| leaf_hash(&i.to_be_bytes())).collect();
    let mut edge = TileEdge::new();
    let tiles = edge.integrate(&leaves).expect("room");
    let root = edge.root().expect("a tree");
    let log = key("log.example", KeyKind::Note, 1);
    let checkpoint = Checkpoint::try_new("log.example", LEAVES, root).expect("a checkpoint");
    let mut signed = SignedCheckpoint::sign(checkpoint, &log).expect("signed");
    let witnesses = [key("w1", KeyKind::Cosignature, 2), key("w2", KeyKind::Cosignature, 3)];
    for witness in &witnesses {
        let line = witness.cosign(signed.unverified(), 1).expect("cosigned");
        signed.note_mut().add(line).expect("room");
    }
    let policy = WitnessPolicy::try_new(2, witnesses.iter().map(|w| w.verifier().clone()).collect()).expect("a policy");
    let mut prover =
        Prover::new(LEAVES, |id| tiles.iter().find(|tile| tile.id == id).map(Tile::to_bytes).ok_or(LogError::BadTile));
    let proof = prover.inclusion(777).expect("a proof");
    let bytes = ProofBundle::try_new(777, proof, signed).expect("a bundle").to_string().into_bytes();
    let entry = 777u64.to_be_bytes();
    c.bench_function("parse and verify a bundle with two witnesses", |b| {
        b.iter(|| {
            let bundle = ProofBundle::parse(black_box(&bytes)).expect("a bundle");
            bundle.verify(&entry, log.verifier(), &policy).map(|verified| verified.index).expect("verified")
        });
    });
    let mut group = c.benchmark_group("integrate");
    group.throughput(Throughput::Elements(LEAVES));
    group.bench_function("65536 leaves", |b| b.iter(|| TileEdge::new().integrate(black_box(&leaves)).expect("room")));
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
