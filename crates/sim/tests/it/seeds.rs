//! Seeds on the node as it ships.

use std::time::{Duration, Instant};
use tallystick_escrow::Event;
use tallystick_sim::{Hunt, Hunted, Setup, Source, hunt, run, shrink};

/// So many seeds run in each build; `TALLY_SIM_SEEDS` asks for more.
const SEEDS: u64 = 5_000;

/// Runs seeds, and fails with a story if one of them breaks a law.
fn clean(hunted: Hunt) -> Hunted {
    let setup = Setup::shipped();
    let found = hunt(&hunted, &setup, |_| ());
    if let Some(seed) = found.failed {
        let plan = run(Source::Seed { seed, tasks: hunted.tasks }, &setup, false).plan;
        let shrunk = shrink(&plan, &setup, Instant::now() + Duration::from_secs(60)).expect("it fails again");
        panic!("seed {seed}: {}\n{}", shrunk.broken, shrunk.story.join("\n"));
    }
    assert_eq!(found.ran, hunted.seeds);
    found
}

fn hunted(seeds: u64) -> Hunt {
    Hunt { from: 0, seeds, tasks: None, threads: 2, until: None }
}

/// Facts of all kinds come up, but for those that nothing in this world can cause: a simulator that does not get there
/// finds nothing there.
#[test]
fn the_seeds_of_a_build_are_clean_and_lead_everywhere() {
    let seeds = std::env::var("TALLY_SIM_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(SEEDS);
    let found = clean(hunted(seeds));
    println!("{found:#?}");
    let wanted = [
        Event::CANCELLED,
        Event::TASK_EXPIRED,
        Event::TASK_SETTLED,
        Event::TASK_REFUNDED,
        Event::WORK_REJECTED,
        Event::PAYOUT_FAILED,
        Event::TRANCHE_REFUND_BEGUN,
        Event::HOLD_CLAIMED,
        Event::HOLD_RETURNED,
        Event::HOLD_LOST,
        Event::HOLD_RENEWED,
        Event::REPLACED_HOLD_RETURNED,
        Event::REFUND_PLANNED,
        Event::REVIEW_RESUMED,
        Event::DISPUTE_OPENED,
        Event::REWARD_PAID,
        Event::BOND_TAKEN,
        Event::BOND_RETURN_BEGUN,
        "dispute.decided",
        "dispute.round_begun",
        "dispute.panel_failed",
        "dispute.failed",
        "dispute.withdrawn",
        "dispute.closed",
    ];
    let missing: Vec<_> = wanted.into_iter().filter(|kind| !found.kinds.contains_key(kind)).collect();
    assert!(missing.is_empty(), "no seed leads to {missing:?}");
}

/// One seed with as many tasks as a busy hour has: they share the node's outbox, timers and caches.
#[test]
fn many_tasks_at_once_are_clean() {
    let found = clean(Hunt { tasks: Some(40), ..hunted(4) });
    println!("{found:#?}");
    assert_eq!(found.ends.values().sum::<u64>(), 160);
    let with_money: u64 = ["settled", "refunded"].iter().filter_map(|end| found.ends.get(end)).sum();
    assert!(with_money >= 100, "money was locked for {with_money} of them: {:?}", found.ends);
}

#[test]
fn a_seed_runs_the_same_again() {
    let setup = Setup::shipped();
    for seed in 0..20 {
        let first = run(Source::Seed { seed, tasks: None }, &setup, true);
        let again = run(Source::Seed { seed, tasks: None }, &setup, true);
        assert_eq!((first.lines, &first.plan), (again.lines, &again.plan));
        let played = run(Source::Plan(&first.plan), &setup, false);
        assert_eq!((played.facts, played.ends), (again.facts, again.ends), "the plan of seed {seed}, played");
    }
}
