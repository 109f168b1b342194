//! How long a bundle takes to verify, beside what one Schnorr and one Ed25519 signature cost.
//!
//! `cargo bench -p tallystick-bundle`
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use tallystick_bundle::{FactBundle, check_authority};

#[path = "../tests/it/support.rs"]
#[allow(dead_code)]
mod support;

fn verify(c: &mut Criterion) {
    let bundle = support::bundle();
    let (log, policy) = support::policy();
    let text = bundle.to_string();
    println!("a bundle with three cosignatures under 200 facts: {} bytes", text.len());
    c.bench_function("parse and verify a bundle: log, 3 witnesses, 1 user", |b| {
        b.iter(|| {
            let bundle = FactBundle::parse(black_box(text.as_bytes())).unwrap();
            bundle.verify(&log, &policy, None).unwrap().fact.seq
        });
    });
    let authority = bundle.authority().unwrap().clone();
    c.bench_function("of these: the user's request, one BIP-340 signature", |b| {
        b.iter(|| check_authority(black_box(bundle.unverified()), &authority).unwrap());
    });
}

criterion_group!(benches, verify);
criterion_main!(benches);
