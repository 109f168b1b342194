//! How long standings and flags take in a market of 100,000 deals among 5,000 keys.
//!
//! `cargo bench -p tallystick-civics`
#![allow(clippy::unwrap_used, missing_docs)]

use criterion::{Criterion, criterion_group, criterion_main};
use std::hint::black_box;
use tallystick_civics::{
    anomaly::{Thresholds, find},
    reputation::{Limits, Market, Role},
};

#[path = "../tests/it/support.rs"]
#[allow(dead_code)]
mod support;
use support::*;

fn standings(c: &mut Criterion) {
    let deals = random_market(1, 5_000, 100_000);
    let limits = Limits::default();
    let market = Market::try_new(&deals, &limits, now()).unwrap();
    let somebody = deals[0].worker;
    let mut group = c.benchmark_group("100,000 deals, 5,000 keys");
    group.sample_size(10);
    group.bench_function("one key, from the deals on", |b| {
        b.iter(|| Market::try_new(black_box(&deals), &limits, now()).unwrap().standing(somebody, Role::Worker).tier);
    });
    group.bench_function("all keys, both roles, from the deals on", |b| {
        b.iter(|| {
            let market = Market::try_new(black_box(&deals), &limits, now()).unwrap();
            let both = market.keys().iter().flat_map(|key| [Role::Requester, Role::Worker].map(|role| (*key, role)));
            both.map(|(key, role)| market.standing(key, role).score.total).sum::<i64>()
        });
    });
    group.bench_function("one key more of a market that is there", |b| {
        b.iter(|| market.standing(black_box(somebody), Role::Worker).tier);
    });
    group.bench_function("all flags", |b| {
        b.iter(|| find(black_box(&deals), &[], &Thresholds::default(), now()).unwrap().len());
    });
    group.finish();
}

criterion_group!(benches, standings);
criterion_main!(benches);
