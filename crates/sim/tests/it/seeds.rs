//! Seeds on the node as it ships.

use std::time::{Duration, Instant};
use tallystick_sim::{Hunt, Setup, Source, hunt, run, shrink};

/// Runs seeds, and fails with a story if one of them breaks a law.
fn clean(hunted: Hunt) {
    let setup = Setup::shipped();
    let found = hunt(&hunted, &setup, |_| ());
    if let Some(seed) = found.failed {
        let plan = run(Source::Seed { seed, tasks: hunted.tasks }, &setup, false).plan;
        let shrunk = shrink(&plan, &setup, Instant::now() + Duration::from_secs(60)).expect("it fails again");
        panic!("seed {seed}: {}\n{}", shrunk.broken, shrunk.story.join("\n"));
    }
    println!("{found:?}");
    assert_eq!(found.ran, hunted.seeds);
}

#[test]
fn seeds_of_ci_are_clean() {
    let seeds = std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(200);
    clean(Hunt { from: 0, seeds, tasks: None, threads: 2, until: None });
}
